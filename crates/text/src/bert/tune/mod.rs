//! A BERT encoder that learns: forward with kept activations, backward, and the folder that is written in the end.

mod export;
mod layer;
mod model;
mod places;

pub use model::{TunableBert, TuneBlock, TuneReading, TuneState};
pub use places::{NamedTensor, Wanted};
