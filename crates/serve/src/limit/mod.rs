//! How much at once: requests of a key within a second, and answers that are computed or wait.

mod rates;
mod together;
mod workers;

pub(crate) use rates::Rates;
pub(crate) use together::{Job, Together};
pub(crate) use workers::Workers;
