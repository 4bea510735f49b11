//! Tuning of a text encoder on what users did, or on texts alone: what is trained, the loop, and the tasks it can learn.

mod adapt;
mod encode;
mod learner;
mod profile;
mod run;
mod settings;
mod tasks;

pub use profile::TextProfile;
pub use run::{Encoder, Tuned, tune};
pub use settings::{LoraTarget, TuneSettings, What};
pub use tasks::{AugmentSettings, TaskData, TuneTask};
