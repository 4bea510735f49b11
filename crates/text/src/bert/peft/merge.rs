//! An adapter put into the encoder it was learnt on: LoRA into the weights, a prefix into a folder beside them.

use std::path::Path;

use rustc_hash::FxHashMap;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Deserialize;

use super::lora::{Lora, LoraPair};
use crate::Error;
use crate::bert::config::{BertSettings, Description, JSON_LIMIT, parse, read_limited};
use crate::bert::extras::{ExtraTensors, PEFT_CONFIG};
use crate::bert::tune::plain_files;
use crate::bert::weights::Weights;

/// An encoder with an adapter in it.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The files of the folder, by name.
    pub files: Vec<(String, Vec<u8>)>,
    /// What kind of adapter it was, as PEFT calls it.
    pub kind: &'static str,
    /// Matrices that were changed; for a prefix its tokens.
    pub parts: usize,
}

#[derive(Deserialize)]
struct Kind {
    peft_type: String,
}

/// Puts the adapter of a PEFT folder into a copy of the encoder of another folder.
///
/// # Errors
/// When a folder cannot be read, or the adapter is of another kind or for another encoder.
pub fn merge_adapter(base: &Path, adapter: &Path) -> Result<Merged, Error> {
    let description = Description::read(base, &BertSettings::default())?;
    let path = adapter.join(PEFT_CONFIG);
    let Kind { peft_type } = parse(&path, &read_limited(&path, JSON_LIMIT)?)?;
    let weights = Weights::open(base, description.config.architecture)?;
    let mut files = plain_files(base, &description.dense)?;
    let mut extras = ExtraTensors::read(base, &description.config)?;
    if peft_type == "PREFIX_TUNING" {
        if extras.prefix > 0 {
            let (path, found) = (base.to_owned(), "an encoder that has one".to_owned());
            let supported = "an encoder without one";
            return Err(Error::Unsupported { path, field: "prefix", found, supported });
        }
        extras.read_prefix(adapter, &description.config)?;
        files.push(("model.safetensors".to_owned(), rewritten(&weights, &Lora::none(), base)?));
        files.extend(extras.files(&description.config, &base.display().to_string())?);
        return Ok(Merged { files, kind: "PREFIX_TUNING", parts: extras.prefix });
    }
    let lora = Lora::read(adapter)?;
    files.push(("model.safetensors".to_owned(), rewritten(&weights, &lora, adapter)?));
    files.extend(extras.files(&description.config, &base.display().to_string())?);
    Ok(Merged { files, kind: "LORA", parts: lora.pairs.len() })
}

/// Tells whether a name in an adapter means a tensor of a file: one may have more in front than the other.
fn is_same(name: &str, tensor: &str) -> bool {
    let Some(tensor) = tensor.strip_suffix(".weight") else { return false };
    let ends = |long: &str, short: &str| {
        long.strip_suffix(short).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    ends(name, tensor) || ends(tensor, name)
}

/// Returns the bytes of one weights file in which the matrices of LoRA are changed, as `f32`.
fn rewritten(weights: &Weights, lora: &Lora, adapter: &Path) -> Result<Vec<u8>, Error> {
    let mut of: FxHashMap<&str, &LoraPair> = FxHashMap::default();
    for pair in &lora.pairs {
        let name =
            weights.tensors().map(|(name, _, _)| name).find(|name| is_same(&pair.name, name));
        let missing = || Error::MissingTensor {
            path: adapter.to_owned(),
            name: format!("{}.weight (of the encoder)", pair.name),
        };
        of.insert(name.ok_or_else(missing)?, pair);
    }
    let mut tensors = Vec::new();
    for (name, dtype, shape) in weights.tensors() {
        let Some(pair) = of.get(name) else {
            tensors.push((name, dtype, shape, weights.raw(name)?));
            continue;
        };
        let wanted = vec![pair.b.len() / lora.rank, pair.a.len() / lora.rank];
        let mut matrix = weights.take_named(name, &wanted)?;
        lora.add(pair, &mut matrix);
        let bytes = matrix.iter().flat_map(|x| x.to_le_bytes()).collect();
        tensors.push((name, Dtype::F32, shape, bytes));
    }
    let damaged = |why: safetensors::SafeTensorError| Error::Weights {
        path: adapter.to_owned(),
        why: why.to_string(),
    };
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        TensorView::new(*dtype, shape.to_vec(), data).map(|view| (*name, view))
    });
    let views = views.collect::<Result<Vec<_>, _>>().map_err(damaged)?;
    safetensors::serialize(views, weights.metadata()).map_err(damaged)
}

impl Lora {
    /// Changes nothing.
    const fn none() -> Self {
        Self { rank: 1, scale: 0.0, pairs: Vec::new() }
    }
}
