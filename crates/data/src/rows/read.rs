//! Rows out of any file that can be read, compressed or not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::ByteRecord;

use crate::reader::{self, Lines, Reader, Source};
use crate::{Error, Format, Part, Place, RowFault, readers};

/// A row of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum FileRow<'a> {
    /// A line, of a file of JSON lines.
    Line(&'a str),
    /// Names and texts of the columns that are not empty, of a table; lists are JSON, times are seconds.
    Cells(Vec<(&'a str, &'a str)>),
}

enum From {
    /// The file is empty.
    Nothing,
    Lines(Lines),
    Table {
        reader: Box<dyn Reader>,
        names: Vec<String>,
        row: ByteRecord,
    },
}

/// A file that is read row by row.
pub struct FileRows {
    path: PathBuf,
    from: From,
    done: Arc<AtomicU64>,
    total: u64,
}

impl FileRows {
    /// Opens a file; its format is found by name and content. One without a row is as good as any other.
    pub fn open(path: &Path, part: Part) -> Result<Self, Error> {
        let (from, done, total) = match reader::source(path, part, None) {
            Ok((Source::Text(Format::Jsonl, text), done, total)) => {
                (From::Lines(Lines::new(text)), done, total)
            }
            Ok((Source::Text(format, text), done, total)) => {
                (table(readers::open(format, text)?), done, total)
            }
            Ok((Source::Parquet(reader), done, total)) => (table(reader), done, total),
            Err(Error::Empty { .. }) => (From::Nothing, Arc::default(), 0),
            Err(error) => return Err(error),
        };
        Ok(Self { path: path.into(), from, done, total })
    }

    /// Reads the next row and tells where it stands; `None` at the end.
    pub fn next_row(&mut self) -> Result<Option<(Place, FileRow<'_>)>, Error> {
        let path = &self.path;
        match &mut self.from {
            From::Nothing => Ok(None),
            From::Lines(lines) => {
                if lines.next_line()?.is_none() {
                    return Ok(None);
                }
                let place = Place::Line(lines.line());
                let text = str::from_utf8(lines.now());
                let text = text.map_err(|_| utf8(path, place, "line"))?;
                Ok(Some((place, FileRow::Line(text))))
            }
            From::Table { reader, names, row } => {
                if !reader.read(row)? {
                    return Ok(None);
                }
                let columns = reader.columns().iter().skip(names.len());
                names.extend(columns.map(|column| column.name.clone()));
                let place = reader.place();
                let mut cells = Vec::with_capacity(names.len());
                for (name, cell) in
                    names.iter().zip(row.iter()).filter(|(_, cell)| !cell.is_empty())
                {
                    let text = str::from_utf8(cell).map_err(|_| utf8(path, place, name))?;
                    cells.push((name.as_str(), text));
                }
                Ok(Some((place, FileRow::Cells(cells))))
            }
        }
    }

    /// Returns the bytes read so far, and all of them.
    pub fn progress(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed).min(self.total), self.total)
    }
}

fn table(reader: Box<dyn Reader>) -> From {
    From::Table { reader, names: Vec::new(), row: ByteRecord::new() }
}

fn utf8(path: &Path, place: Place, column: &str) -> Error {
    Error::Row { path: path.into(), place, fault: RowFault::Utf8 { column: column.into() } }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn all(path: &Path) -> Result<Vec<String>, Error> {
        let mut rows = FileRows::open(path, Part::Items)?;
        let mut all = Vec::new();
        while let Some((place, row)) = rows.next_row()? {
            all.push(format!("{place}: {row:?}"));
        }
        let (done, total) = rows.progress();
        assert_eq!(done, total);
        Ok(all)
    }

    #[test]
    fn lines_stay_as_they_are_and_tables_become_cells() {
        let home = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = home.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let lines = b"{\"a\": 1e0}\n\n{\"a\": {\"b\":[2]}}\n";
        let kept = [
            "line 1: Line(\"{\\\"a\\\": 1e0}\")",
            "line 3: Line(\"{\\\"a\\\": {\\\"b\\\":[2]}}\")",
        ];
        assert_eq!(all(&put("x.jsonl", lines)).unwrap(), kept);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(lines).unwrap();
        assert_eq!(all(&put("x.jsonl.gz", &gz.finish().unwrap())).unwrap(), kept);
        assert_eq!(
            all(&put("x.jsonl.zst", &zstd::encode_all(&lines[..], 1).unwrap())).unwrap(),
            kept
        );
        let cells = all(&put("x.csv", b"item_id,title\na,\"red, film\"\nb,\n")).unwrap();
        assert_eq!(
            cells,
            [
                "line 2: Cells([(\"item_id\", \"a\"), (\"title\", \"red, film\")])",
                "line 3: Cells([(\"item_id\", \"b\")])"
            ]
        );
        for (name, bytes) in [("empty.jsonl", &b""[..]), ("blank.jsonl", b"\n \n")] {
            assert!(all(&put(name, bytes)).unwrap().is_empty());
        }
        let broken = all(&put("broken.jsonl", b"{}\n{\"a\":\"\xef\"}\n")).unwrap_err().to_string();
        assert!(broken.contains("line 2") && broken.contains("UTF-8"), "{broken}");
        assert!(all(&home.path().join("nothing.jsonl")).is_err());
    }
}
