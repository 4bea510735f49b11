//! Looking into language models: what a folder holds, and what smaller numbers cost.

mod inspect;
mod quantize;

pub use inspect::inspect;
pub use quantize::{PrecisionRow, Quantize, Quantized};
pub use tastemaker_text::{ModelFacts, Precision, TensorFacts, TokenizerFacts};
