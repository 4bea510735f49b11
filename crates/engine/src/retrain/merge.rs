//! The data a model was trained on and what was heard since, as files for the import: columns keep their kinds, what was erased is left
//! out, and an event that is in both counts once.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};
use tastemaker_core::History;
use tastemaker_data::{BadRows, ColumnOverrides, Dataset, ImportOptions, Sources, Table, Values};

use super::changes::{self, ChangedItem, ChangedUser, Erased, NewEvent, each};
use super::report::Merged;
use crate::Error;

/// Columns that are made of what a store tells, where the old data has none. Whoever may write could name any number.
const MAX_COLUMNS: usize = 64;

/// One line of the interactions.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    pub(super) user_id: &'a str,
    pub(super) item_id: &'a str,
    pub(super) rating: f32,
    pub(super) timestamp: i64,
}

/// Files for the import, and what is in them.
pub(super) struct Files {
    pub(super) sources: Sources,
    pub(super) options: ImportOptions,
    pub(super) merged: Merged,
}

/// Who and what is not to be read.
#[derive(Default)]
struct Gone {
    users: HashSet<String>,
    items: HashSet<String>,
}

impl Gone {
    fn read(heard: &Path, name: &str) -> Result<Self, Error> {
        let mut gone = Self::default();
        each(heard, name, |erased| {
            match erased {
                Erased::User(id) => gone.users.insert(id),
                Erased::Item(id) => gone.items.insert(id),
            };
            Ok(())
        })?;
        Ok(gone)
    }

    fn holds(&self, user: &str, item: &str) -> bool {
        self.users.contains(user) || self.items.contains(item)
    }
}

type Told = HashMap<String, Map<String, Value>>;

/// Writes the files into `dir`.
pub(super) fn merge(base: &Dataset, heard: &Path, dir: &Path) -> Result<Files, Error> {
    let withdrawn = Gone::read(heard, changes::WITHDRAWN)?;
    let mut gone = Gone::read(heard, changes::ERASED)?;
    gone.users.extend(withdrawn.users.iter().cloned());
    gone.items.extend(withdrawn.items.iter().cloned());
    let interactions = dir.join("interactions.jsonl");
    let merged = events(base, heard, (&gone, &withdrawn), &interactions)?;
    let mut told = Told::new();
    each(heard, changes::ITEMS, |item: ChangedItem| {
        told.insert(item.item_id, item.fields);
        Ok(())
    })?;
    told.retain(|id, _| !withdrawn.items.contains(id));
    let items = rows((&base.items, "item_id"), &gone.items, told, &dir.join("items.jsonl"))?;
    let mut told = Told::new();
    each(heard, changes::USERS, |user: ChangedUser| {
        told.insert(user.user_id, user.fields);
        Ok(())
    })?;
    told.retain(|id, _| !withdrawn.users.contains(id));
    let users = rows((&base.users, "user_id"), &gone.users, told, &dir.join("users.jsonl"))?;
    let columns = ColumnOverrides {
        user: Some("user_id".into()),
        item: Some("item_id".into()),
        rating: Some("rating".into()),
        time: Some("timestamp".into()),
    };
    let sources = Sources { interactions, items, users, columns, ..Sources::default() };
    let old = &base.manifest;
    // One row that cannot be used must not keep all others from being learnt from.
    let options = ImportOptions {
        name: Some(old.name.clone()),
        bad_rows: BadRows::Skip,
        ..old.options.clone()
    };
    Ok(Files { sources, options, merged })
}

/// Writes values as JSON lines.
pub(super) struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Writer {
    pub(super) fn new(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::io(path.to_owned()))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    pub(super) fn put(&mut self, line: &impl Serialize) -> Result<(), Error> {
        let mut bytes = serde_json::to_vec(line).expect("a line is plain data");
        bytes.push(b'\n');
        self.file.write_all(&bytes).map_err(Error::io(self.path.clone()))
    }

    pub(super) fn end(mut self) -> Result<(), Error> {
        self.file.flush().map_err(Error::io(self.path.clone()))
    }
}

fn events(
    base: &Dataset,
    heard: &Path,
    (gone, withdrawn): (&Gone, &Gone),
    path: &Path,
) -> Result<Merged, Error> {
    let mut out = Writer::new(path)?;
    let mut merged = Merged::default();
    let (users, items) = (base.users.ids(), base.items.ids());
    let mut known: HashSet<(u32, u32, i64)> = HashSet::with_capacity(base.histories.n_events());
    for (user, history) in (0u32..).zip(base.histories.iter()) {
        let History { items: taken, values, times } = history;
        let name = users.name(user);
        for ((item, value), time) in taken.iter().zip(values).zip(times) {
            let item_id = items.name(item.0);
            if gone.holds(name, item_id) {
                merged.erased += 1;
                continue;
            }
            known.insert((user, item.0, *time));
            out.put(&Line { user_id: name, item_id, rating: *value, timestamp: *time })?;
            merged.of_serving += 1;
        }
    }
    each(heard, changes::EVENTS, |event: NewEvent| {
        let NewEvent { user_id, item_id, value, timestamp } = &event;
        if withdrawn.holds(user_id, item_id) {
            merged.erased += 1;
            return Ok(());
        }
        let both = users.get(user_id).zip(items.get(item_id));
        if both.is_some_and(|(user, item)| known.contains(&(user, item, *timestamp))) {
            merged.repeated += 1;
            return Ok(());
        }
        merged.new += 1;
        out.put(&Line { user_id, item_id, rating: *value, timestamp: *timestamp })
    })?;
    out.end()?;
    Ok(merged)
}

/// Writes a table with what was told laid over; returns nothing where there is no column at all.
fn rows(
    (table, id_name): (&Table, &str),
    gone: &HashSet<String>,
    mut told: Told,
    path: &Path,
) -> Result<Option<PathBuf>, Error> {
    let mut columns = Columns::new(table);
    let mut ids: Vec<String> = told.keys().cloned().collect();
    ids.sort_unstable();
    if columns.may_grow {
        ids.iter().for_each(|id| columns.learn(&told[id], id_name));
    }
    if columns.kinds.is_empty() {
        return Ok(None);
    }
    let mut out = Writer::new(path)?;
    // The first row names every column, so that those without a value stay columns, in their order.
    let mut first = Some(columns.empty());
    let mut put = |id: &str, old: Map<String, Value>, fields: Map<String, Value>| {
        let mut row = first.take().unwrap_or_default();
        row.extend(old);
        columns.lay_over(&mut row, fields);
        row.insert(id_name.into(), Value::String(id.into()));
        out.put(&row)
    };
    for (row, id) in table.ids().iter().enumerate() {
        let fields = told.remove(id);
        // Who was erased and put back has what was put alone.
        let is_gone = gone.contains(id);
        if is_gone && fields.is_none() {
            continue;
        }
        let old = if is_gone { Map::new() } else { cells(table, row) };
        put(id, old, fields.unwrap_or_default())?;
    }
    for id in ids {
        if let Some(fields) = told.remove(&id) {
            put(&id, Map::new(), fields)?;
        }
    }
    out.end()?;
    Ok(Some(path.to_owned()))
}

/// Returns the cells of a row that are not missing, each as a value of its kind.
fn cells(table: &Table, row: usize) -> Map<String, Value> {
    let mut cells = Map::new();
    for column in table.columns().iter().filter(|column| !column.values.is_missing(row)) {
        let value = match &column.values {
            Values::Text(texts) => Value::from(texts[row].as_str()),
            Values::Categories(lists) => Value::from(lists[row].clone()),
            // The shortest digits of a single-precision number, not those of its double.
            Values::Number(numbers) => Value::from(numbers[row].to_string()),
        };
        cells.insert(column.name.clone(), value);
    }
    cells
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Categories,
    Number,
    /// The import finds out.
    Any,
}

/// The columns a table has, or gets where it has none.
struct Columns {
    kinds: Vec<(String, Kind)>,
    may_grow: bool,
}

impl Columns {
    fn new(table: &Table) -> Self {
        let kind = |values: &Values| match values {
            Values::Text(_) => Kind::Text,
            Values::Categories(_) => Kind::Categories,
            Values::Number(_) => Kind::Number,
        };
        let kinds: Vec<(String, Kind)> = table
            .columns()
            .iter()
            .map(|column| (column.name.clone(), kind(&column.values)))
            .collect();
        Self { may_grow: kinds.is_empty(), kinds }
    }

    /// Returns a row without any value.
    fn empty(&self) -> Map<String, Value> {
        self.kinds.iter().map(|(name, _)| (name.clone(), Value::Null)).collect()
    }

    fn learn(&mut self, fields: &Map<String, Value>, id_name: &str) {
        for name in fields.keys().filter(|name| *name != id_name) {
            let is_known = self.kinds.iter().any(|(known, _)| known == name);
            if !is_known && self.kinds.len() < MAX_COLUMNS {
                self.kinds.push((name.clone(), Kind::Any));
            }
        }
    }

    /// Puts those fields into a row that are columns, as far as they fit their kinds.
    fn lay_over(&self, row: &mut Map<String, Value>, fields: Map<String, Value>) {
        for (name, value) in fields {
            let Some((_, kind)) = self.kinds.iter().find(|(known, _)| *known == name) else {
                continue;
            };
            if let Some(value) = fitting(value, *kind) {
                row.insert(name, value);
            }
        }
    }
}

fn fitting(value: Value, kind: Kind) -> Option<Value> {
    let text = |value: Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        Value::Array(values) => {
            let words =
                values.iter().map(|one| one.as_str().map_or(one.to_string(), str::to_owned));
            words.collect::<Vec<_>>().join("|")
        }
        other => other.to_string(),
    };
    match (kind, value) {
        (_, Value::Null) => None,
        (Kind::Categories | Kind::Any, Value::Array(list)) if list.iter().all(Value::is_string) => {
            Some(Value::Array(list))
        }
        (Kind::Number, value) => {
            let text = text(value);
            let number = text.trim().parse::<f32>().ok().filter(|number| number.is_finite());
            number.map(|number| Value::from(number.to_string()))
        }
        (_, value) => Some(Value::from(text(value))).filter(|text| *text != ""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tastemaker_core::Silent;
    use tastemaker_data::import;

    use super::*;

    #[test]
    fn fields_keep_the_kinds_of_their_columns() {
        assert_eq!(fitting(json!("1999"), Kind::Number), Some(json!("1999")));
        assert_eq!(fitting(json!(0.1), Kind::Number), Some(json!("0.1")));
        assert_eq!(fitting(json!("soon"), Kind::Number), None);
        assert_eq!(fitting(json!(["a", "b"]), Kind::Categories), Some(json!(["a", "b"])));
        assert_eq!(fitting(json!(["a", "b"]), Kind::Text), Some(json!("a|b")));
        assert_eq!(fitting(json!({ "a": 1 }), Kind::Any), Some(json!(r#"{"a":1}"#)));
        assert_eq!(fitting(json!(null), Kind::Any), None);
        assert_eq!(fitting(json!(""), Kind::Text), None);
    }

    fn data(dir: &Path, sources: &Sources, options: &ImportOptions) -> Dataset {
        import(sources, options, dir, &Silent).unwrap();
        Dataset::open(dir).unwrap()
    }

    fn cell(data: &Dataset, item: &str, column: &str) -> Option<String> {
        data.items.field(data.items.ids().get(item)? as usize, column)
    }

    #[test]
    fn what_was_heard_is_laid_over_and_what_was_erased_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let interactions = "user_id,item_id,rating,timestamp\na,1,3,1500000000\na,2,4,1500000001\nb,1,5,1500000002\n";
        let items = "item_id,title,year,genres,text\n1,Heat,1995,Crime|Drama,\n2,Alien,1979,Horror,\n3,Rocky,1976.5,Drama,\n";
        let sources = Sources {
            interactions: put("e.csv", interactions),
            items: Some(put("i.csv", items)),
            ..Sources::default()
        };
        let base = data(&dir.path().join("base"), &sources, &ImportOptions::default());
        let heard = dir.path().join("heard");
        std::fs::create_dir_all(&heard).unwrap();
        let event = |user: &str, item: &str, time: i64| {
            json!({ "user_id": user, "item_id": item, "value": 2.0, "timestamp": time }).to_string()
                + "\n"
        };
        // The first is in the data already; b came back; c was erased while this was written.
        let events = [
            ("a", "1", 1_500_000_000),
            ("a", "4", 1_600_000_000),
            ("b", "2", 1_600_000_001),
            ("c", "1", 1_600_000_002),
        ];
        put(
            "heard/events.jsonl",
            &events.map(|(user, item, time)| event(user, item, time)).concat(),
        );
        let four = json!({ "item_id": "4", "fields": { "title": "Ran", "year": "soon", "genres": ["War"], "price": 3 } });
        let two = json!({ "item_id": "2", "fields": { "title": "Aliens" } });
        put("heard/items.jsonl", &format!("{four}\n{two}\n"));
        put("heard/erased.jsonl", "{\"user\":\"b\"}\n{\"item\":\"3\"}\n");
        put("heard/withdrawn.jsonl", "{\"user\":\"c\"}\n");
        let work = dir.path().join("work");
        std::fs::create_dir_all(&work).unwrap();
        let files = merge(&base, &heard, &work).unwrap();
        let Merged { of_serving, new, repeated, erased } = files.merged;
        assert_eq!((of_serving, new, repeated, erased), (2, 2, 1, 2));
        let next = data(&dir.path().join("next"), &files.sources, &files.options);
        let kinds = |data: &Dataset| -> Vec<(String, &str)> {
            let columns = data.items.columns().iter();
            columns.map(|column| (column.name.clone(), column.values.kind())).collect()
        };
        assert_eq!(kinds(&next), kinds(&base));
        assert_eq!(next.histories.n_events(), 4);
        let users: Vec<&str> = next.users.ids().iter().collect();
        assert_eq!(users, ["a", "b"]);
        assert!(next.items.ids().get("3").is_none());
        assert_eq!(cell(&next, "1", "genres").as_deref(), Some("Crime, Drama"));
        assert_eq!(cell(&next, "2", "title").as_deref(), Some("Aliens"));
        assert_eq!(cell(&next, "2", "year").as_deref(), Some("1979"));
        assert_eq!(cell(&next, "4", "title").as_deref(), Some("Ran"));
        assert_eq!(cell(&next, "4", "year"), None);
    }

    #[test]
    fn nobody_makes_more_columns_than_there_may_be() {
        let mut columns = Columns::new(&Table::default());
        for n in 0..1000 {
            columns.learn(
                json!({ format!("c{n}"): 1, "item_id": "x" }).as_object().unwrap(),
                "item_id",
            );
        }
        assert_eq!(columns.kinds.len(), MAX_COLUMNS);
        let mut row = Map::new();
        columns.lay_over(&mut row, json!({ "c0": "a", "c999": "b" }).as_object().unwrap().clone());
        assert_eq!(Value::Object(row), json!({ "c0": "a" }));
    }
}
