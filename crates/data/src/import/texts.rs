//! A column of texts out of any file that can be imported, with an id for each.

use std::{path::Path, sync::atomic::Ordering};

use csv::ByteRecord;
use tastemaker_core::Progress;

use super::events;
use crate::{Error, Part, RowFault, intern, reader};

/// Texts in the order of their file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextRows {
    /// What stands in the column of ids, else the numbers of rows, from 1.
    pub ids: Vec<String>,
    /// The texts; empty where a row has none.
    pub texts: Vec<String>,
}

/// Progress is told once in so many rows.
const PROGRESS_ROWS: usize = 1 << 14;

/// Reads the column `text` of a file, and its column `id` where one is named; the format is found by name and content.
pub fn read_texts(
    path: &Path,
    text: &str,
    id: Option<&str>,
    progress: &dyn Progress,
) -> Result<TextRows, Error> {
    let mut opened = reader::open(path, Part::Items, None)?;
    let reader = opened.reader.as_mut();
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let mut rows = TextRows::default();
    let mut names = events::names(reader.columns());
    let find = |names: &[String], wanted: &str| names.iter().position(|name| name == wanted);
    let mut row = ByteRecord::new();
    while reader.read(&mut row)? {
        // Of lines of JSON, columns come to be known while they are read.
        if names.len() != reader.columns().len() {
            names = events::names(reader.columns());
        }
        let fault = |fault| Error::Row { path: path.into(), place: reader.place(), fault };
        let cell = |column: Option<usize>| column.and_then(|at| row.get(at)).unwrap_or_default();
        let broken = |_| fault(RowFault::Utf8 { column: text.into() });
        rows.texts.push(str::from_utf8(cell(find(&names, text))).map_err(broken)?.to_owned());
        rows.ids.push(match id {
            None => rows.texts.len().to_string(),
            Some(name) => {
                let column = find(&names, name);
                let odd = column.and_then(|column| reader.id_fault(column));
                let id = odd.map_or_else(|| events::id(cell(column), name), Err);
                match (id, column) {
                    (Ok(id), _) => id.to_owned(),
                    (Err(_), None) => return Err(no_such(path, names, ("--id-column", name))),
                    (Err(why), Some(_)) => return Err(fault(why)),
                }
            }
        });
        if rows.ids.len().is_multiple_of(PROGRESS_ROWS) {
            let done = opened.done.load(Ordering::Relaxed).min(opened.total);
            progress.report("reading texts", size(done), size(opened.total));
        }
    }
    if find(&names, text).is_none() {
        return Err(no_such(path, names, ("--column", text)));
    }
    if rows.ids.is_empty() {
        return Err(events::nothing(path, Part::Items, reader));
    }
    progress.report("reading texts", size(opened.total), size(opened.total));
    Ok(rows)
}

fn no_such(path: &Path, found: Vec<String>, (flag, wanted): (&'static str, &str)) -> Error {
    let nearest = intern::nearest(wanted, found.iter().map(String::as_str)).map(Into::into);
    Error::NoSuchColumn { path: path.into(), wanted: wanted.into(), flag, found, nearest }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tastemaker_core::Silent;

    use super::*;

    fn read(name: &str, content: &[u8], id: Option<&str>) -> Result<TextRows, String> {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(name);
        fs::write(&path, content).unwrap();
        read_texts(&path, "title", id, &Silent).map_err(|e| e.to_string())
    }

    #[test]
    fn texts_are_found_by_column_in_every_format() {
        let csv = b"sku,title\na,\"red, film\"\nb,\n";
        let jsonl = b"{\"sku\": \"a\", \"title\": \"red, film\"}\n{\"sku\": \"b\"}\n";
        for (name, content) in [("x.csv", &csv[..]), ("x.jsonl", &jsonl[..])] {
            let rows = read(name, content, Some("sku")).unwrap();
            assert_eq!(
                (rows.ids.join(" "), rows.texts),
                ("a b".into(), vec!["red, film".into(), String::new()])
            );
            assert_eq!(read(name, content, None).unwrap().ids, ["1", "2"]);
        }
        // The column of texts is first seen in the second line.
        let late =
            read("x.jsonl", b"{\"sku\": 1}\n{\"sku\": 2, \"title\": \"sea\"}\n", None).unwrap();
        assert_eq!(late.texts, ["", "sea"]);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let told = |name: &str, content: &[u8], id, parts: &[&str]| {
            let error = read(name, content, id).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        };
        told(
            "x.csv",
            b"sku,titel\na,b\n",
            None,
            &["no column `title`", "--column", "did you mean `titel`"],
        );
        told("x.jsonl", b"{\"sku\": 1}\n", None, &["no column `title`"]);
        told(
            "x.csv",
            b"sku,title\na,b\n",
            Some("ski"),
            &["no column `ski`", "--id-column", "`sku`"],
        );
        told("x.csv", b"sku,title\na,b\n,c\n", Some("sku"), &["line 3", "`sku`"]);
        told("x.csv", b"sku,title\na,na\xefve\n", None, &["line 2", "`title`", "UTF-8"]);
        told("x.csv", b"sku,title\n", None, &["no rows"]);
        told("x.csv", b"", None, &["is empty"]);
        told("x.parquet", b"PAR1 and then nothing", None, &["no readable Parquet file"]);
        told("x.jsonl", b"{\"title\": \"a\"}\n[1\n", None, &["line 2", "JSON"]);
    }
}
