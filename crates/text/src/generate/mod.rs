//! Generating text: models of a GGUF file computed in process, and what a reply may look like.

mod decoder;
pub(crate) mod form;
mod gguf;
mod talk;
mod tokens;

pub use talk::{GgufChat, GgufFacts, GgufSettings};
