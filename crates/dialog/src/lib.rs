//! Says why an item is recommended, in one sentence of which every clause rests on a piece of evidence.
//! Evidence comes in as plain values; this crate fetches nothing and knows no model.
#![warn(missing_docs)]

mod error;
mod evidence;
mod explain;
pub mod guard;

pub use error::Error;
pub use evidence::{Evidence, took};
pub use explain::{Clause, Reason, Wording, explain};
