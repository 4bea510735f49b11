//! The tuned model as the files of a Hugging Face folder: everything as it was read, but the weights.

use std::ops::Range;

use rustc_hash::FxHashMap;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::model::TunableBert;
use super::places::NamedTensor;
use crate::Error;
use crate::bert::config::{JSON_LIMIT, read_limited};
use crate::bert::weights::Weights;

/// Files that are taken over where they are there; the first two always are.
pub(in crate::bert) const COPIED: [&str; 12] = [
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
    "modules.json",
    "1_Pooling/config.json",
];

impl TunableBert {
    /// Returns the files of the folder with these weights, by name. Tensors that the computation does not depend on, such
    /// as a pooler's, are taken over.
    pub fn files(&self, weights: &[f32]) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut files = Vec::new();
        for (at, name) in COPIED.into_iter().enumerate() {
            let path = self.dir.join(name);
            if at < 2 || path.exists() {
                files.push((name.to_owned(), read_limited(&path, JSON_LIMIT)?));
            }
        }
        files.push(("model.safetensors".to_owned(), self.replaced(weights)?));
        Ok(files)
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
