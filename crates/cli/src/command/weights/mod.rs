//! `tastemaker weights`: language models as files.

mod args;
mod inspect;
mod prune;
mod quantize;
mod run;

pub(crate) use args::Weights;
pub(crate) use run::run;
