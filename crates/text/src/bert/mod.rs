//! BERT-family encoders read from a Hugging Face folder and computed in process.

mod config;
mod encoder;
mod model;
mod tokenise;
mod tune;
mod weights;

pub use config::{BertSettings, Pooling, Precision};
pub(crate) use config::{Description, JSON_LIMIT, parse, read_limited, read_tokenizer};
pub use encoder::BertEncoder;
pub(crate) use tokenise::Tokeniser;
pub use tokenise::Tokens as BertTokens;
pub use tune::{NamedTensor, TunableBert, TuneState, Wanted};
pub(crate) use weights::{WEIGHTS_LIMIT, Weights};
