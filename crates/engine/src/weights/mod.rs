//! Language models as files: what a folder holds, what smaller numbers cost, what can be taken from it, adapters put into their encoder.

mod inspect;
mod material;
mod merge;
mod prune;
mod quantize;

pub use inspect::inspect;
pub use merge::{MergeReport, merge};
pub use prune::{ModelSide, Prune, PruneReport};
pub use quantize::{PrecisionRow, Quantize, Quantized};
pub use tastemaker_text::{Cut, ModelFacts, Precision, PrunedLayer, TensorFacts, TokenizerFacts};
