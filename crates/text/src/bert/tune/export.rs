//! The tuned model as the files of a Hugging Face folder: everything as it was read, but the weights.

use std::ops::Range;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use super::model::TunableBert;
use super::places::{Extras, NamedTensor};
use crate::Error;
use crate::bert::config::{JSON_LIMIT, Pooling, optional, read_limited};
use crate::bert::extras::{adapter_files, prefix_files, pretty, safetensors_bytes};
use crate::bert::peft::Lora;
use crate::bert::weights::{WEIGHTS_LIMIT, Weights};

/// A dense layer behind the pooling, `y = W x + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseLayer {
    /// `W: [outputs, inputs]`.
    pub weight: Vec<f32>,
    /// `b: [outputs]`.
    pub bias: Vec<f32>,
}

/// Where sentence-transformers looks for a dense layer.
const DENSE: &str = "2_Dense";
const MODULES: &str = "modules.json";
const POOLING: &str = "1_Pooling/config.json";
/// Files that are taken over where they are there; the first two always are.
const COPIED: [&str; 12] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    MODULES,
    POOLING,
];

/// Returns the files of a folder that tuning leaves as they are, with those of dense layers, by name.
pub(crate) fn plain_files(dir: &Path, dense: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut files = Vec::new();
    for (at, name) in COPIED.into_iter().enumerate() {
        let path = dir.join(name);
        if at < 2 || path.exists() {
            files.push((name.to_owned(), read_limited(&path, JSON_LIMIT)?));
        }
    }
    for folder in dense {
        for name in ["config.json", "model.safetensors"] {
            let path = folder.join(name);
            let own = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
            files.push((own, read_limited(&path, WEIGHTS_LIMIT)?));
        }
    }
    Ok(files)
}

impl TunableBert {
    /// Returns the files of what LoRA learnt, in PEFT's form.
    pub fn lora_files(&self, lora: &Lora) -> Result<Vec<(String, Vec<u8>)>, Error> {
        lora.files("lora", (self.architecture, &self.dir.display().to_string()))
    }

    /// Returns the files of the folder with these weights, and with a layer behind the pooling, by name. Tensors that the computation
    /// does not depend on, such as a pooler's, are taken over.
    pub fn files(
        &self,
        weights: &[f32],
        head: Option<&DenseLayer>,
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut files = plain_files(&self.dir, &[])?;
        files.push(("model.safetensors".to_owned(), self.replaced(weights)?));
        files.extend(self.extra_files(weights)?);
        if let Some(head) = head {
            self.add_head(head, &mut files)?;
        }
        Ok(files)
    }

    /// Returns the files of adapters and prefix.
    fn extra_files(&self, weights: &[f32]) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let Extras { adapters, prefix, .. } = self.extras;
        let mut files = Vec::new();
        if adapters > 0 {
            let own = self.tensors.iter().filter(|tensor| tensor.part().contains(".adapter."));
            let own: Vec<_> = own
                .map(|t| (t.name.clone(), t.shape.clone(), weights[t.range.clone()].to_vec()))
                .collect();
            files.extend(adapter_files(adapters, &own)?);
        }
        if prefix > 0 {
            let of = |at: usize| &weights[self.tensors[at].range.clone()];
            let layers = (0..self.n_layers()).filter_map(|layer| self.extras.keys(layer));
            let layers: Vec<[&[f32]; 2]> = layers.map(|at| [of(at), of(at + 1)]).collect();
            let base = self.dir.display().to_string();
            files.extend(prefix_files((prefix, self.dim(), self.shape.heads), &layers, &base)?);
        }
        Ok(files)
    }

    /// Adds the files of a layer, and says in `modules.json` that it stands behind the pooling, before vectors are scaled.
    fn add_head(&self, head: &DenseLayer, files: &mut Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        let (to, from) = (head.bias.len(), self.dim());
        let layer = [
            ("linear.weight".to_owned(), vec![to, from], head.weight.clone()),
            ("linear.bias".to_owned(), vec![to], head.bias.clone()),
        ];
        let weights = safetensors_bytes(&self.dir.join(DENSE), &layer)?;
        let config = json!({ "in_features": from, "out_features": to, "bias": true,
            "activation_function": "torch.nn.modules.linear.Identity" });
        let module = |at: usize, path: &str, kind: &str| {
            json!({ "idx": at, "name": at.to_string(), "path": path,
                "type": format!("sentence_transformers.models.{kind}") })
        };
        let said = optional::<Vec<Value>>(&self.dir.join(MODULES))?;
        let mut modules: Vec<Value> = said.unwrap_or_default().into_iter().take(2).collect();
        // A folder that says nothing has its token vectors averaged.
        let all = [module(0, "", "Transformer"), module(1, "1_Pooling", "Pooling")];
        modules.extend(all.into_iter().skip(modules.len()));
        modules.extend([module(2, DENSE, "Dense"), module(3, "3_Normalize", "Normalize")]);
        files.retain(|(name, _)| name != MODULES);
        files.push((MODULES.to_owned(), pretty(&modules.into())));
        files.push((format!("{DENSE}/config.json"), pretty(&config)));
        files.push((format!("{DENSE}/model.safetensors"), weights));
        if !files.iter().any(|(name, _)| name == POOLING) {
            let cls = self.pooling == Pooling::Cls;
            let config = json!({ "word_embedding_dimension": from, "pooling_mode_cls_token": cls,
                "pooling_mode_mean_tokens": !cls });
            files.push((POOLING.to_owned(), pretty(&config)));
        }
        Ok(())
    }

    /// Returns the bytes of one weights file with these weights in their places, as `f32`.
    fn replaced(&self, weights: &[f32]) -> Result<Vec<u8>, Error> {
        let path = self.dir.join("model.safetensors");
        let damaged = |why: safetensors::SafeTensorError| Error::Weights {
            path: path.clone(),
            why: why.to_string(),
        };
        let file = Weights::open(&self.dir, self.architecture)?;
        let of_tensor = |tensor: &NamedTensor| (file.name(&tensor.name), tensor.range.clone());
        let own: FxHashMap<String, Range<usize>> = self.tensors.iter().map(of_tensor).collect();
        let mut tensors = Vec::new();
        for (name, dtype, shape) in file.tensors() {
            let (dtype, data) = match own.get(name) {
                None => (dtype, file.raw(name)?),
                Some(range) => {
                    let numbers = &weights[range.clone()];
                    (Dtype::F32, numbers.iter().flat_map(|x| x.to_le_bytes()).collect())
                }
            };
            tensors.push((name, dtype, shape, data));
        }
        let views = tensors.iter().map(|(name, dtype, shape, data)| {
            TensorView::new(*dtype, shape.to_vec(), data).map(|view| (*name, view))
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(damaged)?;
        safetensors::serialize(views, file.metadata()).map_err(damaged)
    }
}
