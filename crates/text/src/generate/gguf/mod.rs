//! Files of one model with all that belongs to it, as llama.cpp defines them: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod blocks;
mod cursor;
mod file;
mod value;

pub(crate) use file::{Gguf, RawTensor};
pub(crate) use value::Value;
