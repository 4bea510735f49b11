//! What a saved model answers: lists, likeness, reasons.

mod args;
mod run;

pub(crate) use args::{Explain, Faithful, Recommend, Similar};
pub(crate) use run::{explain, faithful, run, similar, table};
