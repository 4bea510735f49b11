//! The transformer of Llama (Touvron et al. 2023) and Qwen2 and 3, computed token by token or in blocks.

mod architecture;
mod memory;
mod model;
mod rotary;

pub(crate) use architecture::Architecture;
pub(crate) use memory::Memory;
pub(crate) use model::{Decoder, Entry};
