//! Sequence models: a history in order to the vector of what comes next, scored against item vectors.

mod learner;
mod model;
mod network;
mod settings;
mod tower;
mod windows;

pub use model::{Esasrec, EsasrecSettings, Sasrec, SasrecSettings, Sequence};
pub use settings::{Loss, Positions, SequenceSettings, TextUse, Variant};
