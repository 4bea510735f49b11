//! Tuning of a text encoder on what users did, or on texts alone: what is trained, the loop, and the tasks it can learn.

mod adapt;
mod encode;
mod head;
mod learner;
mod parts;
mod prepare;
mod profile;
mod ranks;
mod run;
mod settings;
mod tasks;

pub use prepare::prepare;
pub use profile::TextProfile;
pub use run::{Encoder, Tuned, tune};
pub use settings::{HeadStart, LoraTarget, TuneSettings, What};
pub use tasks::{AugmentSettings, TaskData, TuneTask};
