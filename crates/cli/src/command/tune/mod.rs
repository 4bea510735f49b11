//! `tastemaker tune`.

mod run;

pub(crate) use run::run;
