//! Fitted models and fits under way as files.

mod checkpoint;
mod curves;
mod model;
mod tensors;
mod whole;

pub(crate) use checkpoint::Folder;
pub use checkpoint::{forget_training, forget_training_of};
pub(crate) use curves::Recorder;
pub use curves::{Training, save_curves};
pub use model::{FORMAT, Manifest, PartRecord, manifest, open, save};
pub(crate) use whole::{PARTIAL, write_all, write_whole};
