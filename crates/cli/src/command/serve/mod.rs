//! `tastemaker serve` and `tastemaker keys`.

mod args;
mod keys;
mod run;

pub(crate) use args::{Keys, Serve};
pub(crate) use keys::run as keys;
pub(crate) use run::run;
