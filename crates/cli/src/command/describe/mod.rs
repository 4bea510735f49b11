//! `tastemaker describe`.

mod args;
mod run;

pub(crate) use args::Describe;
pub(crate) use run::run;
