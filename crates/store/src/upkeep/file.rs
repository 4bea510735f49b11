//! Files of SQLite from outside: whether they are there, sound, and a store; and names that change all at once.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _, Row as _};

use super::Backup;
use crate::open::{Kind, bare_path, shown, sqlite_url};
use crate::{Error, schema};

/// What is counted in a copy.
const COUNTS: &str = "SELECT (SELECT COUNT(*) FROM events), (SELECT COUNT(*) FROM items), (SELECT COUNT(*) FROM users), \
     (SELECT COUNT(*) FROM api_keys)";

/// Refuses the path of a store that is not there, so that none is made by asking for it. A Postgres tells by itself.
pub fn must_be_there(address: &str) -> Result<(), Error> {
    match Kind::of(address) {
        Kind::Sqlite => there(Path::new(bare_path(address))),
        Kind::Postgres => Ok(()),
    }
}

pub(super) fn there(path: &Path) -> Result<(), Error> {
    if path.is_file() { Ok(()) } else { Err(Error::Missing { path: path.into() }) }
}

/// Returns the path of a store in a file; of a Postgres says what does the same there.
pub(super) fn of_sqlite(address: &str, command: &'static str) -> Result<PathBuf, Error> {
    match Kind::of(address) {
        Kind::Sqlite => Ok(bare_path(address).into()),
        Kind::Postgres => Err(Error::Postgres { address: shown(address), command }),
    }
}

/// Opens a file as it is, without a look at its schema.
pub(super) async fn connect(path: &Path, how: &str) -> Result<AnyConnection, Error> {
    sqlx::any::install_default_drivers();
    let url = sqlite_url(&path.to_string_lossy(), how);
    let failed = |source| Error::Open { address: path.display().to_string(), source };
    let options: AnyConnectOptions = url.parse().map_err(failed)?;
    // To copy and to check everything takes long, and is no news.
    options.disable_statement_logging().connect().await.map_err(failed)
}

/// Returns a file of SQLite beside a store.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Refuses a file whose newest changes lie beside it.
pub(super) fn must_be_whole(path: &Path) -> Result<(), Error> {
    let log = fs::metadata(beside(path, "-wal"));
    if log.is_ok_and(|log| log.len() > 0) {
        return Err(Error::NotACopy { path: path.into() });
    }
    Ok(())
}

/// Checks every page and index of a copy that nobody writes to, and that this program can read it.
pub(super) async fn look_through(path: &Path) -> Result<Backup, Error> {
    let mut conn = connect(path, "mode=ro&immutable=true").await?;
    let outcome = look_into(&mut conn, path).await;
    conn.close().await.ok();
    outcome
}

async fn look_into(conn: &mut AnyConnection, path: &Path) -> Result<Backup, Error> {
    let unsound = |error: sqlx::Error| Error::Unsound { path: path.into(), why: why(&error) };
    let said: String = sqlx::query("PRAGMA integrity_check(1)")
        .fetch_one(&mut *conn)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(unsound)?;
    if said != "ok" {
        return Err(Error::Unsound { path: path.into(), why: said });
    }
    let version = version(conn).await.map_err(unsound)?;
    if version > schema::KNOWN {
        return Err(Error::TooNew { found: version, known: schema::KNOWN });
    }
    let row = sqlx::query(COUNTS).fetch_one(conn).await.map_err(unsound)?;
    let count = |place: usize| row.try_get::<i64, _>(place);
    let bytes = fs::metadata(path).map_or(0, |about| about.len());
    let [events, items, users, keys] = [count(0)?, count(1)?, count(2)?, count(3)?];
    Ok(Backup { bytes, version, events, items, users, keys })
}

/// Returns the version of a store; an error when it is none.
pub(super) async fn version(conn: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    let sql = "SELECT MAX(version) FROM schema_version";
    sqlx::query(sql).fetch_one(conn).await?.try_get(0)
}

/// Counts what would be lost with a store.
pub(super) async fn rows(conn: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    let row = sqlx::query(COUNTS).fetch_one(conn).await?;
    (0..4).map(|place| row.try_get::<i64, _>(place)).sum()
}

/// Returns what the database says of an error, without the driver's words around it.
pub(super) fn why(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        other => other.to_string(),
    }
}

/// Makes a folder for what is not done yet, beside the file it will be.
pub(super) fn workshop(target: &Path) -> Result<tempfile::TempDir, Error> {
    let made =
        tempfile::Builder::new().prefix(".tastemaker-unfinished-").tempdir_in(folder(target));
    made.map_err(|source| Error::Io { doing: "write", path: target.into(), source })
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

/// Makes a new file that its owner alone may read, where the system knows owners.
pub fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

/// Gives a private file the rights of another one, if that is there: its mode, and its owner and group as far as this process may.
#[cfg(unix)]
fn take_after(done: &Path, like: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    let Ok(like) = fs::metadata(like) else { return Ok(()) };
    if chown(done, Some(like.uid()), Some(like.gid())).is_err() {
        chown(done, None, Some(like.gid())).ok();
    }
    // What the members of one group may do is not for those of another one.
    let is_of_group = fs::metadata(done)?.gid() == like.gid();
    let mode = like.mode() & if is_of_group { 0o777 } else { 0o707 };
    fs::set_permissions(done, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn take_after(_: &Path, _: &Path) -> io::Result<()> {
    Ok(())
}

/// Puts a finished file in its place, once all of it is on disk, with the rights of `like`.
pub(super) fn put_in_place(done: &Path, target: &Path, like: &Path) -> Result<(), Error> {
    let failed = |source: io::Error| Error::Io { doing: "write", path: target.into(), source };
    File::open(done).and_then(|file| file.sync_all()).map_err(failed)?;
    take_after(done, like).map_err(failed)?;
    fs::rename(done, target).map_err(failed)?;
    // Not every system can sync a folder.
    File::open(folder(target)).and_then(|folder| folder.sync_all()).ok();
    Ok(())
}

/// Tells whether two paths lead to one file.
pub(super) fn is_same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
