//! What stands on an encoder's outputs in checkpoints of Hugging Face: the head that names masked words, the one that gives labels
//! or a score, and the encoder of pairs of texts that has it.

mod cross;
mod export;
mod names;
mod user;

pub use cross::CrossEncoder;
pub use export::HeadUse;
pub use names::{BertHead, HeadTensor};
pub use user::user_text;
