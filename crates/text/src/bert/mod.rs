//! BERT-family encoders read from a Hugging Face folder and computed in process.

mod architecture;
mod config;
mod encoder;
mod extras;
mod heads;
mod model;
mod modules;
mod peft;
mod prune;
mod tokenise;
mod tune;
mod weights;

pub(crate) use architecture::Architecture;
pub use config::{BertSettings, Pooling, Precision, Summary};
pub(crate) use config::{Description, JSON_LIMIT, optional, parse, read_limited, read_tokenizer};
pub use encoder::BertEncoder;
pub use heads::{BertHead, CrossEncoder, HeadTensor, HeadUse, user_text};
pub use peft::{Lora, LoraPair, Merged, merge_adapter};
pub use prune::{Cut, Pruned, PrunedLayer, prune};
pub(crate) use tokenise::{Limits, Tokeniser};
pub use tokenise::{TokenFacts, Tokens as BertTokens};
pub use tune::{
    DenseLayer, Dropout, NamedTensor, TunableBert, TuneBlock, TuneReading, TuneState, Wanted,
};
pub(crate) use weights::{WEIGHTS_LIMIT, Weights, half_to_f32};
