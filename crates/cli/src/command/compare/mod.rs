//! `tastemaker compare`.

mod args;
mod run;

pub(crate) use args::Compare;
pub(crate) use run::run;
