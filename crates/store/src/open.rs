//! An address chooses the engine: `postgres://…` is shared by many servers, everything else is a file of SQLite.

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor as _};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::upkeep::outside::Tells;
use crate::writer::{self, Done, Load, Target, Waiting};
use crate::{Applied, Change, Error, schema};

/// Changes that may wait for the writer.
const QUEUE: usize = 8192;
/// Bytes that they may hold together.
const QUEUE_BYTES: usize = 256 << 20;
/// Readers at the same time.
const READERS: u32 = 8;
/// A change that does not go through within this time is given up; it may still be written.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest time until a database answers for the first time, and until a connection is free.
const CONNECTING: Duration = Duration::from_secs(10);
/// Group commit on a WAL that is synced at every commit: what was acknowledged survives a power cut.
const PRAGMAS: &str =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000";
/// Kilobytes of pages that a connection keeps: the writer much, for it checks every id; readers little, as the machine has the file in memory
/// too.
const WRITER_PAGES: u32 = 16 << 10;
const READER_PAGES: u32 = 2 << 10;

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    pub(crate) fn of(address: &str) -> Self {
        let is_postgres =
            address.starts_with("postgres://") || address.starts_with("postgresql://");
        if is_postgres { Self::Postgres } else { Self::Sqlite }
    }
}

/// An open store; clones are the same one.
#[derive(Clone)]
pub struct Store {
    pub(crate) read: AnyPool,
    write: AnyPool,
    changes: mpsc::Sender<Waiting>,
    /// A place for every kilobyte that may wait.
    room: Arc<Semaphore>,
    pub(crate) load: Arc<Load>,
    pub(crate) kind: Kind,
}

impl Store {
    /// Opens or makes a store and brings its schema up to date. Needs the tokio runtime, in which its writer lives.
    pub async fn open(address: &str) -> Result<Self, Error> {
        let tells = match Kind::of(address) {
            Kind::Sqlite => Tells::Nothing,
            Kind::Postgres => Tells::Items,
        };
        Self::open_as(address, tells).await
    }

    /// Opens a store beside a server that may have it open too, and tells that server of what is written here.
    pub async fn open_beside(address: &str) -> Result<Self, Error> {
        Self::open_as(address, Tells::All).await
    }

    async fn open_as(address: &str, tells: Tells) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let kind = Kind::of(address);
        let shown = shown(address);
        let failed = |source| Error::Open { address: shown.clone(), source };
        let url = match kind {
            Kind::Postgres => address.to_owned(),
            Kind::Sqlite => sqlite_url(address, "mode=rwc"),
        };
        let options: AnyConnectOptions = url.parse().map_err(failed)?;
        let pool = |connections, pages| {
            AnyPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(CONNECTING)
                .after_connect(move |conn, _| Box::pin(prepare(conn, (kind, pages))))
        };
        // A pool tries again and again, and then tells nothing but that it was in vain: what is wrong shows here.
        let mut first = connect(&options, kind).await.map_err(failed)?;
        schema::bring_up_to_date(&mut first, kind).await?;
        first.close().await.map_err(failed)?;
        let write = pool(1, WRITER_PAGES).connect_with(options.clone()).await.map_err(failed)?;
        let read = pool(READERS, READER_PAGES).connect_with(options).await.map_err(failed)?;
        let (changes, waiting) = mpsc::channel(QUEUE);
        let load = Arc::new(Load::default());
        let target = Target { pool: write.clone(), tells };
        tokio::spawn(writer::run(target, waiting, load.clone()));
        let room = Arc::new(Semaphore::new(QUEUE_BYTES / 1024));
        Ok(Self { read, write, changes, room, load, kind })
    }

    /// Makes a change; returns when it is on disk.
    pub async fn change(&self, change: Change) -> Result<Applied, Error> {
        change.check()?;
        let (done, outcome) = oneshot::channel();
        self.hand_over(change, Some(done))?;
        match tokio::time::timeout(PATIENCE, outcome).await {
            Ok(outcome) => outcome.map_err(|_| Error::Closed)?,
            Err(_) => Err(Error::NotWritten { why: "the database does not answer".into() }),
        }
    }

    /// Hands a change over without waiting for the disk; returns whether there was room for it.
    pub fn offer(&self, change: Change) -> bool {
        change.check().is_ok() && self.hand_over(change, None).is_ok()
    }

    fn hand_over(&self, change: Change, done: Option<Done>) -> Result<(), Error> {
        // One that is larger than all the room waits alone.
        let kilobytes = (change.bytes() / 1024 + 1).min(QUEUE_BYTES / 1024) as u32;
        let room = self.room.clone().try_acquire_many_owned(kilobytes).map_err(|_| Error::Full)?;
        self.changes.try_send(Waiting { change, done, room }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Full,
            mpsc::error::TrySendError::Closed(_) => Error::Closed,
        })
    }

    /// Returns once all that was handed over before is on disk.
    pub async fn flush(&self) -> Result<(), Error> {
        self.change(Change::Nothing).await.map(|_| ())
    }

    /// Closes the store, for all its clones, once what was handed over before is on disk.
    ///
    /// A store that only goes closes too, but in the background; SQLite then may leave its log of writes beside the file, for no connection can
    /// tell that it is the last one when several end at once. Here the writer ends alone and last, and takes the log with it, unless somebody
    /// still reads after ten seconds.
    pub async fn close(&self) -> Result<(), Error> {
        let flushed = self.flush().await;
        for pool in [&self.read, &self.write] {
            tokio::time::timeout(CONNECTING, pool.close()).await.ok();
        }
        flushed
    }

    /// Counts the changes that wait.
    pub fn waiting(&self) -> usize {
        self.changes.max_capacity() - self.changes.capacity()
    }

    /// Returns about how many bytes they hold.
    pub fn waiting_bytes(&self) -> usize {
        QUEUE_BYTES - self.room.available_permits() * 1024
    }

    /// Counts the commits since the store was opened.
    pub fn commits(&self) -> u64 {
        self.load.commits()
    }

    /// Counts the changes that were handed over and then lost, because the database failed.
    pub fn lost(&self) -> u64 {
        self.load.lost()
    }

    /// Tells whether other processes may write to it while it is open here.
    pub fn is_shared(&self) -> bool {
        self.kind == Kind::Postgres
    }

    /// Tells whether the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(&self.read).await?;
        Ok(())
    }
}

async fn connect(options: &AnyConnectOptions, kind: Kind) -> Result<AnyConnection, sqlx::Error> {
    let connecting = async {
        let mut conn = AnyConnection::connect_with(options).await?;
        prepare(&mut conn, (kind, WRITER_PAGES)).await?;
        Ok(conn)
    };
    tokio::time::timeout(CONNECTING, connecting).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

async fn prepare(conn: &mut AnyConnection, (kind, pages): (Kind, u32)) -> Result<(), sqlx::Error> {
    if kind == Kind::Sqlite {
        for pragma in PRAGMAS.split(';') {
            conn.execute(pragma.trim()).await?;
        }
        conn.execute(AssertSqlSafe(format!("PRAGMA cache_size = -{pages}"))).await?;
    }
    Ok(())
}

/// Makes a URL of a path, in which some characters mean something.
pub(crate) fn sqlite_url(path: &str, how: &str) -> String {
    let path = bare_path(path).replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    format!("sqlite://{path}?{how}")
}

/// Returns the path of a file of SQLite, which may be given as a URL.
pub(crate) fn bare_path(address: &str) -> &str {
    let rest = address.strip_prefix("sqlite://").or_else(|| address.strip_prefix("sqlite:"));
    rest.unwrap_or(address)
}

/// Leaves the password out of an address.
pub(crate) fn shown(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    match rest.rsplit_once('@') {
        Some((who, place)) => {
            let user = who.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{place}")
        }
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("postgres://me:se@cret@host/db"), "postgres://me@host/db");
        assert_eq!(shown("data/store.db"), "data/store.db");
    }

    #[test]
    fn paths_may_hold_what_urls_give_a_meaning() {
        assert_eq!(sqlite_url("/a b/50%?.db", "mode=rwc"), "sqlite:///a b/50%25%3F.db?mode=rwc");
    }
}
