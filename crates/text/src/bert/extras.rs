//! What a tuned folder holds beside BERT's own tensors: bottleneck adapters in `adapters/`, a prefix in `prefix/`.
//!
//! Adapters have a form of their own: `config.json` says how wide they are, `model.safetensors` names tensors as the encoder in
//! training does. A prefix is in PEFT's form: `prompt_embeddings: [tokens, 2 * layers * hidden]`, a layer's keys before its values.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Deserialize;
use serde_json::{Value, json};

use super::architecture::Architecture;
use super::config::{BertConfig, JSON_LIMIT, optional, parse, read_limited};
use super::weights::Weights;
use crate::Error;
use crate::cache::Digest;

/// Widest adapter and longest prefix.
const MOST: usize = 4096;
const ADAPTERS: &str = "adapters";
const PREFIX: &str = "prefix";
/// What PEFT calls the two files of its folders.
pub(crate) const PEFT_CONFIG: &str = "adapter_config.json";
pub(crate) const PEFT_WEIGHTS: &str = "adapter_model.safetensors";
/// What PEFT calls the tensor of a prefix.
const PROMPT: &str = "prompt_embeddings";

/// The extras of a folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExtraTensors {
    /// Width of the adapters; 0 where there are none.
    pub(crate) adapters: usize,
    /// Tokens of the prefix; 0 where there is none.
    pub(crate) prefix: usize,
    tensors: BTreeMap<String, Vec<f32>>,
}

#[derive(Deserialize)]
struct AdapterConfig {
    width: usize,
    activation: String,
}

#[derive(Deserialize)]
struct PrefixConfig {
    peft_type: String,
    num_virtual_tokens: usize,
    num_layers: Option<usize>,
    token_dim: Option<usize>,
}

/// The parts of a layer that an adapter stands behind.
pub(crate) const PLACES: [&str; 2] = ["attention.output", "output"];

fn within(path: &Path, name: &str, n: usize) -> Result<usize, Error> {
    if (1..=MOST).contains(&n) {
        return Ok(n);
    }
    let why = format!("`{name}` must be between 1 and {MOST}, is {n}");
    Err(Error::Config { path: path.to_owned(), why })
}

impl ExtraTensors {
    /// Reads the extras of a folder, of which it may have none.
    pub(crate) fn read(folder: &Path, config: &BertConfig) -> Result<Self, Error> {
        let mut own = Self::default();
        own.read_adapters(&folder.join(ADAPTERS), config)?;
        own.read_prefix(&folder.join(PREFIX), config)?;
        Ok(own)
    }

    fn read_adapters(&mut self, folder: &Path, config: &BertConfig) -> Result<(), Error> {
        let path = folder.join("config.json");
        let Some(AdapterConfig { width, activation }) = optional(&path)? else { return Ok(()) };
        self.adapters = within(&path, "width", width)?;
        if activation != "gelu" {
            let (field, found) = ("activation", format!("`{activation}`"));
            return Err(Error::Unsupported { path, field, found, supported: "`gelu`" });
        }
        let file = Weights::open(folder, Architecture::Bert)?;
        let hidden = config.hidden_size;
        for layer in 0..config.num_hidden_layers {
            for place in PLACES {
                for (half, to, from) in [("down", width, hidden), ("up", hidden, width)] {
                    let name = format!("encoder.layer.{layer}.{place}.adapter.{half}");
                    for (kind, shape) in [("weight", &[to, from][..]), ("bias", &[to])] {
                        let name = format!("{name}.{kind}");
                        self.tensors.insert(name.clone(), file.take(&name, shape)?);
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads a prefix, where the folder has one.
    pub(crate) fn read_prefix(&mut self, folder: &Path, config: &BertConfig) -> Result<(), Error> {
        let path = folder.join(PEFT_CONFIG);
        if !path.exists() {
            return Ok(());
        }
        let said: PrefixConfig = parse(&path, &read_limited(&path, JSON_LIMIT)?)?;
        if said.peft_type != "PREFIX_TUNING" {
            let (field, found) = ("peft_type", format!("`{}`", said.peft_type));
            return Err(Error::Unsupported { path, field, found, supported: "`PREFIX_TUNING`" });
        }
        if config.is_pruned() {
            let why = "was learnt for an encoder with all its heads, this one has `pruned_heads`";
            return Err(Error::Config { path, why: why.to_owned() });
        }
        let tokens = within(&path, "num_virtual_tokens", said.num_virtual_tokens)?;
        let (hidden, layers) = (config.hidden_size, config.num_hidden_layers);
        for (field, said, own) in
            [("num_layers", said.num_layers, layers), ("token_dim", said.token_dim, hidden)]
        {
            if let Some(said) = said.filter(|said| *said != own) {
                let why = format!("`{field}` is {said}, the encoder's is {own}");
                return Err(Error::Config { path, why });
            }
        }
        if tokens + 3 > config.positions() {
            let why = format!(
                "`num_virtual_tokens` {tokens} leaves no positions of the encoder's {} for texts",
                config.positions()
            );
            return Err(Error::Config { path, why });
        }
        let file = Weights::open_file(&folder.join(PEFT_WEIGHTS), Architecture::Bert)?;
        let prompt = file.take(PROMPT, &[tokens, 2 * layers * hidden])?;
        for layer in 0..layers {
            for (which, name) in ["keys", "values"].into_iter().enumerate() {
                let rows = prompt.chunks_exact(2 * layers * hidden);
                let start = (2 * layer + which) * hidden;
                let rows = rows.flat_map(|row| &row[start..start + hidden]).copied().collect();
                self.tensors.insert(format!("encoder.layer.{layer}.attention.prefix.{name}"), rows);
            }
        }
        self.prefix = tokens;
        Ok(())
    }

    /// Returns the files of all extras, by name.
    pub(crate) fn files(
        &self,
        config: &BertConfig,
        base: &str,
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let (hidden, mut files) = (config.hidden_size, Vec::new());
        if self.adapters > 0 {
            let own = self.tensors.iter().filter(|(name, _)| name.contains(".adapter."));
            let own: Vec<_> = own
                .map(|(name, numbers)| {
                    let is_down = name.contains(".down.");
                    let to = if is_down { self.adapters } else { hidden };
                    let rows = if name.ends_with(".bias") {
                        vec![to]
                    } else {
                        vec![to, numbers.len() / to]
                    };
                    (name.clone(), rows, numbers.clone())
                })
                .collect();
            files.extend(adapter_files(self.adapters, &own)?);
        }
        if self.prefix > 0 {
            let part = |layer: usize, which: &str| {
                self.take(&format!("encoder.layer.{layer}.attention.prefix.{which}"))
            };
            let layers: Vec<[&[f32]; 2]> = (0..config.num_hidden_layers)
                .map(|layer| ["keys", "values"].map(|which| part(layer, which)))
                .collect();
            let sizes = (self.prefix, hidden, config.num_attention_heads);
            files.extend(prefix_files(sizes, &layers, base)?);
        }
        Ok(files)
    }

    /// Returns the numbers of a tensor, 0 of them where it is not there.
    pub(crate) fn take(&self, name: &str) -> &[f32] {
        self.tensors.get(name).map_or(&[], Vec::as_slice)
    }

    /// Adds all numbers.
    pub(crate) fn digest(&self, digest: &mut Digest) {
        for (name, numbers) in &self.tensors {
            digest.bytes(name.as_bytes());
            for block in numbers.chunks(1 << 16) {
                digest.bytes(&block.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
            }
        }
    }
}

/// Returns the bytes of one safetensors file.
pub(crate) fn safetensors_bytes(
    path: &Path,
    tensors: &[(String, Vec<usize>, Vec<f32>)],
) -> Result<Vec<u8>, Error> {
    let damaged = |why: safetensors::SafeTensorError| Error::Weights {
        path: path.to_owned(),
        why: why.to_string(),
    };
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, numbers)| numbers.iter().flat_map(|x| x.to_le_bytes()).collect())
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name, view))
    });
    let views = views.collect::<Result<Vec<_>, _>>().map_err(damaged)?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize(views, Some(metadata)).map_err(damaged)
}

/// Returns the files of adapters, by name.
pub(crate) fn adapter_files(
    width: usize,
    tensors: &[(String, Vec<usize>, Vec<f32>)],
) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let config = json!({ "format": "tastemaker-adapters", "version": 1, "width": width,
        "activation": "gelu" });
    let name = format!("{ADAPTERS}/model.safetensors");
    let bytes = safetensors_bytes(Path::new(&name), tensors)?;
    Ok(vec![(format!("{ADAPTERS}/config.json"), pretty(&config)), (name, bytes)])
}

/// Returns the files of a prefix, by name; `layers` are keys and values, each `[tokens, hidden]`.
pub(crate) fn prefix_files(
    (tokens, hidden, heads): (usize, usize, usize),
    layers: &[[&[f32]; 2]],
    base: &str,
) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let config = json!({
        "peft_type": "PREFIX_TUNING", "task_type": "FEATURE_EXTRACTION", "inference_mode": true,
        "base_model_name_or_path": base, "num_virtual_tokens": tokens, "token_dim": hidden,
        "num_transformer_submodules": 1, "num_attention_heads": heads, "num_layers": layers.len(),
        "encoder_hidden_size": hidden, "prefix_projection": false, "revision": Value::Null,
    });
    let mut prompt = Vec::with_capacity(tokens * 2 * layers.len() * hidden);
    for token in 0..tokens {
        for part in layers.iter().flatten() {
            prompt.extend_from_slice(&part[token * hidden..(token + 1) * hidden]);
        }
    }
    let name = format!("{PREFIX}/{PEFT_WEIGHTS}");
    let shape = vec![tokens, 2 * layers.len() * hidden];
    let bytes = safetensors_bytes(Path::new(&name), &[(PROMPT.to_owned(), shape, prompt)])?;
    Ok(vec![(format!("{PREFIX}/{PEFT_CONFIG}"), pretty(&config)), (name, bytes)])
}

pub(crate) fn pretty(value: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap_or_default()
}
