//! A copy of a store that a server may be writing to: all of one moment, in one file, checked before it bears its name.

use std::io::{self, Read as _};
use std::path::Path;

use sqlx::{Connection as _, Executor as _};

use super::file;
use crate::Error;

/// What a copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Bytes of the file.
    pub bytes: u64,
    /// Version of its schema.
    pub version: i64,
    /// Events of all tenants.
    pub events: i64,
    /// Their items.
    pub items: i64,
    /// Their users.
    pub users: i64,
    /// Keys, the revoked ones too.
    pub keys: i64,
}

/// What every file of SQLite begins with.
const MAGIC: &[u8] = b"SQLite format 3\0";
const COMMAND: &str = "pg_dump --format=custom --file=FILE URL";

/// Copies a store in a file of SQLite to `out`. Everything that was acknowledged before is in the copy, which has the rights of the store; writers go on meanwhile.
pub async fn back_up(address: &str, out: &Path) -> Result<Backup, Error> {
    let path = file::of_sqlite(address, COMMAND)?;
    file::there(&path)?;
    may_be_replaced(out, &path)?;
    let workshop = file::workshop(out)?;
    let copy = workshop.path().join("store.db");
    let failed = |source| Error::Io { doing: "write", path: out.into(), source };
    file::private_file(&copy).map_err(failed)?;
    let mut conn = file::connect(&path, "mode=rw").await?;
    let unsound =
        |error: sqlx::Error| Error::Unsound { path: path.clone(), why: file::why(&error) };
    conn.execute("PRAGMA busy_timeout = 10000").await?;
    file::version(&mut conn).await.map_err(unsound)?;
    // Reads one state of the store from beginning to end. Unlike a copy page by page it is not begun again when somebody writes.
    let query = sqlx::query("VACUUM INTO $1").bind(copy.to_string_lossy().into_owned());
    query.execute(&mut conn).await?;
    conn.close().await?;
    let backup = file::look_through(&copy).await?;
    file::put_in_place(&copy, out, &path)?;
    Ok(backup)
}

/// Refuses to write over the store itself, a store in use, or what is no copy of a store.
fn may_be_replaced(out: &Path, store: &Path) -> Result<(), Error> {
    if !out.exists() {
        return Ok(());
    }
    if file::is_same(out, store) {
        return Err(Error::Itself { path: out.into() });
    }
    file::must_be_whole(out)?;
    let mut magic = Vec::new();
    let read = std::fs::File::open(out).and_then(|file| file.take(16).read_to_end(&mut magic));
    let is_copy = read.is_ok() && magic == MAGIC;
    let source =
        io::Error::new(io::ErrorKind::AlreadyExists, "something else than a copy is there");
    if is_copy { Ok(()) } else { Err(Error::Io { doing: "replace", path: out.into(), source }) }
}
