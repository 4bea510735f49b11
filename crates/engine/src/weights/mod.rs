//! Language models as files: what a folder holds, what smaller numbers cost, adapters put into their encoder.

mod inspect;
mod merge;
mod quantize;

pub use inspect::inspect;
pub use merge::{MergeReport, merge};
pub use quantize::{PrecisionRow, Quantize, Quantized};
pub use tastemaker_text::{ModelFacts, Precision, TensorFacts, TokenizerFacts};
