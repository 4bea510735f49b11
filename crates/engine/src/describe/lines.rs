//! Descriptions in a file, one a line; and the items with them as columns, ready to be imported.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tastemaker_data::{Dataset, Values};
use tastemaker_dialog::Author;

use crate::Error;
use crate::artifact::write_whole;

/// Bytes of a file that is gone on with, at most.
const LIMIT: u64 = 4 << 30;
/// Names of the columns, and of those that stand in for them where the items have columns of these names.
const COLUMNS: [(&str, &str); 2] = [("summary", "described_summary"), ("tags", "described_tags")];

/// An item in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The item's id.
    pub item_id: String,
    /// The summary.
    pub summary: String,
    /// The tags.
    pub tags: Vec<String>,
    /// Whose they are.
    pub author: Author,
    /// Why they are not the model's, where one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Reads the descriptions of a file that is gone on with.
pub(super) fn read(path: &Path) -> Result<Vec<Description>, Error> {
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    let mut text = String::new();
    file.take(LIMIT + 1).read_to_string(&mut text).map_err(Error::io(path))?;
    let fault = |why: String| Error::Lines { path: path.to_owned(), why };
    if text.len() as u64 > LIMIT {
        return Err(fault(format!("has more than {LIMIT} bytes: choose another --out")));
    }
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| {
                fault(format!(
                    "line {number} is no description of an item ({error}): take it out, or choose another --out"
                ))
            })
        })
        .collect()
}

/// Writes descriptions, the file as a whole or not at all.
pub(super) fn write(path: &Path, all: &[Description]) -> Result<(), Error> {
    write_whole(path, lines(path, all)?)
}

/// Writes all items with their columns, and summary and tags as two more, as `import --items` reads them.
pub(super) fn write_items(path: &Path, data: &Dataset, all: &[Description]) -> Result<(), Error> {
    let items = &data.items;
    let name = |(usual, other): (&'static str, &'static str)| match items.column(usual) {
        Some(_) => other,
        None => usual,
    };
    let [summary, tags] = COLUMNS.map(name);
    let by_id: HashMap<&str, &Description> =
        all.iter().map(|one| (one.item_id.as_str(), one)).collect();
    let item = |(row, id): (usize, &str)| {
        let mut fields = Map::new();
        fields.insert("item_id".into(), id.into());
        for column in items.columns() {
            if let Some(value) = cell(&column.values, row) {
                fields.insert(column.name.clone(), value);
            }
        }
        if let Some(one) = by_id.get(id) {
            fields.insert(summary.into(), json!(one.summary));
            fields.insert(tags.into(), json!(one.tags));
        }
        fields
    };
    write_whole(path, lines(path, items.ids().iter().enumerate().map(item))?)
}

/// Returns each value as a line of JSON.
fn lines<T: Serialize>(path: &Path, all: impl IntoIterator<Item = T>) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    for one in all {
        serde_json::to_writer(&mut text, &one).map_err(|error| Error::io(path)(error.into()))?;
        text.push(b'\n');
    }
    Ok(text)
}

/// Returns a field; `None` where it is missing.
fn cell(values: &Values, row: usize) -> Option<Value> {
    match values {
        Values::Text(texts) => (!texts[row].is_empty()).then(|| json!(texts[row])),
        Values::Categories(lists) => (!lists[row].is_empty()).then(|| json!(lists[row])),
        Values::Number(numbers) => numbers[row].is_finite().then(|| json!(numbers[row])),
    }
}
