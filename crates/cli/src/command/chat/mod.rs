//! `tastemaker chat`.

mod args;
mod run;

pub(crate) use args::Chat;
pub(crate) use run::run;
