//! Work that takes long and goes on beside the answers: a model trained anew, in a process of its own.

pub(crate) mod api;
mod board;
mod child;
mod job;
mod retrain;
mod schedule;
mod snapshot;

pub(crate) use board::Board;
pub(crate) use job::{Job, State};
