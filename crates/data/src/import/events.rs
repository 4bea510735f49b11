//! The interactions file, row by row, to numbers in columns.

use std::{path::Path, sync::atomic::Ordering};

use csv::ByteRecord;
use tastemaker_core::Progress;

use super::{ImportOptions, Sources, Unknown, refuse::Refusals, times::Times};
use crate::{
    Dropped, Error, Format, Interner, MAX_ID_BYTES, Part, RowFault, TimeUnit,
    error::shorten,
    reader::{self, Field, Reader},
    schema::{self, ColumnUse, EventColumns},
};

/// All events as they stand in the file.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) users: Interner,
    pub(super) items: Interner,
    pub(super) user: Vec<u32>,
    pub(super) item: Vec<u32>,
    pub(super) value: Vec<f32>,
    /// Microseconds since 1970, or positions when the unit is `Order`.
    pub(super) time: Vec<i64>,
    pub(super) unit: TimeUnit,
    /// One per item of the file: whether the items file has it.
    pub(super) known: Vec<bool>,
    pub(super) rows_read: usize,
    pub(super) without_time: usize,
    pub(super) dropped: Vec<Dropped>,
    pub(super) format: Format,
    pub(super) uses: Vec<ColumnUse>,
}

/// Progress is told once in so many rows.
const PROGRESS_ROWS: usize = 1 << 16;

/// Reads all events; `catalogue` is what the items file has, when there is one.
pub(super) fn read(
    sources: &Sources,
    options: &ImportOptions,
    catalogue: Option<&Interner>,
    progress: &dyn Progress,
) -> Result<Events, Error> {
    let path = &sources.interactions;
    let mut opened = reader::open(path, Part::Interactions, sources.format)?;
    let mut refusals = Refusals::new(path, Part::Interactions, options.bad_rows);
    let mut collector = Collector::new(path, catalogue, options.unknown_items);
    let mut n_columns = 0;
    let mut row = ByteRecord::new();
    collector.resolve(opened.reader.columns(), sources)?;
    loop {
        match opened.reader.read(&mut row) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                refusals.pass(error)?;
                collector.events.rows_read += 1;
                continue;
            }
        }
        if opened.reader.columns().len() != n_columns {
            n_columns = opened.reader.columns().len();
            collector.resolve(opened.reader.columns(), sources)?;
        }
        collector.events.rows_read += 1;
        let columns = collector.columns;
        let odd = [columns.user, columns.item].into_iter().find_map(|c| opened.reader.id_fault(c));
        if let Err(fault) = odd.map_or_else(|| collector.take(&row), Err) {
            let place = opened.reader.place();
            if options.unknown_items == Unknown::Error
                && matches!(fault, RowFault::UnknownItem { .. })
            {
                return Err(Error::Row { path: path.clone(), place, fault });
            }
            refusals.refuse(place, fault)?;
        }
        if collector.events.rows_read.is_multiple_of(PROGRESS_ROWS) {
            collector.check_size()?;
            report(progress, opened.done.load(Ordering::Relaxed), opened.total);
        }
    }
    report(progress, opened.total, opened.total);
    if collector.events.rows_read == 0 {
        return Err(nothing(path, Part::Interactions, opened.reader.as_ref()));
    }
    collector.events.format = opened.format;
    collector.events.dropped = refusals.into_dropped();
    Ok(collector.finish(opened.reader.columns()))
}

/// Says that a file has a header alone.
pub(super) fn nothing(path: &Path, part: Part, reader: &dyn Reader) -> Error {
    Error::HeaderOnly { path: path.into(), part, found: names(reader.columns()) }
}

pub(super) fn names(columns: &[Field]) -> Vec<String> {
    columns.iter().map(|c| c.name.clone()).collect()
}

fn report(progress: &dyn Progress, done: u64, total: u64) {
    let size = |n| usize::try_from(n).unwrap_or(usize::MAX);
    progress.report("reading interactions", size(done.min(total)), size(total));
}

struct Collector<'a> {
    path: &'a Path,
    catalogue: Option<&'a Interner>,
    unknown: Unknown,
    columns: EventColumns,
    user_name: String,
    item_name: String,
    rating_name: String,
    times: Times,
    /// The user of the row before: files are often grouped by user.
    last_user: Option<u32>,
    timed: usize,
    events: Events,
}

impl<'a> Collector<'a> {
    fn new(path: &'a Path, catalogue: Option<&'a Interner>, unknown: Unknown) -> Self {
        let events = Events {
            users: Interner::default(),
            items: Interner::default(),
            user: Vec::new(),
            item: Vec::new(),
            value: Vec::new(),
            time: Vec::new(),
            unit: TimeUnit::Order,
            known: Vec::new(),
            rows_read: 0,
            without_time: 0,
            dropped: Vec::new(),
            format: Format::Csv,
            uses: Vec::new(),
        };
        Self {
            path,
            catalogue,
            unknown,
            columns: EventColumns { user: 0, item: 0, rating: None, time: None },
            user_name: String::new(),
            item_name: String::new(),
            rating_name: String::new(),
            times: Times::new(String::new()),
            last_user: None,
            timed: 0,
            events,
        }
    }

    /// Finds the columns by name, again when more have come.
    fn resolve(&mut self, fields: &[Field], sources: &Sources) -> Result<(), Error> {
        let found = names(fields);
        let columns = schema::event_columns(self.path, &found, &sources.columns)?;
        let name = |i: usize| found[i].clone();
        self.user_name = name(columns.user);
        self.item_name = name(columns.item);
        self.rating_name = columns.rating.map(name).unwrap_or_default();
        if columns.time != self.columns.time {
            self.times = Times::new(columns.time.map(name).unwrap_or_default());
        }
        self.columns = columns;
        Ok(())
    }

    fn take(&mut self, row: &ByteRecord) -> Result<(), RowFault> {
        let cell = |i: Option<usize>| i.and_then(|i| row.get(i)).unwrap_or_default();
        let user = id(cell(Some(self.columns.user)), &self.user_name)?;
        let item = id(cell(Some(self.columns.item)), &self.item_name)?;
        let value = rating(cell(self.columns.rating), &self.rating_name)?;
        let time = self.times.parse(cell(self.columns.time))?;
        let known = self.item(item)?;
        let Some(item) = known else { return Ok(()) };
        self.timed += usize::from(time.is_some());
        let user = self.user(user);
        self.events.user.push(user);
        self.events.item.push(item);
        self.events.value.push(value);
        self.events.time.push(time.unwrap_or(0));
        Ok(())
    }

    fn user(&mut self, name: &str) -> u32 {
        if let Some(last) = self.last_user
            && self.events.users.name(last) == name
        {
            return last;
        }
        let user = self.events.users.intern(name);
        self.last_user = Some(user);
        user
    }

    /// Numbers an item; `None` when the event is to be dropped.
    fn item(&mut self, name: &str) -> Result<Option<u32>, RowFault> {
        let item = self.events.items.intern(name);
        let at = item as usize;
        if at == self.events.known.len() {
            self.events.known.push(self.catalogue.is_none_or(|all| all.get(name).is_some()));
        }
        match self.unknown {
            Unknown::Error if !self.events.known[at] => {
                Err(RowFault::UnknownItem { id: shorten(name) })
            }
            Unknown::Drop if !self.events.known[at] => Ok(None),
            _ => Ok(Some(item)),
        }
    }

    fn check_size(&self) -> Result<(), Error> {
        let limit = u32::MAX as usize - PROGRESS_ROWS;
        let full = |n: usize| n > limit;
        if full(self.events.users.len())
            || full(self.events.items.len())
            || full(self.events.user.len())
        {
            return Err(Error::TooMany { path: self.path.into(), what: "users, items or events" });
        }
        Ok(())
    }

    fn finish(mut self, fields: &[Field]) -> Events {
        self.events.uses = schema::event_uses(&names(fields), &self.columns);
        if self.timed == 0 {
            self.events.time = (0..).take(self.events.user.len()).collect();
        } else {
            self.events.unit = self.times.unit();
            self.events.without_time = self.events.user.len() - self.timed;
        }
        self.events
    }
}

/// Checks an id.
pub(super) fn id<'a>(cell: &'a [u8], column: &str) -> Result<&'a str, RowFault> {
    let text = str::from_utf8(cell).map_err(|_| RowFault::Utf8 { column: column.into() })?.trim();
    match text.len() {
        0 => Err(RowFault::EmptyId { column: column.into() }),
        1..=MAX_ID_BYTES => Ok(text),
        len => Err(RowFault::LongId { column: column.into(), len, limit: MAX_ID_BYTES }),
    }
}

/// Parses a rating; an empty one is 1.
fn rating(cell: &[u8], column: &str) -> Result<f32, RowFault> {
    match cell {
        [] => return Ok(1.0),
        [digit @ b'0'..=b'9'] => return Ok(f32::from(digit - b'0')),
        _ => {}
    }
    let text = str::from_utf8(cell).map_err(|_| RowFault::Utf8 { column: column.into() })?.trim();
    if text.is_empty() {
        return Ok(1.0);
    }
    let value = text.parse().ok().filter(|v: &f32| v.is_finite());
    value.ok_or_else(|| RowFault::Rating { column: column.into(), value: shorten(text) })
}
