//! One JSON object per line; Gorse's bulk files among others. Objects inside become columns `outer.inner`.

use csv::ByteRecord;
use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use crate::{
    Error, Place, RowFault,
    error::shorten,
    reader::{Field, Lines, Reader, Text},
};

/// Reads JSON lines. Columns appear as their keys do.
pub(crate) struct JsonLines {
    lines: Lines,
    columns: Vec<Field>,
    by_name: FxHashMap<String, usize>,
    /// One cell per column of the row being read.
    cells: Vec<String>,
    /// What kind of value stands in a cell, if it is one that cannot be an id.
    odd: Vec<Option<&'static str>>,
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
            odd: Vec::new(),
            ahead: false,
        };
        reader.ahead = reader.next_object()?;
        Ok(reader)
    }

    fn next_object(&mut self) -> Result<bool, Error> {
        self.cells.iter_mut().for_each(String::clear);
        self.odd.fill(None);
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
                self.set(at, value);
            }
        } else {
            let at = self.column(key)?;
            self.set(at, value);
        }
        Ok(())
    }

    fn set(&mut self, at: usize, value: Value) {
        self.odd[at] = odd(&value);
        render(value, &mut self.cells[at]);
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
        self.odd.push(None);
        self.by_name.insert(name, self.cells.len() - 1);
        Ok(self.cells.len() - 1)
    }
}

/// Names a kind of value whose text is no id: fractions, and whole numbers too large to be read without rounding, would
/// make one of two; lists and objects have many spellings.
fn odd(value: &Value) -> Option<&'static str> {
    match value {
        Value::Number(number) if number.is_f64() => {
            Some("a fraction or a number too large to be exact")
        }
        Value::Array(_) => Some("a list"),
        Value::Object(_) => Some("an object"),
        _ => None,
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

    fn id_fault(&self, column: usize) -> Option<RowFault> {
        let kind = (*self.odd.get(column)?)?;
        let value = shorten(&self.cells[column]);
        Some(RowFault::OddId { column: self.columns[column].name.clone(), value, kind })
    }

    fn place(&self) -> Place {
        Place::Line(self.lines.line())
    }
}
