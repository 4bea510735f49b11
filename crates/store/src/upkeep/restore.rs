//! A copy put in the place of a store, all at once, while nobody has that store open.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};

use super::file;
use super::{Backup, must_be_there};
use crate::Error;

const COMMAND: &str = "pg_restore --clean --if-exists --dbname=URL FILE";

/// Puts a copy, once it was checked, in the place of a store in a file of SQLite. A store that holds something is replaced with `force`
/// alone, one that is open in a server never. It keeps the rights of the store it replaces; where there was none it is for its owner alone.
pub async fn restore(from: &Path, address: &str, force: bool) -> Result<Backup, Error> {
    let path = file::of_sqlite(address, COMMAND)?;
    file::there(from)?;
    file::must_be_whole(from)?;
    if file::is_same(from, &path) {
        return Err(Error::Itself { path });
    }
    let backup = file::look_through(from).await?;
    // Before the copy is made, which may take a while, and again after it.
    if let Some(conn) = lock(&path, address, force).await? {
        conn.close().await?;
    }
    let workshop = file::workshop(&path)?;
    let copy = workshop.path().join("store.db");
    let (source, target) = (from.to_owned(), copy.clone());
    let copied = tokio::task::spawn_blocking(move || {
        // Not with the rights of the copy, which may have been anywhere meanwhile.
        io::copy(&mut File::open(source)?, &mut file::private_file(&target)?)
    });
    let copied = copied.await;
    let failed = |source| Error::Io { doing: "copy", path: from.into(), source };
    copied.map_err(|error| failed(error.into()))?.map_err(failed)?;
    let lock = lock(&path, address, force).await?;
    // Changes of the old store must not be taken for changes of the new one.
    for end in ["-wal", "-shm", "-journal"] {
        fs::remove_file(file::beside(&path, end)).ok();
    }
    file::put_in_place(&copy, &path, &path)?;
    if let Some(conn) = lock {
        conn.close().await.ok();
    }
    Ok(backup)
}

/// Keeps others out of a store until what is returned goes; `None` where there is no store, or none that can be read.
async fn lock(path: &Path, address: &str, force: bool) -> Result<Option<AnyConnection>, Error> {
    if must_be_there(address).is_err() {
        return Ok(None);
    }
    match take(path, force).await {
        Ok(conn) => Ok(Some(conn)),
        Err(error) => match error {
            Error::InUse { .. } | Error::Occupied { .. } => Err(error),
            _ if force => Ok(None),
            Error::Open { source, .. } | Error::Sql(source) => Err(strange(path, &source)),
            other => Err(other),
        },
    }
}

fn strange(path: &Path, source: &sqlx::Error) -> Error {
    Error::Strange { path: path.into(), why: file::why(source) }
}

async fn take(path: &Path, force: bool) -> Result<AnyConnection, Error> {
    let mut conn = file::connect(path, "mode=rw").await?;
    let outcome = take_with(&mut conn, path, force).await;
    if let Err(error) = outcome {
        conn.close().await.ok();
        return Err(error);
    }
    Ok(conn)
}

async fn take_with(conn: &mut AnyConnection, path: &Path, force: bool) -> Result<(), Error> {
    let in_use = |error: sqlx::Error| match &error {
        sqlx::Error::Database(said) if said.message().contains("locked") => {
            Error::InUse { path: PathBuf::from(path) }
        }
        _ => Error::Sql(error),
    };
    conn.execute("PRAGMA busy_timeout = 0").await?;
    // Every connection to a store with a log of writes holds it open, also while it does nothing; the log can be done away with by the last one
    // alone.
    let row = sqlx::query("PRAGMA journal_mode = DELETE").fetch_one(&mut *conn).await;
    row.and_then(|row| row.try_get::<String, _>(0)).map_err(in_use)?;
    // An empty file is a store that holds nothing.
    let rows = match file::version(conn).await {
        Ok(_) => file::rows(conn).await.map_err(in_use)?,
        Err(_) if fs::metadata(path).is_ok_and(|about| about.len() == 0) => 0,
        Err(error) => return Err(in_use(error)),
    };
    if rows > 0 && !force {
        return Err(Error::Occupied { path: path.into(), rows });
    }
    conn.execute("BEGIN EXCLUSIVE").await.map_err(in_use)?;
    Ok(())
}
