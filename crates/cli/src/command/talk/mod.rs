//! `tastemaker chat-rec` and `tastemaker profile`.

mod args;
mod profile;
mod run;

pub(crate) use args::{ChatRec, ProfileArgs};
pub(crate) use profile::profile;
pub(crate) use run::run;
