//! `tastemaker serve`, `tastemaker mcp` and `tastemaker keys`.

mod args;
mod keys;
mod mcp;
mod run;

pub(crate) use args::{Keys, Mcp, Serve};
pub(crate) use keys::run as keys;
pub(crate) use mcp::run as mcp;
pub(crate) use run::run;
