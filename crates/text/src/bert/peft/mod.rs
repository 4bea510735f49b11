//! Adapters as PEFT writes them: LoRA and prefixes, written, read, and put into a plain folder.

mod lora;
mod merge;

pub use lora::{Lora, LoraPair};
pub use merge::{Merged, merge_adapter};
