//! Apache Parquet as it comes from pandas, Spark or `DuckDB`: scalar columns and lists, some thousand rows at a time.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use csv::ByteRecord;
use parquet::{
    basic::{ConvertedType, LogicalType, TimeUnit},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::DataType,
    errors::ParquetError,
    file::{reader::FileReader as _, serialized_reader::SerializedFileReader},
    schema::types::ColumnDescriptor,
};

use crate::{
    Error, Place,
    reader::{Field, Reader},
};

/// Reads Parquet files.
pub(crate) struct Parquet {
    path: PathBuf,
    file: SerializedFileReader<File>,
    columns: Vec<Field>,
    kinds: Vec<Kind>,
    /// Readers of the row group being read, one per column.
    readers: Vec<ColumnReader>,
    next_group: usize,
    /// Rows of the group not yet decoded.
    left: usize,
    cells: Vec<Cells>,
    next_cell: usize,
    decoded: usize,
    row: u64,
    done: Arc<AtomicU64>,
    total: u64,
}

/// Rows decoded at a time.
const BATCH: usize = 8192;

/// The text of one column for a batch of rows.
#[derive(Default)]
struct Cells {
    text: Vec<u8>,
    ends: Vec<usize>,
}

/// How the numbers of a column are written.
#[derive(Clone, Copy)]
struct Kind {
    is_list: bool,
    max_definition: i16,
    number: Number,
}

#[derive(Clone, Copy)]
enum Number {
    Plain,
    Unsigned,
    Days,
    /// Seconds times this.
    Ticks(i64),
    /// Decimal places.
    Decimal(u32),
}

impl Parquet {
    pub(crate) fn open(
        path: &Path,
        file: File,
        done: Arc<AtomicU64>,
        total: u64,
    ) -> Result<Self, Error> {
        let file = SerializedFileReader::new(file).map_err(|e| failed(path, e))?;
        let schema = file.metadata().file_metadata().schema_descr();
        let columns: Vec<Field> =
            schema.columns().iter().map(|c| Field::any(column_name(c))).collect();
        let kinds = schema.columns().iter().map(|c| kind(c)).collect();
        for (i, column) in columns.iter().enumerate() {
            if columns[..i].iter().any(|c| c.name == column.name) {
                let name = column.name.clone();
                return Err(Error::DuplicateColumn { path: path.into(), name });
            }
        }
        Ok(Self {
            path: path.into(),
            file,
            columns,
            kinds,
            readers: Vec::new(),
            next_group: 0,
            left: 0,
            cells: Vec::new(),
            next_cell: 0,
            decoded: 0,
            row: 0,
            done,
            total,
        })
    }

    /// Decodes the next batch; false at the end of the file.
    fn next_batch(&mut self) -> Result<bool, ParquetError> {
        while self.left == 0 {
            let n_groups = self.file.num_row_groups();
            let share = self.total / n_groups.max(1) as u64 * self.next_group as u64;
            self.done.store(share, Ordering::Relaxed);
            if self.next_group == n_groups {
                return Ok(false);
            }
            let group = self.file.get_row_group(self.next_group)?;
            self.next_group += 1;
            self.left = usize::try_from(group.metadata().num_rows())
                .map_err(|_| ParquetError::General("negative number of rows".into()))?;
            self.readers = (0..self.columns.len())
                .map(|i| group.get_column_reader(i))
                .collect::<Result<_, _>>()?;
        }
        let rows = self.left.min(BATCH);
        self.cells.clear();
        for (reader, &kind) in self.readers.iter_mut().zip(&self.kinds) {
            let cells = decode(reader, kind, rows)?;
            if cells.ends.len() != rows {
                return Err(ParquetError::General("a column is too short".into()));
            }
            self.cells.push(cells);
        }
        self.left -= rows;
        self.decoded = rows;
        self.next_cell = 0;
        Ok(true)
    }
}

impl Reader for Parquet {
    fn columns(&self) -> &[Field] {
        &self.columns
    }

    fn read(&mut self, row: &mut ByteRecord) -> Result<bool, Error> {
        if self.next_cell == self.decoded
            && !self.next_batch().map_err(|e| failed(&self.path, e))?
        {
            return Ok(false);
        }
        row.clear();
        for cells in &self.cells {
            row.push_field(cells.get(self.next_cell));
        }
        self.next_cell += 1;
        self.row += 1;
        Ok(true)
    }

    fn place(&self) -> Place {
        Place::Row(self.row)
    }
}

impl Cells {
    fn get(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.text[start..self.ends[row]]
    }
}

fn failed(path: &Path, error: ParquetError) -> Error {
    Error::Parquet { path: path.into(), why: error.to_string() }
}

/// Joins the path of a column, without the inner names that lists have.
fn column_name(column: &ColumnDescriptor) -> String {
    const INNER: [&str; 6] = ["list", "element", "array", "bag", "item", "array_element"];
    let parts = column.path().parts();
    let outer = |(i, part): &(usize, &String)| {
        *i == 0 || column.max_rep_level() == 0 || !INNER.contains(&part.as_str())
    };
    let kept: Vec<&str> =
        parts.iter().enumerate().filter(outer).map(|(_, part)| part.as_str()).collect();
    kept.join(".")
}

fn kind(column: &ColumnDescriptor) -> Kind {
    let number = match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Date), _) | (_, ConvertedType::DATE) => Number::Days,
        (Some(LogicalType::Timestamp(timestamp)), _) => match timestamp.unit {
            TimeUnit::MILLIS => Number::Ticks(1000),
            TimeUnit::MICROS => Number::Ticks(1_000_000),
            TimeUnit::NANOS => Number::Ticks(1_000_000_000),
        },
        (_, ConvertedType::TIMESTAMP_MILLIS) => Number::Ticks(1000),
        (_, ConvertedType::TIMESTAMP_MICROS) => Number::Ticks(1_000_000),
        (_, ConvertedType::DECIMAL) => {
            Number::Decimal(u32::try_from(column.type_scale()).unwrap_or(0).min(18))
        }
        (
            _,
            ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64,
        ) => Number::Unsigned,
        _ => Number::Plain,
    };
    Kind { is_list: column.max_rep_level() > 0, max_definition: column.max_def_level(), number }
}

fn decode(reader: &mut ColumnReader, kind: Kind, rows: usize) -> Result<Cells, ParquetError> {
    match reader {
        ColumnReader::BoolColumnReader(r) => fill(r, kind, rows, |v, out| put(out, v)),
        ColumnReader::Int32ColumnReader(r) => fill(r, kind, rows, |&v, out| match kind.number {
            Number::Unsigned => put(out, &v.cast_unsigned()),
            _ => integer(i64::from(v), kind.number, out),
        }),
        ColumnReader::Int64ColumnReader(r) => fill(r, kind, rows, |&v, out| match kind.number {
            Number::Unsigned => put(out, &v.cast_unsigned()),
            _ => integer(v, kind.number, out),
        }),
        ColumnReader::Int96ColumnReader(r) => {
            fill(r, kind, rows, |v, out| integer(v.to_millis(), Number::Ticks(1000), out))
        }
        ColumnReader::FloatColumnReader(r) => fill(r, kind, rows, |v, out| put(out, v)),
        ColumnReader::DoubleColumnReader(r) => fill(r, kind, rows, |v, out| put(out, v)),
        ColumnReader::ByteArrayColumnReader(r) => {
            fill(r, kind, rows, |v, out| out.extend_from_slice(v.data()))
        }
        ColumnReader::FixedLenByteArrayColumnReader(r) => {
            fill(r, kind, rows, |v, out| out.extend_from_slice(v.data()))
        }
    }
}

fn put(out: &mut Vec<u8>, value: &impl ToString) {
    out.extend_from_slice(value.to_string().as_bytes());
}

/// Writes an integer; times become seconds, with a fraction where there is one.
fn integer(value: i64, number: Number, out: &mut Vec<u8>) {
    let (unit, places) = match number {
        Number::Plain | Number::Unsigned => return put(out, &value),
        Number::Days => return put(out, &value.saturating_mul(86_400)),
        Number::Ticks(unit) => (unit, unit.ilog10()),
        Number::Decimal(places) => (10i64.pow(places), places),
    };
    if value < 0 {
        out.push(b'-');
    }
    let (value, unit) = (value.unsigned_abs(), unit.unsigned_abs());
    put(out, &(value / unit));
    if value % unit != 0 {
        let places = places as usize;
        out.extend_from_slice(format!(".{:0places$}", value % unit).as_bytes());
    }
}

/// Reads up to `rows` rows of a column and writes each as text: nothing where it is null, JSON where it is a list.
fn fill<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    kind: Kind,
    rows: usize,
    write: impl Fn(&T::T, &mut Vec<u8>),
) -> Result<Cells, ParquetError> {
    let (mut definition, mut repetition, mut values) = (Vec::new(), Vec::new(), Vec::new());
    reader.read_records(rows, Some(&mut definition), Some(&mut repetition), &mut values)?;
    let mut cells = Cells::default();
    let mut values = values.iter();
    let n_levels = if kind.max_definition == 0 { values.len() } else { definition.len() };
    let mut list: Vec<String> = Vec::new();
    let is_set = |level: usize| definition.get(level).is_none_or(|&d| d == kind.max_definition);
    for i in 0..n_levels {
        let value = if is_set(i) { values.next() } else { None };
        if !kind.is_list {
            if let Some(value) = value {
                write(value, &mut cells.text);
            }
            cells.ends.push(cells.text.len());
            continue;
        }
        if let Some(value) = value {
            let mut one = Vec::new();
            write(value, &mut one);
            list.push(String::from_utf8_lossy(&one).into_owned());
        }
        if repetition.get(i + 1).is_none_or(|&r| r == 0) {
            if !list.is_empty() {
                let text = serde_json::to_vec(&list).expect("strings are JSON");
                cells.text.extend_from_slice(&text);
                list.clear();
            }
            cells.ends.push(cells.text.len());
        }
    }
    Ok(cells)
}
