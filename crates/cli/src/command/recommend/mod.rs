//! What a saved model answers: lists, likeness, reasons.

mod args;
mod run;

pub(crate) use args::{Explain, Recommend, Similar};
pub(crate) use run::{explain, run, similar, table};
