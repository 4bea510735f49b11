//! What the store has heard, as files that a training process reads: page by page, up to the moment at which it began.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};
use tastemaker_engine::Taken;
use tastemaker_engine::retrain::{
    ChangedItem, ChangedUser, ERASED, EVENTS, Erased, ITEMS, NewEvent, USERS, WITHDRAWN,
};
use tastemaker_store::{Event, EventFilter, IMPRESSION};

use crate::Error;
use crate::live::{App, Loaded, Tenant, taken, told};

/// Rows read at once.
const ROWS: usize = 1000;

/// Writes lines of JSON.
struct Lines {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Lines {
    fn new(dir: &Path, name: &str) -> Result<Self, Error> {
        let path = dir.join(name);
        let file = File::create(&path);
        let failed = |source| Error::Write { path: path.display().to_string(), source };
        let file = BufWriter::new(file.map_err(failed)?);
        Ok(Self { file, path })
    }

    fn put(&mut self, line: &impl Serialize) -> Result<(), Error> {
        let mut bytes = serde_json::to_vec(line).expect("a line is plain data");
        bytes.push(b'\n');
        self.done(|file| file.write_all(&bytes))
    }

    fn end(mut self) -> Result<(), Error> {
        self.done(BufWriter::flush)
    }

    fn done(
        &mut self,
        write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        let path = self.path.display().to_string();
        write(&mut self.file).map_err(|source| Error::Write { path, source })
    }
}

/// Writes everything of a tenant into `dir`; returns how many events.
pub(super) async fn snapshot(
    app: &App,
    tenant: &Tenant,
    serving: &Loaded,
    dir: &Path,
) -> Result<usize, Error> {
    let began = app.clock.unix_ms();
    let n = events(app, tenant, began, dir).await?;
    items(app, tenant, serving, dir).await?;
    users(app, tenant, dir).await?;
    // Last, so that whoever was erased while the others were read is in it.
    erased(app, tenant, began, dir).await?;
    Ok(n)
}

async fn events(app: &App, tenant: &Tenant, until: i64, dir: &Path) -> Result<usize, Error> {
    let mut lines = Lines::new(dir, EVENTS)?;
    let (mut cursor, mut n) = (String::new(), 0);
    loop {
        let page = app.store.events(&tenant.name, &EventFilter::default(), &cursor, ROWS).await?;
        let is_wanted = |event: &Event| event.kind != IMPRESSION && event.time <= until;
        let events: Vec<Event> = page.rows.into_iter().filter(is_wanted).collect();
        for event in events {
            let user_id = event.user.clone();
            // The same values and seconds as an answer reckons with.
            let Taken { item: item_id, value, time: timestamp } = taken(event);
            lines.put(&NewEvent { user_id, item_id, value, timestamp })?;
            n += 1;
        }
        cursor = page.cursor;
        if cursor.is_empty() {
            lines.end()?;
            return Ok(n);
        }
    }
}

async fn items(app: &App, tenant: &Tenant, serving: &Loaded, dir: &Path) -> Result<(), Error> {
    let mut lines = Lines::new(dir, ITEMS)?;
    let has_columns = !serving.engine.data().items.columns().is_empty();
    let mut cursor = String::new();
    loop {
        let page = app.store.items(&tenant.name, &cursor, ROWS).await?;
        for item in page.rows {
            let mut fields = told(&item);
            if !has_columns {
                // One name for categories will do where none has to be found.
                for name in ["category", "genres"] {
                    fields.shift_remove(name);
                }
            }
            lines.put(&ChangedItem { item_id: item.id, fields })?;
        }
        cursor = page.cursor;
        if cursor.is_empty() {
            return lines.end();
        }
    }
}

async fn users(app: &App, tenant: &Tenant, dir: &Path) -> Result<(), Error> {
    let mut lines = Lines::new(dir, USERS)?;
    let mut cursor = String::new();
    loop {
        let page = app.store.users(&tenant.name, &cursor, ROWS).await?;
        for user in page.rows {
            let fields: Map<String, Value> = serde_json::from_str(&user.fields).unwrap_or_default();
            lines.put(&ChangedUser { user_id: user.id, fields })?;
        }
        cursor = page.cursor;
        if cursor.is_empty() {
            return lines.end();
        }
    }
}

async fn erased(app: &App, tenant: &Tenant, began: i64, dir: &Path) -> Result<(), Error> {
    let (mut old, mut withdrawn) = (Lines::new(dir, ERASED)?, Lines::new(dir, WITHDRAWN)?);
    for (kind, erased) in [("user", Erased::User as fn(String) -> Erased), ("item", Erased::Item)] {
        let mut cursor = String::new();
        loop {
            let page = app.store.erased_since_ever((&tenant.name, kind), &cursor, ROWS).await?;
            for (id, time) in page.rows {
                let lines = if time >= began { &mut withdrawn } else { &mut old };
                lines.put(&erased(id))?;
            }
            cursor = page.cursor;
            if cursor.is_empty() {
                break;
            }
        }
    }
    old.end()?;
    withdrawn.end()
}
