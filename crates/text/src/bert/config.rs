//! What a model folder says about itself: `config.json`, `sentence_bert_config.json`, `1_Pooling/config.json`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tastemaker_kernels::WeightFormat;

use crate::Error;

/// Largest JSON file that is read.
pub(crate) const JSON_LIMIT: u64 = 64 << 20;

/// How the vectors of a text's tokens become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// As the model folder says in `1_Pooling/config.json`; mean where it says nothing.
    #[default]
    Auto,
    /// Their mean.
    Mean,
    /// The vector of the first token.
    Cls,
}

/// What the products of the model are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// `f32`: as the model was published.
    #[default]
    F32,
    /// bfloat16: four times as fast on processors with AMX; slower than `f32` on Intel's others, not measured on AMD's.
    Bf16,
    /// Bytes, with a scale for each output of a layer and each token: a quarter of the memory. Fast with AMX or
    /// AVX-512 VNNI.
    Int8,
}

impl From<Precision> for WeightFormat {
    fn from(format: Precision) -> Self {
        match format {
            Precision::F32 => Self::Single,
            Precision::Bf16 => Self::Half,
            Precision::Int8 => Self::Byte,
        }
    }
}

/// How a model folder is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BertSettings {
    /// How token vectors become one.
    pub pooling: Pooling,
    /// Tokens of a text that are read, with its two marks; as the model folder says, else 256.
    pub max_tokens: Option<usize>,
    /// Scales vectors to length 1.
    pub normalise: bool,
    /// What products are made of: `f32`, `bf16` or `int8`.
    pub precision: Precision,
}

impl Default for BertSettings {
    fn default() -> Self {
        Self {
            pooling: Pooling::Auto,
            max_tokens: None,
            normalise: true,
            precision: Precision::F32,
        }
    }
}

/// The fields of `config.json` that the computation depends on.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct BertConfig {
    model_type: Option<String>,
    hidden_act: String,
    position_embedding_type: Option<String>,
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) max_position_embeddings: usize,
    pub(crate) type_vocab_size: usize,
    pub(crate) layer_norm_eps: f32,
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize)]
struct PoolingConfig {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
}

/// Everything about a model but its weights and words.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) config: BertConfig,
    pub(crate) pooling: Pooling,
    pub(crate) max_tokens: usize,
    /// The bytes of `config.json`.
    pub(crate) bytes: Vec<u8>,
}

impl Description {
    /// Reads and checks the folder's descriptions.
    pub(crate) fn read(folder: &Path, settings: &BertSettings) -> Result<Self, Error> {
        let path = folder.join("config.json");
        let bytes = read_limited(&path, JSON_LIMIT)?;
        let config: BertConfig = parse(&path, &bytes)?;
        config.check(&path)?;
        let pooling = match settings.pooling {
            Pooling::Auto => read_pooling(&folder.join("1_Pooling/config.json"))?,
            chosen => chosen,
        };
        let said = optional::<SentenceConfig>(&folder.join("sentence_bert_config.json"))?;
        let max_tokens = settings.max_tokens.or(said.and_then(|c| c.max_seq_length)).unwrap_or(256);
        let max_tokens = max_tokens.min(config.max_position_embeddings);
        if max_tokens < 3 {
            return Err(Error::setting(
                "max_tokens",
                format!("must be at least 3, is {max_tokens}"),
            ));
        }
        Ok(Self { config, pooling, max_tokens, bytes })
    }
}

impl BertConfig {
    fn check(&self, path: &Path) -> Result<(), Error> {
        let unsupported = |field, found: &str, supported| {
            Err(Error::Unsupported {
                path: path.to_owned(),
                field,
                found: format!("`{found}`"),
                supported,
            })
        };
        match self.model_type.as_deref() {
            Some("bert") => {}
            other => return unsupported("model_type", other.unwrap_or("missing"), "`bert`"),
        }
        if self.hidden_act != "gelu" {
            return unsupported("hidden_act", &self.hidden_act, "`gelu`");
        }
        match self.position_embedding_type.as_deref() {
            None | Some("absolute") => {}
            Some(other) => return unsupported("position_embedding_type", other, "`absolute`"),
        }
        let sizes = [
            ("vocab_size", self.vocab_size, 10_000_000),
            ("hidden_size", self.hidden_size, 16_384),
            ("num_hidden_layers", self.num_hidden_layers, 256),
            ("num_attention_heads", self.num_attention_heads, 256),
            ("intermediate_size", self.intermediate_size, 65_536),
            ("max_position_embeddings", self.max_position_embeddings, 65_536),
            ("type_vocab_size", self.type_vocab_size, 256),
        ];
        let config = |why| Err(Error::Config { path: path.to_owned(), why });
        for (field, value, most) in sizes {
            if !(1..=most).contains(&value) {
                return config(format!("`{field}` must be between 1 and {most}, is {value}"));
            }
        }
        let (hidden, heads) = (self.hidden_size, self.num_attention_heads);
        if !hidden.is_multiple_of(heads) {
            return config(format!(
                "`hidden_size` {hidden} is no multiple of `num_attention_heads` {heads}"
            ));
        }
        if !(self.layer_norm_eps >= 0.0 && self.layer_norm_eps < 1.0) {
            let eps = self.layer_norm_eps;
            return config(format!("`layer_norm_eps` must be between 0 and 1, is {eps}"));
        }
        Ok(())
    }
}

fn read_pooling(path: &Path) -> Result<Pooling, Error> {
    match optional::<PoolingConfig>(path)? {
        None => Ok(Pooling::Mean),
        Some(PoolingConfig { pooling_mode_mean_tokens: true, pooling_mode_cls_token: false }) => {
            Ok(Pooling::Mean)
        }
        Some(PoolingConfig { pooling_mode_mean_tokens: false, pooling_mode_cls_token: true }) => {
            Ok(Pooling::Cls)
        }
        Some(_) => Err(Error::Unsupported {
            path: path.to_owned(),
            field: "pooling_mode",
            found: "neither".to_owned(),
            supported: "mean or CLS",
        }),
    }
}

fn optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    match read_limited(path, JSON_LIMIT) {
        Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => parse(path, &bytes?).map(Some),
    }
}

/// Reads JSON of this kind; `path` is named in errors.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes)
        .map_err(|fault| Error::Config { path: path.to_owned(), why: fault.to_string() })
}

/// Reads a whole file, unless it is larger than `limit`.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(Error::read(path))?;
    let size = file.metadata().map_err(Error::read(path))?.len();
    if size > limit {
        return Err(Error::TooLarge { path: path.to_owned(), size, limit });
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(limit).read_to_end(&mut bytes).map_err(Error::read(path))?;
    Ok(bytes)
}

/// Reads `tokenizer.json`.
pub(crate) fn read_tokenizer(path: &Path) -> Result<Vec<u8>, Error> {
    read_limited(path, JSON_LIMIT)
}
