//! `tastemaker serve`, `tastemaker mcp` and `tastemaker keys`.

mod args;
mod keys;
mod mcp;
mod run;

pub(crate) use args::{Keys, Mcp, Serve, StoreArgs};
pub(crate) use keys::{COMMAND_LINE, run as keys};
pub(crate) use mcp::run as mcp;
pub(crate) use run::{run, runtime, told_to_end};
