//! One JSON object per line; Gorse's bulk files among others. Objects inside become columns `outer.inner`.

use csv::ByteRecord;
use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use crate::{
    Error, Place, RowFault,
    reader::{Field, Lines, Reader, Text},
};

/// Reads JSON lines. Columns appear as their keys do.
pub(crate) struct JsonLines {
    lines: Lines,
    columns: Vec<Field>,
    by_name: FxHashMap<String, usize>,
    /// One cell per column of the row being read.
    cells: Vec<String>,
    /// The first row, read ahead to know the columns.
    ahead: bool,
}

/// More keys than this are not columns but data.
const MAX_COLUMNS: usize = 512;

impl JsonLines {
    pub(crate) fn open(text: Text) -> Result<Self, Error> {
        let mut reader = Self {
            lines: Lines::new(text),
            columns: Vec::new(),
            by_name: FxHashMap::default(),
            cells: Vec::new(),
            ahead: false,
        };
        reader.ahead = reader.next_object()?;
        Ok(reader)
    }

    fn next_object(&mut self) -> Result<bool, Error> {
        self.cells.iter_mut().for_each(String::clear);
        let Some(line) = self.lines.next_line()? else { return Ok(false) };
        let fault = match serde_json::from_slice::<Map<String, Value>>(line) {
            Ok(object) => {
                for (key, value) in object {
                    self.take(key, value)?;
                }
                return Ok(true);
            }
            Err(_) if str::from_utf8(line).is_err() => RowFault::Utf8 { column: "line".into() },
            Err(_) if line.trim_ascii_start().starts_with(b"[") => RowFault::Json {
                why: "this is an array; write one object per line, for instance with `jq -c '.[]'`"
                    .into(),
            },
            Err(e) => RowFault::Json { why: e.to_string() },
        };
        Err(self.lines.fault(fault))
    }

    fn take(&mut self, key: String, value: Value) -> Result<(), Error> {
        if let Value::Object(inner) = value {
            for (name, value) in inner {
                let at = self.column(format!("{key}.{name}"))?;
                render(value, &mut self.cells[at]);
            }
        } else {
            let at = self.column(key)?;
            render(value, &mut self.cells[at]);
        }
        Ok(())
    }

    fn column(&mut self, name: String) -> Result<usize, Error> {
        if let Some(&at) = self.by_name.get(&name) {
            return Ok(at);
        }
        if self.columns.len() == MAX_COLUMNS {
            let path = self.lines.path.clone();
            return Err(Error::TooManyColumns { path, place: self.place(), limit: MAX_COLUMNS });
        }
        self.columns.push(Field::any(name.clone()));
        self.cells.push(String::new());
        self.by_name.insert(name, self.cells.len() - 1);
        Ok(self.cells.len() - 1)
    }
}

/// Writes a value as the text of a cell; lists and objects stay JSON.
fn render(value: Value, cell: &mut String) {
    cell.clear();
    match value {
        Value::Null => {}
        Value::String(text) => cell.push_str(&text),
        other => cell.push_str(&other.to_string()),
    }
}

impl Reader for JsonLines {
    fn columns(&self) -> &[Field] {
        &self.columns
    }

    fn read(&mut self, row: &mut ByteRecord) -> Result<bool, Error> {
        if !std::mem::take(&mut self.ahead) && !self.next_object()? {
            return Ok(false);
        }
        row.clear();
        for cell in &self.cells {
            row.push_field(cell.as_bytes());
        }
        Ok(true)
    }

    fn place(&self) -> Place {
        Place::Line(self.lines.line())
    }
}
