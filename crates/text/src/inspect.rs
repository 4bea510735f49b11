//! What a model folder holds, told without computing with it: architecture, sizes, tensors, tokenizer. Weights themselves are read
//! only to find out whether this program can use them.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::Dtype;
use serde::{Deserialize, Serialize};
use tokenizers::Tokenizer;

use crate::bert::{Architecture, Description, JSON_LIMIT, Weights};
use crate::bert::{parse, read_limited, read_tokenizer};
use crate::{BertSettings, Error, Pooling, open};

/// What a model folder says of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelFacts {
    /// What `config.json` calls it, such as `bert`.
    pub model_type: Option<String>,
    /// The classes that `config.json` names.
    pub architectures: Vec<String>,
    /// Sizes that `config.json` gives, by their names there.
    pub sizes: BTreeMap<&'static str, u64>,
    /// The activation of the inner layers.
    pub activation: Option<String>,
    /// How the vectors of tokens become one, where the folder can be used.
    pub pooling: Option<Pooling>,
    /// Tokens of a text that are read, where the folder can be used.
    pub max_tokens: Option<usize>,
    /// Numbers of a vector, where the folder can be used.
    pub dim: Option<usize>,
    /// How texts are cut into tokens.
    pub tokenizer: TokenizerFacts,
    /// Numbers of all tensors together.
    pub parameters: u64,
    /// Bytes of the weights files.
    pub bytes: u64,
    /// Numbers by how they are kept.
    pub types: BTreeMap<String, u64>,
    /// The tensors, in the order of the files.
    pub tensors: Vec<TensorFacts>,
    /// Why this program cannot use the folder; `None` when it can.
    pub problem: Option<String>,
}

/// What `tokenizer.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenizerFacts {
    /// Its model, such as `WordPiece`.
    pub model: Option<String>,
    /// How texts are cleaned before.
    pub normalizer: Option<String>,
    /// How texts are cut into words before.
    pub pre_tokenizer: Option<String>,
    /// Tokens it knows.
    pub tokens: usize,
}

/// A tensor as its file's header has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorFacts {
    /// Its name.
    pub name: String,
    /// How a number is kept, such as `F32`.
    pub dtype: String,
    /// Its sizes.
    pub shape: Vec<usize>,
}

#[derive(Deserialize)]
struct Config {
    model_type: Option<String>,
    architectures: Option<Vec<String>>,
    hidden_act: Option<String>,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

/// Fields of `config.json` that are sizes, in any of the families that are in use.
const SIZES: [&str; 13] = [
    "vocab_size",
    "hidden_size",
    "hidden_dim",
    "dim",
    "num_hidden_layers",
    "n_layers",
    "num_attention_heads",
    "n_heads",
    "num_key_value_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
    "seq_length",
];

/// Tells what is in a Hugging Face folder.
///
/// # Errors
/// When `config.json`, `tokenizer.json` or `model.safetensors` is missing or damaged. A sound folder of a kind that this program cannot
/// use is no error: [`ModelFacts::problem`] says what does not fit.
pub fn inspect(folder: &Path) -> Result<ModelFacts, Error> {
    let path = folder.join("config.json");
    let config: Config = parse(&path, &read_limited(&path, JSON_LIMIT)?)?;
    let tokenizer = tokenizer(&folder.join("tokenizer.json"))?;
    let family = config.model_type.as_deref().and_then(Architecture::named);
    let weights = Weights::open(folder, family.unwrap_or(Architecture::Bert))?;
    let bytes = weights.bytes();
    let fact = |(name, dtype, shape): (&str, Dtype, &[usize])| TensorFacts {
        name: name.to_owned(),
        dtype: format!("{dtype:?}"),
        shape: shape.to_vec(),
    };
    let tensors: Vec<TensorFacts> = weights.tensors().map(fact).collect();
    let mut types = BTreeMap::new();
    for tensor in &tensors {
        // The header was read, so no product is above what the file holds.
        let numbers: u64 = tensor.shape.iter().map(|&n| n as u64).product();
        *types.entry(tensor.dtype.clone()).or_insert(0) += numbers;
    }
    let settings = BertSettings::default();
    let (dim, problem) = match open(folder, &settings) {
        Ok(encoder) => (Some(encoder.dim()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let described = Description::read(folder, &settings).ok().filter(|_| problem.is_none());
    let own_activation = config.others.get("activation").and_then(|name| name.as_str());
    let own_activation = own_activation.map(str::to_owned);
    let size = |name| Some((name, config.others.get(name)?.as_u64()?));
    Ok(ModelFacts {
        sizes: SIZES.into_iter().filter_map(size).collect(),
        model_type: config.model_type,
        architectures: config.architectures.unwrap_or_default(),
        activation: config.hidden_act.or(own_activation),
        pooling: described.as_ref().map(|described| described.pooling),
        max_tokens: described.map(|described| described.max_tokens),
        dim,
        tokenizer,
        parameters: types.values().sum(),
        bytes,
        types,
        tensors,
        problem,
    })
}

fn tokenizer(path: &Path) -> Result<TokenizerFacts, Error> {
    #[derive(Deserialize)]
    struct Part {
        #[serde(rename = "type")]
        kind: Option<String>,
    }
    #[derive(Deserialize)]
    struct Parts {
        model: Part,
        normalizer: Option<Part>,
        pre_tokenizer: Option<Part>,
    }
    let bytes = read_tokenizer(path)?;
    let fault = |why: String| Error::Tokenizer { path: path.to_owned(), why };
    let tokenizer = Tokenizer::from_bytes(&bytes).map_err(|e| fault(e.to_string()))?;
    let parts: Parts = serde_json::from_slice(&bytes).map_err(|e| fault(e.to_string()))?;
    let kind = |part: Option<Part>| part.and_then(|part| part.kind);
    Ok(TokenizerFacts {
        model: parts.model.kind,
        normalizer: kind(parts.normalizer),
        pre_tokenizer: kind(parts.pre_tokenizer),
        tokens: tokenizer.get_vocab_size(true),
    })
}
