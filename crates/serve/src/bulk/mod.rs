//! All of a tenant to files and back, beside a server that runs.

mod export;
mod import;
mod told;
mod verbatim;

pub use export::{Export, ExportReport, FileKind};
pub use import::{Import, ImportReport, Imported};
