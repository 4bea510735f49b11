//! An items or users file to a typed table in the order of the file.

use std::path::Path;

use csv::ByteRecord;
use tastemaker_core::Progress;

use super::{ImportOptions, Sources, events, refuse::Refusals};
use crate::{
    Column, Dropped, Error, Format, Interner, Part, RowFault, Table, reader,
    schema::{self, ColumnUse},
    typing::RawColumn,
};

/// A table as it stands in its file.
pub(super) struct Rows {
    pub(super) table: Table,
    pub(super) id_name: String,
    pub(super) format: Format,
    pub(super) uses: Vec<ColumnUse>,
    pub(super) dropped: Vec<Dropped>,
}

/// Reads the items or users file.
pub(super) fn read(
    path: &Path,
    part: Part,
    sources: &Sources,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Rows, Error> {
    let mut opened = reader::open(path, part, sources.format)?;
    let reader = opened.reader.as_mut();
    let names = events::names(reader.columns());
    let id_column = schema::id_column(path, part, &names, &sources.columns)?;
    let mut refusals = Refusals::new(path, part, options.bad_rows);
    let mut ids = Interner::default();
    let mut columns: Vec<RawColumn> = Vec::new();
    let mut row = ByteRecord::new();
    loop {
        match reader.read(&mut row) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                refusals.pass(error)?;
                continue;
            }
        }
        for field in &reader.columns()[columns.len()..] {
            columns.push(RawColumn::new(field.clone()));
        }
        let take = || take(&row, id_column, part, &mut ids, &mut columns);
        if let Err(fault) = reader.id_fault(id_column).map_or_else(take, Err) {
            refusals.refuse(reader.place(), fault)?;
        }
    }
    if ids.is_empty() && refusals.total() == 0 {
        return Err(events::nothing(path, part, reader));
    }
    progress.report(if part == Part::Items { "reading items" } else { "reading users" }, 1, 1);
    finish(id_column, ids, columns, opened.format, refusals)
}

/// Adds a row; a faulty one changes nothing.
fn take(
    row: &ByteRecord,
    id_column: usize,
    part: Part,
    ids: &mut Interner,
    columns: &mut [RawColumn],
) -> Result<(), RowFault> {
    let column = |i: usize| columns[i].name().to_owned();
    let id = events::id(row.get(id_column).unwrap_or_default(), columns[id_column].name())?;
    for (i, cell) in row.iter().enumerate() {
        if str::from_utf8(cell).is_err() {
            return Err(RowFault::Utf8 { column: column(i) });
        }
    }
    let before = ids.len();
    if ids.intern(id) as usize != before {
        let what = if part == Part::Items { "item" } else { "user" };
        return Err(RowFault::DuplicateId { column: column(id_column), id: id.into(), what });
    }
    for (i, raw) in columns.iter_mut().enumerate().filter(|&(i, _)| i != id_column) {
        raw.set(before, row.get(i).unwrap_or_default());
    }
    Ok(())
}

fn finish(
    id_column: usize,
    ids: Interner,
    raw: Vec<RawColumn>,
    format: Format,
    refusals: Refusals<'_>,
) -> Result<Rows, Error> {
    let (mut columns, mut uses, mut id_name) = (Vec::new(), Vec::new(), String::new());
    for (i, raw) in raw.into_iter().enumerate() {
        let column = raw.name().to_owned();
        if i == id_column {
            id_name.clone_from(&column);
            uses.push(ColumnUse { column, taken_for: "id".into() });
            continue;
        }
        let values = raw.into_values(ids.len());
        uses.push(ColumnUse { column: column.clone(), taken_for: values.kind().into() });
        columns.push(Column { name: column, values });
    }
    let table = Table::new(ids, columns)?;
    Ok(Rows { table, id_name, format, uses, dropped: refusals.into_dropped() })
}
