//! Vectors of texts, of items and of users as files, with an index of nearest neighbours: for programs that serve a model without this one.

mod encode;
mod files;
mod run;
mod storage;

pub(crate) use encode::FileTexts;
pub use encode::{EncodedFile, Encoding, TextSource, encode};
pub use files::VectorFormat;
pub use run::{BuiltIndex, Export, Exported, Written};
pub use storage::{Kept, VectorStorage};
