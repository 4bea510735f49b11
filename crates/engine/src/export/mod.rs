//! Vectors of items and users as files, with an index of nearest neighbours: for programs that serve a model without this one.

mod files;
mod run;

pub use files::VectorFormat;
pub use run::{BuiltIndex, Export, Exported, Written};
