//! A BERT encoder that learns: forward with kept activations, backward, and the folder that is written in the end.

mod export;
mod layer;
mod model;
mod places;

pub(super) use export::COPIED;
pub use model::{TunableBert, TuneState};
pub use places::{NamedTensor, Wanted};
