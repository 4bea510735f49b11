//! `tastemaker retrain`.

mod args;
mod run;

pub(crate) use args::{PromoteName, Retrain, share};
pub(crate) use run::run;
