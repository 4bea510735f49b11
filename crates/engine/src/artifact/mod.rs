//! Fitted models and fits under way as files.

mod checkpoint;
mod model;
mod tensors;

pub(crate) use checkpoint::Folder;
pub use checkpoint::forget_training;
pub use model::{FORMAT, Manifest, PartRecord, open, save};
