//! What a model folder says about itself: `config.json`, `sentence_bert_config.json`, `tokenizer_config.json`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tastemaker_kernels::WeightFormat;

use super::architecture::{Architecture, MODEL_TYPES, first_position};
use super::modules::Modules;
use super::prune::kept_heads;
use super::tokenise::Limits;
use crate::Error;

/// Largest JSON file that is read.
pub(crate) const JSON_LIMIT: u64 = 64 << 20;
/// Tokens of a text that are read where nothing says how many.
const MAX_TOKENS: usize = 256;
/// Most windows that a text may have.
const MAX_WINDOWS: usize = 64;
/// Largest width of a vector.
pub(crate) const MAX_WIDTH: usize = 16_384;

/// How the vectors of a text's tokens become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// As the model folder says in `modules.json` and `1_Pooling/config.json`; mean where it says nothing.
    #[default]
    Auto,
    /// Their mean.
    Mean,
    /// The vector of the first token.
    Cls,
    /// The greatest of each number.
    Max,
    /// The vector of the last token.
    Last,
}

/// How a text that is too long for the model is shortened before it is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Summary {
    /// Not at all.
    #[default]
    Off,
    /// To the sentences that are most like the others, in their order (`TextRank`, Mihalcea and Tarau 2004).
    Textrank,
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
    /// Windows of `max_tokens` that a text may have, 1 to 64; their vectors are averaged by their tokens.
    pub windows: usize,
    /// Tokens at the start of a window that the one before ends with; below `max_tokens`.
    pub overlap: usize,
    /// How texts of more tokens than that are shortened.
    pub summary: Summary,
}

impl Default for BertSettings {
    fn default() -> Self {
        Self {
            pooling: Pooling::Auto,
            max_tokens: None,
            normalise: true,
            precision: Precision::F32,
            windows: 1,
            overlap: 0,
            summary: Summary::Off,
        }
    }
}

/// The fields of `config.json` that the computation depends on, under BERT's names.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct BertConfig {
    hidden_act: String,
    position_embedding_type: Option<String>,
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) max_position_embeddings: usize,
    /// 0 where tokens have no types.
    pub(crate) type_vocab_size: usize,
    pub(crate) layer_norm_eps: f32,
    pad_token_id: Option<i64>,
    pruned_heads: Option<Value>,
    /// The heads that each layer has, by their numbers before any was pruned.
    #[serde(skip)]
    pub(crate) heads: Vec<Vec<usize>>,
    /// The padding token, where positions are counted from its number + 1.
    #[serde(skip)]
    pub(crate) padding: Option<u32>,
    #[serde(skip, default = "bert")]
    pub(crate) architecture: Architecture,
}

const fn bert() -> Architecture {
    Architecture::Bert
}

/// The same fields as `DistilBERT` has them.
#[derive(Deserialize)]
struct DistilConfig {
    activation: String,
    vocab_size: usize,
    dim: usize,
    n_layers: usize,
    n_heads: usize,
    hidden_dim: usize,
    max_position_embeddings: usize,
    pruned_heads: Option<Value>,
}

impl From<DistilConfig> for BertConfig {
    fn from(config: DistilConfig) -> Self {
        Self {
            hidden_act: config.activation,
            position_embedding_type: None,
            vocab_size: config.vocab_size,
            hidden_size: config.dim,
            num_hidden_layers: config.n_layers,
            num_attention_heads: config.n_heads,
            intermediate_size: config.hidden_dim,
            max_position_embeddings: config.max_position_embeddings,
            type_vocab_size: 0,
            // Not in its `config.json`: written down in its code.
            layer_norm_eps: 1e-12,
            pad_token_id: None,
            pruned_heads: config.pruned_heads,
            heads: Vec::new(),
            padding: None,
            architecture: Architecture::Distil,
        }
    }
}

#[derive(Deserialize)]
struct ModelType {
    model_type: Option<String>,
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize)]
struct TokenizerConfig {
    model_max_length: Option<f64>,
}

impl TokenizerConfig {
    /// Returns the limit, unless it is the vast number that stands for none.
    fn length(self) -> Option<usize> {
        let length = self.model_max_length.filter(|length| (1.0..1e6).contains(length));
        length.map(|length| length as usize)
    }
}

/// Everything about a model but its weights and words.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) config: BertConfig,
    pub(crate) pooling: Pooling,
    /// Folders of dense layers behind the pooling.
    pub(crate) dense: Vec<PathBuf>,
    pub(crate) max_tokens: usize,
    /// The bytes of `config.json`.
    pub(crate) bytes: Vec<u8>,
}

impl Description {
    /// Reads and checks the folder's descriptions.
    pub(crate) fn read(folder: &Path, settings: &BertSettings) -> Result<Self, Error> {
        let path = folder.join("config.json");
        let bytes = read_limited(&path, JSON_LIMIT)?;
        let config = BertConfig::read(&path, &bytes)?;
        let Modules { pooling, dense } = Modules::read(folder)?;
        let pooling = match settings.pooling {
            Pooling::Auto => pooling,
            chosen => chosen,
        };
        let said = optional::<SentenceConfig>(&folder.join("sentence_bert_config.json"))?;
        let said = match said.and_then(|config| config.max_seq_length) {
            Some(length) => Some(length),
            None => optional::<TokenizerConfig>(&folder.join("tokenizer_config.json"))?
                .and_then(TokenizerConfig::length),
        };
        let max_tokens = settings.max_tokens.or(said).unwrap_or(MAX_TOKENS);
        let max_tokens = max_tokens.min(config.positions());
        if max_tokens < 3 {
            return Err(Error::setting(
                "max_tokens",
                format!("must be at least 3, is {max_tokens}"),
            ));
        }
        Ok(Self { config, pooling, dense, max_tokens, bytes })
    }
}

impl Description {
    /// Returns how much of a text is read.
    pub(crate) fn limits(&self, settings: &BertSettings) -> Result<Limits, Error> {
        let BertSettings { windows, overlap, summary, .. } = *settings;
        if !(1..=MAX_WINDOWS).contains(&windows) {
            let problem = format!("must be between 1 and {MAX_WINDOWS}, is {windows}");
            return Err(Error::setting("windows", problem));
        }
        Ok(Limits { max_tokens: self.max_tokens, windows, overlap, summary })
    }
}

impl BertConfig {
    /// Reads and checks `config.json` of any family that can be computed.
    fn read(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let ModelType { model_type } = parse(path, bytes)?;
        let name = model_type.as_deref();
        let mut config = match name.and_then(Architecture::named) {
            Some(Architecture::Bert) => parse::<Self>(path, bytes)?,
            Some(Architecture::Roberta) => {
                let config: Self = parse(path, bytes)?;
                let padding = u32::try_from(config.pad_token_id.unwrap_or(1)).map_err(|_| {
                    let why = "`pad_token_id` is no number of a token".to_owned();
                    Error::Config { path: path.to_owned(), why }
                })?;
                Self { padding: Some(padding), architecture: Architecture::Roberta, ..config }
            }
            Some(Architecture::Distil) => parse::<DistilConfig>(path, bytes)?.into(),
            None => {
                let found = format!("`{}`", name.unwrap_or("missing"));
                let (path, field) = (path.to_owned(), "model_type");
                return Err(Error::Unsupported { path, field, found, supported: MODEL_TYPES });
            }
        };
        config.check(path)?;
        let shape = (config.num_hidden_layers, config.num_attention_heads);
        config.heads = kept_heads(config.pruned_heads.as_ref(), shape)
            .map_err(|why| Error::Config { path: path.to_owned(), why })?;
        Ok(config)
    }

    /// Counts the numbers of a head.
    pub(crate) const fn head_width(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Tells whether a layer has lost heads.
    pub(crate) fn is_pruned(&self) -> bool {
        self.heads.iter().any(|kept| kept.len() < self.num_attention_heads)
    }

    /// Counts the tokens that have a position.
    pub(crate) const fn positions(&self) -> usize {
        self.max_position_embeddings.saturating_sub(first_position(self.padding) as usize)
    }

    /// Returns the types of tokens that a tokenizer may give; where the model has none, it looks at none.
    pub(crate) const fn token_types(&self) -> usize {
        if self.type_vocab_size == 0 { usize::MAX } else { self.type_vocab_size }
    }

    fn check(&self, path: &Path) -> Result<(), Error> {
        let unsupported = |field, found: &str, supported| {
            Err(Error::Unsupported {
                path: path.to_owned(),
                field,
                found: format!("`{found}`"),
                supported,
            })
        };
        if self.hidden_act != "gelu" {
            return unsupported("hidden_act", &self.hidden_act, "`gelu`");
        }
        match self.position_embedding_type.as_deref() {
            None | Some("absolute") => {}
            Some(other) => return unsupported("position_embedding_type", other, "`absolute`"),
        }
        let has_types = self.architecture != Architecture::Distil;
        let types = if has_types { self.type_vocab_size } else { 1 };
        let sizes = [
            ("vocab_size", self.vocab_size, 10_000_000),
            ("hidden_size", self.hidden_size, MAX_WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, 256),
            ("num_attention_heads", self.num_attention_heads, 256),
            ("intermediate_size", self.intermediate_size, 65_536),
            ("max_position_embeddings", self.max_position_embeddings, 65_536),
            ("type_vocab_size", types, 256),
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
        if let Some(padding) = self.padding.filter(|_| self.positions() < 3) {
            let most = self.max_position_embeddings;
            return config(format!(
                "`pad_token_id` {padding} leaves no positions of the {most} of `max_position_embeddings`"
            ));
        }
        if !(self.layer_norm_eps >= 0.0 && self.layer_norm_eps < 1.0) {
            let eps = self.layer_norm_eps;
            return config(format!("`layer_norm_eps` must be between 0 and 1, is {eps}"));
        }
        Ok(())
    }
}

/// Reads JSON of this kind, if the file is there.
pub(crate) fn optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
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
