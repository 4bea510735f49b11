//! Files row by row, for whoever knows what the rows mean: lines of JSON as they stand, and tables as cells with names.

mod read;
mod write;

pub use read::{FileRow, FileRows};
pub use write::{ColumnKind, ParquetFile};
