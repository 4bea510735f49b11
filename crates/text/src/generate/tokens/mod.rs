//! Turns of a talk to tokens and back: byte-pair encoding by the lists of a GGUF file, and the file's own template of a talk.

mod bytes;
mod pieces;
mod template;
mod tokenizer;

pub(crate) use template::Template;
pub(crate) use tokenizer::Tokenizer;
