//! BERT-family encoders read from a Hugging Face folder and computed in process.

mod config;
mod encoder;
mod model;
mod tokenise;
mod tune;
mod weights;

pub use config::{BertSettings, Pooling, Precision};
pub use encoder::BertEncoder;
pub use tokenise::Tokens as BertTokens;
pub use tune::{NamedTensor, TunableBert, TuneState, Wanted};
