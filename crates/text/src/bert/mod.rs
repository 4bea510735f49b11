//! BERT-family encoders read from a Hugging Face folder and computed in process.

mod architecture;
mod config;
mod encoder;
mod heads;
mod model;
mod modules;
mod prune;
mod tokenise;
mod tune;
mod weights;

pub(crate) use architecture::Architecture;
pub use config::{BertSettings, Pooling, Precision, Summary};
pub(crate) use config::{Description, JSON_LIMIT, optional, parse, read_limited, read_tokenizer};
pub use encoder::BertEncoder;
pub use prune::{Cut, Pruned, PrunedLayer, prune};
pub use tokenise::Tokens as BertTokens;
pub(crate) use tokenise::{Limits, Tokeniser};
pub use tune::{NamedTensor, TunableBert, TuneState, Wanted};
pub(crate) use weights::Weights;
