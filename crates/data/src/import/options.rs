//! What to import, and how to clean it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ColumnOverrides, Format};

/// Names the files to import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Who did what, and when.
    pub interactions: PathBuf,
    /// What the items are.
    pub items: Option<PathBuf>,
    /// Who the users are.
    pub users: Option<PathBuf>,
    /// The format of all of them; found by name and content when `None`.
    pub format: Option<Format>,
    /// Columns named by hand.
    pub columns: ColumnOverrides,
}

/// Says how to clean.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImportOptions {
    /// Name of the data set; the folder's when `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What to do when a user meets an item more than once.
    pub duplicates: Duplicates,
    /// Leaves out events below this rating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_rating: Option<f32>,
    /// Leaves out users and items with fewer events than this, until all left have as many; 0 and 1 turn it off.
    pub k_core: usize,
    /// Leaves out users with fewer events than this.
    pub min_history: usize,
    /// What to do with an event whose item is not in the items file.
    pub unknown_items: Unknown,
    /// What to do with a row that cannot be used.
    pub bad_rows: BadRows,
}

/// Says what becomes of repeated events of a user with an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// All stay.
    #[default]
    KeepAll,
    /// The oldest stays.
    First,
    /// The newest stays.
    Last,
    /// The newest stays, with the sum of all ratings.
    Sum,
}

/// Says what becomes of an event whose item is not in the items file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// The item is added without fields, and counted as a problem.
    #[default]
    Add,
    /// The event is left out, and counted.
    Drop,
    /// The import fails.
    Error,
}

/// Says what becomes of a row that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BadRows {
    /// The import fails.
    #[default]
    Error,
    /// The row is left out, and counted.
    Skip,
}
