//! Names of the files of a data set.

/// Describes the data set; written last.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Events, user after user, oldest first.
pub(crate) const EVENTS: &str = "events.parquet";
/// Items; row = number.
pub(crate) const ITEMS: &str = "items.parquet";
/// Users; row = number.
pub(crate) const USERS: &str = "users.parquet";
