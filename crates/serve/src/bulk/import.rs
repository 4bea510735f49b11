//! Files into a store. Each file is read through before the first row is written; what is written then comes in batches of one commit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tastemaker_core::{Clock, Progress};
use tastemaker_engine::data::{Error as DataError, FileRow, FileRows, Part, Place};
use tastemaker_store::{Applied, Change, Event, Repeat, Rows, Store};

use super::told::{self, Fault};
use crate::Error;

/// Rows of a commit, and their bytes.
const BATCH: (usize, usize) = (4000, 8 << 20);
/// Seconds of work after which others may write to a SQLite too, and how long: who waits for its lock looks ten times a second.
const TURN: (f64, Duration) = (0.4, Duration::from_millis(110));
/// Rows between two words about progress.
const TOLD: u64 = 4096;

/// Files that are imported.
pub struct Import<'a> {
    /// Where to; opened beside a server, so that it notices.
    pub store: &'a Store,
    /// Whose rows these are.
    pub tenant: &'a str,
    /// What users did.
    pub events: Option<&'a Path>,
    /// Items.
    pub items: Option<&'a Path>,
    /// Users.
    pub users: Option<&'a Path>,
    /// Tells the time of what has none.
    pub clock: &'a dyn Clock,
    /// Is told how far it is.
    pub progress: &'a dyn Progress,
}

/// What became of the files.
#[derive(Clone, Debug, Serialize)]
pub struct ImportReport {
    /// Whose rows these are.
    pub tenant: String,
    /// Users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Imported>,
    /// Items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Imported>,
    /// What users did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Imported>,
}

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The file.
    pub file: PathBuf,
    /// Its rows.
    pub rows: u64,
    /// Rows that are new, or others than before; users and items are written whatever they were.
    pub written: u64,
    /// Events that were known.
    pub known: u64,
    /// Rows about who or what was erased since.
    pub left_out: u64,
}

/// Which kind of rows a file holds.
#[derive(Clone, Copy)]
enum Kind {
    Users,
    Items,
    Events,
}

impl Kind {
    const fn part(self) -> Part {
        match self {
            Self::Users => Part::Users,
            Self::Items => Part::Items,
            Self::Events => Part::Interactions,
        }
    }
}

/// Rows that wait for their commit.
#[derive(Default)]
struct Batch {
    users: Vec<tastemaker_store::User>,
    items: Vec<tastemaker_store::Item>,
    events: Vec<Event>,
    /// Those of which a kind, a user and an item have one together.
    feedback: Vec<Event>,
    rows: usize,
    bytes: usize,
}

impl Batch {
    /// Adds a row.
    fn put(&mut self, kind: Kind, row: FileRow<'_>, now: i64) -> Result<(), Fault> {
        self.bytes += match &row {
            FileRow::Line(line) => line.len(),
            FileRow::Cells(cells) => cells.iter().map(|cell| cell.1.len()).sum(),
        };
        match kind {
            Kind::Users => self.users.push(told::user(row)?),
            Kind::Items => self.items.push(told::item(row, now)?),
            Kind::Events => match told::event(row, now)? {
                (event, Repeat::Keep) => self.events.push(event),
                (event, _) => self.feedback.push(event),
            },
        }
        self.rows += 1;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.rows >= BATCH.0 || self.bytes >= BATCH.1
    }

    /// Makes changes of it, and leaves it empty.
    fn changes(&mut self) -> Vec<Rows> {
        let all = std::mem::take(self);
        let changes = [
            Rows::Users(all.users),
            Rows::Items(all.items),
            Rows::Events(all.events, Repeat::Keep),
            Rows::Events(all.feedback, Repeat::Later),
        ];
        changes.into_iter().filter(|rows| !rows.is_empty()).collect()
    }
}

impl Import<'_> {
    /// Checks the files, and then writes them.
    pub async fn run(&self) -> Result<ImportReport, Error> {
        let now = self.clock.unix_ms();
        // Items after events: an item puts back what was erased, and events from before that erasure would come in with it.
        let files =
            [(Kind::Users, self.users), (Kind::Events, self.events), (Kind::Items, self.items)];
        let files = files.into_iter().filter_map(|(kind, path)| Some((kind, path?)));
        for (kind, path) in files.clone() {
            self.check(kind, path, now)?;
        }
        let (tenant, users, items, events) = (self.tenant.to_owned(), None, None, None);
        let mut report = ImportReport { tenant, users, items, events };
        for (kind, path) in files {
            let mut done = Imported { file: path.into(), ..Imported::default() };
            let outcome = self.write(kind, path, now, &mut done).await;
            outcome.map_err(|source| Error::Import {
                path: path.display().to_string(),
                rows: done.rows,
                source: Box::new(source),
            })?;
            match kind {
                Kind::Users => report.users = Some(done),
                Kind::Items => report.items = Some(done),
                Kind::Events => report.events = Some(done),
            }
        }
        Ok(report)
    }

    fn check(&self, kind: Kind, path: &Path, now: i64) -> Result<(), Error> {
        // What can be read only once cannot be checked first.
        if path.exists() && !path.is_dir() && !path.is_file() {
            return Err(DataError::NotAFile { path: path.into() }.into());
        }
        let mut rows = FileRows::open(path, kind.part())?;
        let mut batch = Batch::default();
        let mut n = 0;
        while let Some((place, row)) = rows.next_row()? {
            batch.put(kind, row, now).map_err(|fault| wrong(path, place, fault))?;
            if batch.is_full() {
                batch.changes();
            }
            n += 1;
            self.tell("checking", path, (&rows, n));
        }
        self.tell("checking", path, (&rows, 0));
        Ok(())
    }

    async fn write(
        &self,
        kind: Kind,
        path: &Path,
        now: i64,
        done: &mut Imported,
    ) -> Result<(), Error> {
        let mut rows = FileRows::open(path, kind.part())?;
        let mut batch = Batch::default();
        let (mut n, mut turn) = (0, self.clock.seconds());
        loop {
            let is_over = match rows.next_row()? {
                Some((place, row)) => {
                    // It was checked, but may be another file by now.
                    batch.put(kind, row, now).map_err(|fault| wrong(path, place, fault))?;
                    false
                }
                None => true,
            };
            if batch.is_full() || is_over {
                for rows in batch.changes() {
                    self.commit(kind, rows, done).await?;
                }
                if !self.store.is_shared() && self.clock.seconds() - turn > TURN.0 && !is_over {
                    tokio::time::sleep(TURN.1).await;
                    turn = self.clock.seconds();
                }
            }
            n += 1;
            self.tell("importing", path, (&rows, if is_over { 0 } else { n }));
            if is_over {
                return Ok(());
            }
        }
    }

    async fn commit(&self, kind: Kind, rows: Rows, done: &mut Imported) -> Result<(), Error> {
        let n = rows.len() as u64;
        let change = Change::Import { tenant: self.tenant.to_owned(), rows };
        let Applied { rows, left_out, .. } = self.store.change(change).await?;
        done.rows += n;
        done.written += rows;
        done.left_out += left_out;
        if matches!(kind, Kind::Events) {
            done.known += n.saturating_sub(rows + left_out);
        }
        Ok(())
    }

    /// Says how far it is, after many rows and at the end, which is told by 0.
    fn tell(&self, doing: &str, path: &Path, (rows, n): (&FileRows, u64)) {
        if !n.is_multiple_of(TOLD) {
            return;
        }
        let (done, total) = rows.progress();
        let done = if n == 0 { total } else { done };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        self.progress.report(&format!("{doing} {name}"), size(done), size(total));
    }
}

fn wrong(path: &Path, place: Place, fault: Fault) -> Error {
    let Fault { field, why } = fault;
    let place = if field.is_empty() { place.to_string() } else { format!("{place}, `{field}`") };
    Error::Row { path: path.display().to_string(), place, why }
}
