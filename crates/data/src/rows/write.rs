//! A Parquet file written row by row, some thousand rows in memory at a time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::{
    basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical},
    column::writer::ColumnWriterImpl,
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{Type, TypePtr},
};

use crate::Error;

/// Rows and bytes of texts that are held in memory.
const GROUP: (usize, usize) = (20_000, 32 << 20);

/// What stands in a column; nothing is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Texts.
    Text,
    /// Numbers of double precision.
    Number,
    /// Unix milliseconds.
    Time,
    /// Yes or no.
    Flag,
}

/// Values of a column that wait to be written.
enum Waiting {
    Texts(Vec<ByteArray>),
    Numbers(Vec<f64>),
    Times(Vec<i64>),
    Flags(Vec<bool>),
}

/// A Parquet file that is being written.
pub struct ParquetFile {
    path: PathBuf,
    file: SerializedFileWriter<File>,
    columns: Vec<Waiting>,
    next: usize,
    rows: usize,
    bytes: usize,
}

impl ParquetFile {
    /// Makes a file with such columns.
    pub fn create(path: &Path, columns: &[(&str, ColumnKind)]) -> Result<Self, Error> {
        let file = File::create(path).map_err(|source| Error::io("write", path, source))?;
        let opened = open(file, columns).map_err(|error| failed(path, error))?;
        let waiting = |(_, kind): &(&str, ColumnKind)| match kind {
            ColumnKind::Text => Waiting::Texts(Vec::new()),
            ColumnKind::Number => Waiting::Numbers(Vec::new()),
            ColumnKind::Time => Waiting::Times(Vec::new()),
            ColumnKind::Flag => Waiting::Flags(Vec::new()),
        };
        let columns = columns.iter().map(waiting).collect();
        Ok(Self { path: path.into(), file: opened, columns, next: 0, rows: 0, bytes: 0 })
    }

    fn next(&mut self) -> &mut Waiting {
        let column = self.next;
        self.next += 1;
        self.columns.get_mut(column).expect("a row has as many values as there are columns")
    }

    /// Adds the value of the row's next column, which holds texts.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.bytes += value.len();
        let Waiting::Texts(values) = self.next() else { unreachable!("columns come in order") };
        values.push(value.as_bytes().to_vec().into());
        self
    }

    /// Adds the value of the row's next column, which holds numbers.
    pub fn number(&mut self, value: f64) -> &mut Self {
        let Waiting::Numbers(values) = self.next() else { unreachable!("columns come in order") };
        values.push(value);
        self
    }

    /// Adds the value of the row's next column, which holds times.
    pub fn time(&mut self, unix_ms: i64) -> &mut Self {
        let Waiting::Times(values) = self.next() else { unreachable!("columns come in order") };
        values.push(unix_ms);
        self
    }

    /// Adds the value of the row's next column, which holds yes or no.
    pub fn flag(&mut self, value: bool) -> &mut Self {
        let Waiting::Flags(values) = self.next() else { unreachable!("columns come in order") };
        values.push(value);
        self
    }

    /// Ends a row.
    pub fn end_row(&mut self) -> Result<(), Error> {
        assert_eq!(self.next, self.columns.len(), "a row has as many values as there are columns");
        self.next = 0;
        self.rows += 1;
        if self.rows >= GROUP.0 || self.bytes >= GROUP.1 { self.write() } else { Ok(()) }
    }

    /// Writes what waits, and the end of the file.
    pub fn finish(mut self) -> Result<(), Error> {
        if self.rows > 0 {
            self.write()?;
        }
        let file = self.file.into_inner().map_err(|error| failed(&self.path, error))?;
        file.sync_all().map_err(|source| Error::io("write", &self.path, source))
    }

    fn write(&mut self) -> Result<(), Error> {
        let written = self.file.next_row_group().and_then(|mut group| {
            self.columns.iter_mut().try_for_each(|column| put(&mut group, column))?;
            group.close().map(|_| ())
        });
        (self.rows, self.bytes) = (0, 0);
        written.map_err(|error| failed(&self.path, error))
    }
}

fn open(
    file: File,
    columns: &[(&str, ColumnKind)],
) -> Result<SerializedFileWriter<File>, ParquetError> {
    let fields = columns.iter().map(|(name, kind)| field(name, *kind)).collect::<Result<_, _>>()?;
    let schema = Type::group_type_builder("tastemaker").with_fields(fields).build()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by("tastemaker".into())
        .build();
    SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))
}

fn field(name: &str, kind: ColumnKind) -> Result<TypePtr, ParquetError> {
    let physical = match kind {
        ColumnKind::Text => Physical::BYTE_ARRAY,
        ColumnKind::Number => Physical::DOUBLE,
        ColumnKind::Time => Physical::INT64,
        ColumnKind::Flag => Physical::BOOLEAN,
    };
    let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::REQUIRED);
    let field = match kind {
        ColumnKind::Text => field.with_logical_type(Some(LogicalType::String)),
        ColumnKind::Time => field.with_converted_type(ConvertedType::TIMESTAMP_MILLIS),
        ColumnKind::Number | ColumnKind::Flag => field,
    };
    field.build().map(Arc::new)
}

fn put(
    group: &mut SerializedRowGroupWriter<'_, File>,
    column: &mut Waiting,
) -> Result<(), ParquetError> {
    match column {
        Waiting::Texts(values) => write::<ByteArrayType>(group, values),
        Waiting::Numbers(values) => write::<DoubleType>(group, values),
        Waiting::Times(values) => write::<Int64Type>(group, values),
        Waiting::Flags(values) => write::<BoolType>(group, values),
    }
}

fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &mut Vec<T::T>,
) -> Result<(), ParquetError> {
    let none = || ParquetError::General("a column is missing".into());
    let mut column = group.next_column()?.ok_or_else(none)?;
    let writer: &mut ColumnWriterImpl<'_, T> = column.typed();
    writer.write_batch(values, None, None)?;
    values.clear();
    column.close()
}

/// Tells a full disk from everything else.
fn failed(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => Error::io("write", path, *source),
            Err(source) => Error::io("write", path, std::io::Error::other(source)),
        },
        other => Error::io("write", path, std::io::Error::other(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileRow, FileRows, Part};

    #[test]
    fn what_was_written_is_read_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x.parquet");
        let columns = [
            ("id", ColumnKind::Text),
            ("value", ColumnKind::Number),
            ("time", ColumnKind::Time),
            ("hidden", ColumnKind::Flag),
        ];
        let mut file = ParquetFile::create(&path, &columns).unwrap();
        let n = GROUP.0 + 3;
        for row in 0..n {
            let time = 1_645_660_800_000 + row as i64;
            file.text(&format!("蜜{row}"))
                .number(0.1 + 0.2)
                .time(time)
                .flag(row == 1)
                .end_row()
                .unwrap();
        }
        file.finish().unwrap();
        let mut rows = FileRows::open(&path, Part::Items).unwrap();
        let mut read = 0;
        while let Some((place, row)) = rows.next_row().unwrap() {
            read += 1;
            let FileRow::Cells(cells) = row else { panic!("{row:?}") };
            if read == 2 {
                assert_eq!(place.to_string(), "row 2");
                assert_eq!(
                    cells,
                    [
                        ("id", "蜜1"),
                        ("value", "0.30000000000000004"),
                        ("time", "1645660800.001"),
                        ("hidden", "true")
                    ]
                );
            }
        }
        assert_eq!(read, n);
        let none = home.path().join("none.parquet");
        ParquetFile::create(&none, &columns).unwrap().finish().unwrap();
        assert!(FileRows::open(&none, Part::Items).unwrap().next_row().unwrap().is_none());
    }
}
