//! Whole Parquet columns to and from vectors, through the typed column readers and writers.

use std::sync::Arc;

use bytes::Bytes;
use parquet::{
    basic::{Compression, Encoding, LogicalType, Repetition, Type as Physical},
    column::{reader::get_typed_column_reader, writer::ColumnWriterImpl},
    data_type::{ByteArray, ByteArrayType, DataType},
    errors::ParquetError,
    file::{
        properties::{EnabledStatistics, WriterProperties},
        reader::{FileReader as _, RowGroupReader},
        serialized_reader::SerializedFileReader,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{ColumnPath, Type, TypePtr},
};

type Result<T> = std::result::Result<T, ParquetError>;

/// Opens a row group for writing into memory; `write` adds the columns in the order of `fields`.
pub(super) fn write_file(
    fields: Vec<TypePtr>,
    encodings: &[(&str, Encoding)],
    write: impl Fn(&mut Group<'_>) -> Result<()>,
) -> Result<Vec<u8>> {
    write_groups(fields, encodings, 1, |_, group| write(group))
}

/// Opens `n` row groups for writing into memory, one after another.
pub(super) fn write_groups(
    fields: Vec<TypePtr>,
    encodings: &[(&str, Encoding)],
    n: usize,
    write: impl Fn(usize, &mut Group<'_>) -> Result<()>,
) -> Result<Vec<u8>> {
    let schema = Type::group_type_builder("tastemaker").with_fields(fields).build()?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_created_by("tastemaker".into());
    for &(name, encoding) in encodings {
        let column = ColumnPath::new(name.split('.').map(Into::into).collect());
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_compression(column.clone(), Compression::UNCOMPRESSED)
            .set_column_encoding(column, encoding);
    }
    let properties = Arc::new(properties.build());
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), properties)?;
    for number in 0..n {
        let mut group = Group(file.next_row_group()?);
        write(number, &mut group)?;
        group.0.close()?;
    }
    file.into_inner()
}

/// A row group of a file being written.
pub(super) struct Group<'a>(SerializedRowGroupWriter<'a, Vec<u8>>);

/// Values of a column with their levels; a column without absent or repeated values has none.
#[derive(Default)]
pub(super) struct Leaf<T> {
    pub(super) values: Vec<T>,
    pub(super) definition: Vec<i16>,
    pub(super) repetition: Vec<i16>,
}

impl<T> Leaf<T> {
    pub(super) const fn plain(values: Vec<T>) -> Self {
        Self { values, definition: Vec::new(), repetition: Vec::new() }
    }
}

impl Group<'_> {
    /// Writes the next column.
    pub(super) fn put<T: DataType>(&mut self, leaf: &Leaf<T::T>) -> Result<()> {
        let mut column = self.0.next_column()?.ok_or_else(|| wrong("too many columns"))?;
        let writer: &mut ColumnWriterImpl<'_, T> = column.typed();
        let levels = |levels: &'_ [i16]| (!levels.is_empty()).then_some(levels.to_vec());
        let (definition, repetition) = (levels(&leaf.definition), levels(&leaf.repetition));
        writer.write_batch(&leaf.values, definition.as_deref(), repetition.as_deref())?;
        column.close()
    }
}

/// Opens a file held in memory and returns its only row group with its schema.
pub(super) fn read_file<R>(
    bytes: Bytes,
    read: impl FnOnce(&dyn RowGroupReader, &[TypePtr], usize) -> Result<R>,
) -> Result<R> {
    let file = SerializedFileReader::new(bytes)?;
    if file.num_row_groups() != 1 {
        return Err(wrong("expected one row group"));
    }
    let group = file.get_row_group(0)?;
    let rows = usize::try_from(group.metadata().num_rows()).map_err(|_| wrong("negative size"))?;
    let schema = file.metadata().file_metadata().schema().get_fields().to_vec();
    read(group.as_ref(), &schema, rows)
}

/// Reads all of column `leaf` of a row group.
pub(super) fn read_leaf<T: DataType>(
    group: &dyn RowGroupReader,
    leaf: usize,
    rows: usize,
) -> Result<Leaf<T::T>> {
    if leaf >= group.num_columns() {
        return Err(wrong("a column is missing"));
    }
    if group.metadata().column(leaf).column_type() != T::get_physical_type() {
        return Err(wrong("a column has another type"));
    }
    let mut out = Leaf { values: Vec::new(), definition: Vec::new(), repetition: Vec::new() };
    out.values.reserve(rows);
    let mut reader = get_typed_column_reader::<T>(group.get_column_reader(leaf)?);
    let (records, _, _) = reader.read_records(
        rows,
        Some(&mut out.definition),
        Some(&mut out.repetition),
        &mut out.values,
    )?;
    if records == rows { Ok(out) } else { Err(wrong("a column is too short")) }
}

/// Describes a flat column.
pub(super) fn field(name: &str, physical: Physical, repetition: Repetition) -> Result<TypePtr> {
    let text = (physical == Physical::BYTE_ARRAY).then_some(LogicalType::String);
    Type::primitive_type_builder(name, physical)
        .with_repetition(repetition)
        .with_logical_type(text)
        .build()
        .map(Arc::new)
}

/// Describes a column of lists.
pub(super) fn list_field(name: &str, physical: Physical) -> Result<TypePtr> {
    let element = field("element", physical, Repetition::REQUIRED)?;
    let list = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![element])
        .build()?;
    Type::group_type_builder(name)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(list)])
        .build()
        .map(Arc::new)
}

/// Reads a column of strings.
pub(super) fn read_strings(
    group: &dyn RowGroupReader,
    leaf: usize,
    rows: usize,
) -> Result<Leaf<String>> {
    let raw = read_leaf::<ByteArrayType>(group, leaf, rows)?;
    let text = |b: ByteArray| {
        String::from_utf8(b.data().to_vec()).map_err(|_| wrong("a text is no valid UTF-8"))
    };
    let values = raw.values.into_iter().map(text).collect::<Result<_>>()?;
    Ok(Leaf { values, definition: raw.definition, repetition: raw.repetition })
}

pub(super) fn wrong(why: &str) -> ParquetError {
    ParquetError::General(why.into())
}
