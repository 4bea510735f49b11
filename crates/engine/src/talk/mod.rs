//! Talks about recommendations: items come from the engine, words from `dialog`, and a language model may help with both.

mod answers;
mod conversation;
mod lexicon;
mod profile;
mod suggest;

pub use conversation::{Conversation, ConversationSettings, TalkState, TurnReply};
pub use profile::{Described, Profile, ProfileFile};
