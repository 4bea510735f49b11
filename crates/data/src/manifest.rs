//! What a data set is, where it came from, and what was done on the way: `manifest.json`.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{ColumnUse, ImportOptions};

/// Version of the folder's layout; raised when old folders cannot be read any more.
pub const MANIFEST_VERSION: u32 = 1;
/// First field of every manifest, so that a folder is recognised.
pub const MANIFEST_FORMAT: &str = "tastemaker-data";

/// Describes a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always [`MANIFEST_FORMAT`].
    pub format: String,
    /// Layout of the folder.
    pub version: u32,
    /// Name of the data set.
    pub name: String,
    /// How much of everything.
    pub counts: Counts,
    /// What the times of events are.
    pub time: TimeUnit,
    /// Files of the folder by name.
    pub files: BTreeMap<String, FileRecord>,
    /// The files it was made from.
    pub sources: Vec<SourceRecord>,
    /// How it was made.
    pub options: ImportOptions,
    /// What was left out, and why.
    pub dropped: Vec<Dropped>,
    /// What looked wrong but was let pass.
    pub problems: Vec<String>,
}

/// Sizes of a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows of the users table.
    pub users: usize,
    /// Rows of the items table.
    pub items: usize,
    /// Events.
    pub events: usize,
    /// Rows of the source, before anything was left out.
    pub rows_read: usize,
}

/// What the times of events mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Unix seconds; the source had seconds, or dates.
    Seconds,
    /// Unix seconds; the source had milliseconds.
    Milliseconds,
    /// Unix seconds; the source had microseconds.
    Microseconds,
    /// Unix seconds; the source had nanoseconds.
    Nanoseconds,
    /// Position in the source, which had no times.
    Order,
}

/// One file of the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Size.
    pub bytes: u64,
    /// Checksum in hexadecimal.
    pub sha256: String,
}

/// One file the data came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// What it gave: `interactions`, `items` or `users`.
    pub part: String,
    /// Where it was.
    pub path: PathBuf,
    /// How it was read.
    pub format: String,
    /// Size.
    pub bytes: u64,
    /// Checksum in hexadecimal.
    pub sha256: String,
    /// Which column was taken for what.
    pub columns: Vec<ColumnUse>,
}

/// Something left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Of what: `events`, `items` or `users`, or `rows` of a file.
    pub what: String,
    /// Why.
    pub why: String,
    /// How many.
    pub count: usize,
    /// The first case, where a row of a file was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
}

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.count, self.what, self.why)?;
        self.first.as_ref().map_or(Ok(()), |first| write!(f, " (first: {first})"))
    }
}
