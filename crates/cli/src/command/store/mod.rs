//! `tastemaker store export|import|backup|restore`.

mod args;
mod run;

pub(crate) use args::StoreCommand;
pub(crate) use run::run;
