//! From files to numbers: readers, import into a data-set folder, opening it, splits, inspection.
//! Knows nothing of models or texts' meaning; outside ids end here.

mod dataset;
mod error;
mod folder;
mod import;
mod inspect;
mod intern;
mod manifest;
mod query;
mod reader;
mod readers;
mod rows;
mod schema;
mod split;
mod splits;
mod table;
mod typing;
mod world;

pub use dataset::Dataset;
pub use error::{Error, Place, RowFault};
pub use folder::{Staging, checksum, encode_vectors};
pub use import::{
    BadRows, Duplicates, ImportOptions, Sources, TextRows, Unknown, import, read_texts,
};
pub use inspect::{Bin, Coverage, Inspection, Ratings, Span, Spread, inspect};
pub use intern::{Interner, MAX_ID_BYTES};
pub use manifest::{
    Counts, Dropped, FileRecord, MANIFEST_FORMAT, MANIFEST_VERSION, Manifest, SourceRecord,
    TimeUnit,
};
pub use query::Expression;
pub use reader::Format;
pub use rows::{ColumnKind, FileRow, FileRows, ParquetFile};
pub use schema::{ColumnOverrides, ColumnUse, Part};
pub use split::{Held, Split, SplitKind, SplitSettings, split};
pub use table::{Column, Table, Values};
pub use world::{WorldSettings, generate};
