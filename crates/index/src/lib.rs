//! Nearest vectors, fast: exact search over all, and a graph that finds nearly all of them sooner.
//! Knows vectors and the ids they stand for; nothing of models or of where vectors come from.
#![warn(missing_docs)]

mod compare;
mod error;
mod flat;
mod hnsw;
mod measure;
mod persist;
mod rows;

pub use compare::{Comparison, compare, recall};
pub use error::Error;
pub use flat::Flat;
pub use hnsw::{Hnsw, HnswSettings, Storage};
pub use measure::{Measure, Nearest};
pub use rows::Rows;
