//! `tastemaker bench`: what the server does under load.

mod args;
mod run;
mod server;

pub(crate) use args::Bench;
pub(crate) use run::run;
