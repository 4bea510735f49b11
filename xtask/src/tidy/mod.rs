//! The house rules that a program can check.

mod floors;
mod links;
mod rules;
mod run;
mod source;
mod versions;

pub(crate) use run::run;
