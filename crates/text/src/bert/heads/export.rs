//! The files of a tuned encoder with a head on it, as Python's `…ForMaskedLM` and `…ForSequenceClassification` open them.

use std::borrow::Cow;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use super::names::{BertHead, HeadTensor};
use crate::Error;
use crate::bert::architecture::Architecture;
use crate::bert::config::parse;
use crate::bert::tune::TunableBert;

/// What names of an encoder without a prefix begin with.
const OF_ENCODER: [&str; 4] = ["embeddings.", "encoder.", "pooler.", "transformer."];

/// What the outputs of a head stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadUse<'a> {
    /// Words.
    Words,
    /// Log-odds of one thing, or a number to be told.
    Score,
    /// A number.
    Number,
    /// These labels.
    Labels(&'a [String]),
}

impl TunableBert {
    /// Puts a head on the files that [`TunableBert::files`] returned; `numbers` are those of its tensors, one after another.
    pub fn with_head(
        &self,
        mut files: Vec<(String, Vec<u8>)>,
        (head, numbers): (BertHead, &[f32]),
        meaning: HeadUse<'_>,
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let tensors = self.head_tensors(head);
        for (name, bytes) in &mut files {
            let path = self.dir.join(&*name);
            match name.as_str() {
                "model.safetensors" => {
                    *bytes = extended(&path, bytes, self.architecture, (&tensors, numbers))?;
                }
                "config.json" => {
                    *bytes = described(&path, bytes, head, meaning)?;
                }
                _ => {}
            }
        }
        Ok(files)
    }
}

/// Returns the bytes of a weights file with the encoder's tensors behind their prefix and those of a head beside them.
fn extended(
    path: &Path,
    bytes: &[u8],
    architecture: Architecture,
    (head, numbers): (&[HeadTensor], &[f32]),
) -> Result<Vec<u8>, Error> {
    let damaged = |why: safetensors::SafeTensorError| Error::Weights {
        path: path.to_owned(),
        why: why.to_string(),
    };
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let prefix = architecture.prefix();
    let full = |name: &str| {
        if OF_ENCODER.iter().any(|start| name.starts_with(start)) {
            format!("{prefix}{name}")
        } else {
            name.to_owned()
        }
    };
    let kept = file.tensors().into_iter().map(|(name, view)| (full(&name), view));
    let mut all: Vec<Stored<'_>> = kept
        .filter(|(name, _)| head.iter().all(|tensor| tensor.name != *name))
        .map(|(name, view)| (name, view.dtype(), view.shape().to_vec(), view.data().into()))
        .collect();
    let mut rest = numbers;
    for HeadTensor { name, shape } in head {
        let (own, after) = rest.split_at(shape.iter().product());
        rest = after;
        let data: Vec<u8> = own.iter().flat_map(|x| x.to_le_bytes()).collect();
        all.push((name.clone(), Dtype::F32, shape.clone(), data.into()));
    }
    let views = all.iter().map(|(name, dtype, shape, data)| {
        TensorView::new(*dtype, shape.clone(), data).map(|view| (name, view))
    });
    let views = views.collect::<Result<Vec<_>, _>>().map_err(damaged)?;
    safetensors::serialize(views, header.metadata().clone()).map_err(damaged)
}

/// A tensor of a file: name, type, shape, bytes.
type Stored<'a> = (String, Dtype, Vec<usize>, Cow<'a, [u8]>);

/// Returns the bytes of a `config.json` that names the class and the meaning of its outputs.
fn described(
    path: &Path,
    bytes: &[u8],
    head: BertHead,
    meaning: HeadUse<'_>,
) -> Result<Vec<u8>, Error> {
    let mut config: Map<String, Value> = parse(path, bytes)?;
    let class = head.class(config.get("model_type").and_then(Value::as_str).unwrap_or_default());
    config.insert("architectures".into(), json!([class]));
    let one = ["LABEL_0".to_owned()];
    let (labels, problem) = match meaning {
        HeadUse::Words => (&[][..], None),
        HeadUse::Score => (&one[..], None),
        HeadUse::Number => (&one[..], Some("regression")),
        HeadUse::Labels(names) => (names, Some("single_label_classification")),
    };
    if !labels.is_empty() {
        let numbered = || labels.iter().enumerate();
        let names: Map<String, Value> =
            numbered().map(|(at, name)| (at.to_string(), json!(name))).collect();
        let numbers: Map<String, Value> =
            numbered().map(|(at, name)| (name.clone(), json!(at))).collect();
        config.insert("id2label".into(), names.into());
        config.insert("label2id".into(), numbers.into());
        config.insert("problem_type".into(), json!(problem));
    }
    serde_json::to_vec_pretty(&config)
        .map_err(|fault| Error::Config { path: path.to_owned(), why: fault.to_string() })
}
