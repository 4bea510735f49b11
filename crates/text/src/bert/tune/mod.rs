//! A BERT encoder that learns: forward with kept activations, backward, and the folder that is written in the end.

mod adapter;
mod attend;
mod export;
mod extend;
mod layer;
mod model;
mod places;

pub use export::DenseLayer;
pub(super) use export::plain_files;
pub use model::{Dropout, TunableBert, TuneBlock, TuneReading, TuneState};
pub use places::{NamedTensor, Wanted};
