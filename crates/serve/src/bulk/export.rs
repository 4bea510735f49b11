//! A store into files: each is written under another name, synced, and renamed when all are done.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tastemaker_core::Progress;
use tastemaker_engine::data::{ColumnKind, ParquetFile};
use tastemaker_store::{Event, EventFilter, Item, Store, User, private_file};

use crate::Error;
use crate::api::events::iso;

/// Rows that are read at once.
const ROWS: usize = 5000;
/// Whole numbers from here up are read as milliseconds, those below as seconds.
const EARLIEST_MS: u64 = 100_000_000_000;

/// In which format files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Lines of JSON, as the API is told.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

impl FileKind {
    const fn ending(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

/// What is exported.
pub struct Export<'a> {
    /// Where from.
    pub store: &'a Store,
    /// Whose rows.
    pub tenant: &'a str,
    /// The folder for the files; it is made where there is none.
    pub out: &'a Path,
    /// Their format.
    pub kind: FileKind,
    /// Is told how far it is.
    pub progress: &'a dyn Progress,
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// Whose rows.
    pub tenant: String,
    /// The files.
    pub files: Vec<PathBuf>,
    /// Events in them.
    pub events: u64,
    /// Items.
    pub items: u64,
    /// Users.
    pub users: u64,
}

/// A row that knows how it is written.
trait Written {
    const COLUMNS: &'static [(&'static str, ColumnKind)];

    fn line(&self) -> String;

    fn cells(&self, file: &mut ParquetFile);
}

/// A file that is not done yet.
enum Out {
    Lines(PathBuf, BufWriter<File>),
    Table(Box<ParquetFile>),
}

impl Export<'_> {
    /// Writes the files, which their owner alone may read. Each table is read page by page in the order of ids: what is written to the store meanwhile may be in them or not.
    pub async fn run(&self) -> Result<ExportReport, Error> {
        std::fs::create_dir_all(self.out).map_err(|source| failed(self.out, source))?;
        let (store, tenant) = (self.store, self.tenant);
        let [n_users, n_items, n_events, _] = store.counts(tenant).await?;
        let users = self.table("users", n_users, async |cursor: String| {
            Ok(store.users(tenant, &cursor, ROWS).await?)
        });
        let users = users.await?;
        let items = self.table("items", n_items, async |cursor: String| {
            Ok(store.items(tenant, &cursor, ROWS).await?)
        });
        let items = items.await?;
        let events = self.table("events", n_events, async |cursor: String| {
            Ok(store.events(tenant, &EventFilter::default(), &cursor, ROWS).await?)
        });
        let events = events.await?;
        let names = ["events", "items", "users"];
        let files: Vec<PathBuf> = names.iter().map(|name| self.path(name)).collect();
        for path in &files {
            std::fs::rename(unfinished(path), path).map_err(|source| failed(path, source))?;
        }
        // Not every system can sync a folder.
        File::open(self.out).and_then(|folder| folder.sync_all()).ok();
        Ok(ExportReport { tenant: tenant.to_owned(), files, events, items, users })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.out.join(format!("{name}.{}", self.kind.ending()))
    }

    async fn table<T: Written>(
        &self,
        name: &str,
        total: i64,
        read: impl AsyncFn(String) -> Result<tastemaker_store::Page<T>, Error>,
    ) -> Result<u64, Error> {
        let path = unfinished(&self.path(name));
        // One that a run left which was killed may be open to everybody.
        std::fs::remove_file(&path).ok();
        let file = private_file(&path).map_err(|source| failed(&path, source))?;
        let mut out = match self.kind {
            FileKind::Jsonl => Out::Lines(path, BufWriter::new(file)),
            FileKind::Parquet => Out::Table(Box::new(ParquetFile::create(&path, T::COLUMNS)?)),
        };
        let task = format!("exporting {name}");
        let total = usize::try_from(total).unwrap_or_default();
        let (mut cursor, mut n) = (String::new(), 0);
        loop {
            let page = read(cursor).await?;
            page.rows.iter().try_for_each(|row| out.put(row))?;
            n += page.rows.len();
            self.progress.report(&task, n, total.max(n + 1));
            cursor = page.cursor;
            if cursor.is_empty() {
                out.finish()?;
                self.progress.report(&task, n.max(1), n.max(1));
                return Ok(n as u64);
            }
        }
    }
}

impl Out {
    fn put(&mut self, row: &impl Written) -> Result<(), Error> {
        match self {
            Self::Lines(path, file) => {
                let mut line = row.line();
                line.push('\n');
                file.write_all(line.as_bytes()).map_err(|source| failed(path, source))
            }
            Self::Table(file) => {
                row.cells(file);
                Ok(file.end_row()?)
            }
        }
    }

    fn finish(self) -> Result<(), Error> {
        match self {
            Self::Lines(path, file) => {
                let file = file.into_inner().map_err(|error| failed(&path, error.into_error()))?;
                file.sync_all().map_err(|source| failed(&path, source))
            }
            Self::Table(file) => Ok(file.finish()?),
        }
    }
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::Write { path: path.display().to_string(), source }
}

/// Names a file before it is done: the same every time, so that of a run that was killed only one is left.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    path.with_file_name(name)
}

/// A line of JSON that grows member by member; what was kept as JSON goes in as it is.
struct Line(String);

impl Line {
    fn new() -> Self {
        Self("{".into())
    }

    fn raw(mut self, name: &str, json: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&format!("\"{name}\":{json}"));
        self
    }

    fn text(self, name: &str, text: &str) -> Self {
        self.raw(name, &Value::from(text).to_string())
    }

    /// Adds a text, unless it is empty.
    fn words(self, name: &str, text: &str) -> Self {
        if text.is_empty() { self } else { self.text(name, text) }
    }

    fn json(self, name: &str, kept: &str) -> Self {
        match told(kept) {
            "{}" => self,
            json if serde_json::from_str::<IgnoredAny>(json).is_ok() => self.raw(name, json),
            // Somebody wrote to the database by hand.
            text => self.text(name, text),
        }
    }

    fn time(self, unix_ms: i64) -> Self {
        if unix_ms.unsigned_abs() >= EARLIEST_MS {
            return self.raw("timestamp", &unix_ms.to_string());
        }
        self.text("timestamp", &iso(unix_ms))
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Clients of Gorse send `null` where they have nothing to tell.
fn told(kept: &str) -> &str {
    if kept == "null" { "{}" } else { kept }
}

impl Written for Event {
    const COLUMNS: &'static [(&'static str, ColumnKind)] = &[
        ("event_id", ColumnKind::Text),
        ("user_id", ColumnKind::Text),
        ("item_id", ColumnKind::Text),
        ("event_type", ColumnKind::Text),
        ("value", ColumnKind::Number),
        ("timestamp", ColumnKind::Time),
        ("recommendation_id", ColumnKind::Text),
        ("context", ColumnKind::Text),
        ("comment", ColumnKind::Text),
    ];

    fn line(&self) -> String {
        let line = Line::new().text("event_id", &self.id).text("user_id", &self.user);
        let line = line.text("item_id", &self.item).text("event_type", &self.kind);
        let line = line.raw("value", &Value::from(self.value).to_string()).time(self.time);
        let line = line.words("recommendation_id", &self.recommendation);
        line.json("context", &self.detail).words("comment", &self.comment).end()
    }

    fn cells(&self, file: &mut ParquetFile) {
        file.text(&self.id).text(&self.user).text(&self.item).text(&self.kind);
        file.number(self.value).time(self.time).text(&self.recommendation);
        file.text(told(&self.detail)).text(&self.comment);
    }
}

impl Written for Item {
    const COLUMNS: &'static [(&'static str, ColumnKind)] = &[
        ("item_id", ColumnKind::Text),
        ("fields", ColumnKind::Text),
        ("categories", ColumnKind::Text),
        ("hidden", ColumnKind::Flag),
        ("comment", ColumnKind::Text),
        ("timestamp", ColumnKind::Time),
    ];

    fn line(&self) -> String {
        let line = Line::new().text("item_id", &self.id).json("fields", &self.fields);
        let line =
            if self.categories == "[]" { line } else { line.json("categories", &self.categories) };
        let line = if self.hidden { line.raw("hidden", "true") } else { line };
        line.words("comment", &self.comment).time(self.time).end()
    }

    fn cells(&self, file: &mut ParquetFile) {
        file.text(&self.id).text(told(&self.fields)).text(&self.categories);
        file.flag(self.hidden).text(&self.comment).time(self.time);
    }
}

impl Written for User {
    const COLUMNS: &'static [(&'static str, ColumnKind)] = &[
        ("user_id", ColumnKind::Text),
        ("fields", ColumnKind::Text),
        ("comment", ColumnKind::Text),
    ];

    fn line(&self) -> String {
        let line = Line::new().text("user_id", &self.id).json("fields", &self.fields);
        line.words("comment", &self.comment).end()
    }

    fn cells(&self, file: &mut ParquetFile) {
        file.text(&self.id).text(told(&self.fields)).text(&self.comment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_the_api_is_told_and_no_more_than_there_is() {
        let event = Event {
            id: "e\"1".into(),
            user: "蜜".into(),
            item: "i".into(),
            kind: "click".into(),
            value: 0.1 + 0.2,
            time: 1_645_660_800_123,
            recommendation: String::new(),
            comment: String::new(),
            detail: "null".into(),
        };
        let head = r#"{"event_id":"e\"1","user_id":"蜜","item_id":"i","event_type":"click","value":0.30000000000000004,"timestamp":"#;
        assert_eq!(event.line(), format!("{head}1645660800123}}"));
        let early = Event { time: 2, detail: r#"{"a":1e5}"#.into(), ..event };
        assert_eq!(
            early.line(),
            format!(r#"{head}"1970-01-01T00:00:00.002Z","context":{{"a":1e5}}}}"#)
        );
    }
}
