//! Import: files in, a numbered, cleaned data-set folder out, all or nothing.

mod assemble;
mod clean;
mod events;
mod options;
mod refuse;
mod rows;
mod run;
mod texts;
mod times;

pub use options::{BadRows, Duplicates, ImportOptions, Sources, Unknown};
pub use run::import;
pub use texts::{TextRows, read_texts};
