//! Settings: defaults < file < environment < flags; all faults reported at once.

mod check;
mod document;
mod load;
mod tree;

pub use check::Problem;
pub(crate) use check::problems;
pub use document::{about, default_document, schema};
pub use load::{Given, Loaded, Sources, load};
pub(crate) use load::{merge, nested, read as read_toml};
pub use tree::{Config, ReasonLanguage, ReasonSettings, RunSettings, SearchSettings, TextSettings};
