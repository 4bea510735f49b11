//! Looking into language models: what a folder holds, what smaller numbers cost, and what can be taken from it.

mod inspect;
mod material;
mod prune;
mod quantize;

pub use inspect::inspect;
pub use prune::{ModelSide, Prune, PruneReport};
pub use quantize::{PrecisionRow, Quantize, Quantized};
pub use tastemaker_text::{Cut, ModelFacts, Precision, PrunedLayer, TensorFacts, TokenizerFacts};
