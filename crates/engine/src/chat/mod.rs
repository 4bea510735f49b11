//! Models that write: on this machine from a GGUF file, or behind an address.

mod open;
mod settings;
mod talk;
mod writer;

pub use open::{Opened, open};
pub use settings::ChatSettings;
pub use talk::{Talked, talk};
pub use tastemaker_text::{
    ChatModel, ChatRequest, Ended, GgufChat, GgufFacts, GgufSettings, Likelihood, LogProb, Reply,
    ReplyForm, ReplySettings, Role, Turn,
};
pub use writer::{Ceiling, Writer};
