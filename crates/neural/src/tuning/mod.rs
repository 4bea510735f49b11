//! Two-tower tuning of a text encoder on what users did: the texts of what they took should lead to the text of what they took
//! next.

mod adapt;
mod batch;
mod contrast;
mod encode;
mod head;
mod learner;
mod parts;
mod prepare;
mod profile;
mod run;
mod settings;

pub use prepare::prepare;
pub use profile::TextProfile;
pub use run::{Encoder, Tuned, tune};
pub use settings::{HeadStart, LoraTarget, TuneSettings, What};
