//! The tuned model as the files of a Hugging Face folder: everything as it was read, but the weights.

use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::model::TunableBert;
use crate::Error;
use crate::bert::config::{JSON_LIMIT, read_limited};
use crate::bert::weights::WEIGHTS_LIMIT;

/// Files that are taken over where they are there; the first two always are.
const COPIED: [&str; 9] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
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
        let path = self.dir.join("model.safetensors");
        let bytes = read_limited(&path, WEIGHTS_LIMIT)?;
        files.push(("model.safetensors".to_owned(), self.replaced(&path, &bytes, weights)?));
        Ok(files)
    }

    /// Returns the bytes of a weights file with these weights in their places, as `f32`.
    fn replaced(&self, path: &Path, bytes: &[u8], weights: &[f32]) -> Result<Vec<u8>, Error> {
        let damaged = |why: safetensors::SafeTensorError| Error::Weights {
            path: path.to_owned(),
            why: why.to_string(),
        };
        let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let own = |name: &str| {
            let name = name.strip_prefix("bert.").unwrap_or(name);
            self.tensors.iter().find(|tensor| tensor.name == name)
        };
        let tensors: Vec<_> = file
            .iter()
            .map(|(name, view)| {
                let Some(tensor) = own(name) else {
                    return (name, view.dtype(), view.shape().to_vec(), view.data().to_vec());
                };
                let numbers = &weights[tensor.range.clone()];
                let data = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
                (name, Dtype::F32, tensor.shape.clone(), data)
            })
            .collect();
        let views = tensors.iter().map(|(name, dtype, shape, data)| {
            TensorView::new(*dtype, shape.clone(), data).map(|view| (*name, view))
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(damaged)?;
        safetensors::serialize(views, header.metadata().clone()).map_err(damaged)
    }
}
