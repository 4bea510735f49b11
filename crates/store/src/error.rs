//! What can go wrong with what is kept.

use std::path::PathBuf;

use thiserror::Error;

/// Says what went wrong and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The store cannot be opened.
    #[error(
        "cannot open the store {address} ({source}): name a file of SQLite in a folder that is there, or a Postgres that answers"
    )]
    Open {
        /// Where, without a password.
        address: String,
        /// Why.
        source: sqlx::Error,
    },
    /// A store that a later version wrote.
    #[error(
        "the store is of version {found}, this program knows up to {known}: use a newer tastemaker"
    )]
    TooNew {
        /// Its version.
        found: i64,
        /// The newest known one.
        known: i64,
    },
    /// The database failed.
    #[error("the store failed: {0}")]
    Sql(#[from] sqlx::Error),
    /// Too much waits to be written.
    #[error("too many changes wait to be written: try again soon")]
    Full,
    /// The writer has ended.
    #[error("the store is closing")]
    Closed,
    /// A change did not go through.
    #[error("the change was not written: {why}")]
    NotWritten {
        /// Why.
        why: String,
    },
    /// An id that cannot be one.
    #[error("{field} must have 1 to {max} bytes and no control characters", max = crate::MAX_ID)]
    Id {
        /// Which one.
        field: &'static str,
    },
    /// A text with a zero byte, which Postgres cannot keep.
    #[error("{field} holds a zero byte: remove it")]
    ZeroByte {
        /// Which one.
        field: &'static str,
    },
    /// A name that no tenant can have.
    #[error("`{name}` cannot name a tenant: use up to 64 small letters, digits, `-` and `_`")]
    Tenant {
        /// What was given.
        name: String,
    },
    /// There is no such key.
    #[error("there is no key `{id}`: see `tastemaker keys list`")]
    UnknownKey {
        /// What was asked for.
        id: String,
    },
    /// A scope nobody knows.
    #[error("there is no scope `{name}`: choose among read, write, admin")]
    UnknownScope {
        /// What was asked for.
        name: String,
    },
    /// The machine gives no random numbers.
    #[error("the machine gives no random numbers for a key: {why}")]
    NoRandom {
        /// Why.
        why: String,
    },
    /// There is no store where one should be.
    #[error("there is no store at {}: check the path", .path.display())]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// A file that is no store, or a damaged one.
    #[error("{} is no sound store ({why}): use another copy", .path.display())]
    Unsound {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A copy whose newest changes lie in a file beside it.
    #[error(
        "{} is in use, or was left in the middle: copy it with `tastemaker store backup --store {}`, and use that copy",
        .path.display(), .path.display()
    )]
    NotACopy {
        /// The file.
        path: PathBuf,
    },
    /// A store would be written over.
    #[error("{} holds {rows} rows: name another file, or say --force to replace it", .path.display())]
    Occupied {
        /// The store.
        path: PathBuf,
        /// What it holds.
        rows: i64,
    },
    /// A store that cannot be read would be written over.
    #[error("{} cannot be read as a store ({why}): name another file, or say --force to replace it", .path.display())]
    Strange {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Somebody has the store open.
    #[error("{} is in use: stop the server first", .path.display())]
    InUse {
        /// The store.
        path: PathBuf,
    },
    /// A copy that would be the store itself.
    #[error("{} is the store itself: a copy must be another file, so name one", .path.display())]
    Itself {
        /// The store.
        path: PathBuf,
    },
    /// A Postgres, which has better means of its own.
    #[error("{address} is a Postgres, which has its own means: {command}")]
    Postgres {
        /// Where, without a password.
        address: String,
        /// What does it there.
        command: &'static str,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
