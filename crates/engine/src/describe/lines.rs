//! Descriptions in a file, one a line; and the items with them as columns, ready to be imported.

use std::collections::HashMap;
use std::io::{BufWriter, Read as _, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tastemaker_data::{Dataset, Values};
use tastemaker_dialog::Author;

use crate::Error;

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
    whole(path, &mut |file| {
        all.iter().try_for_each(|one| {
            serde_json::to_writer(&mut *file, one)?;
            file.write_all(b"\n")
        })
    })
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
    whole(path, &mut |file| {
        for (row, id) in items.ids().iter().enumerate() {
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
            serde_json::to_writer(&mut *file, &fields)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Returns a field; `None` where it is missing.
fn cell(values: &Values, row: usize) -> Option<Value> {
    match values {
        Values::Text(texts) => (!texts[row].is_empty()).then(|| json!(texts[row])),
        Values::Categories(lists) => (!lists[row].is_empty()).then(|| json!(lists[row])),
        Values::Number(numbers) => numbers[row].is_finite().then(|| json!(numbers[row])),
    }
}

/// Writes beside the place and moves there.
fn whole(
    path: &Path,
    put: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let mut buffered = BufWriter::new(&mut file);
        put(&mut buffered)?;
        buffered.flush()?;
        drop(buffered);
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(Error::io(path))
}
