//! `items.parquet` and `users.parquet`: the id first, then one column per field; missing is null or an empty list.

use bytes::Bytes;
use parquet::{
    basic::{Repetition, Type as Physical},
    data_type::{ByteArray, ByteArrayType, FloatType},
    errors::ParquetError,
    file::reader::RowGroupReader,
    schema::types::{Type, TypePtr},
};

use super::columns::{
    Group, Leaf, field, list_field, read_file, read_leaf, read_strings, write_file, wrong,
};
use crate::{Column, Interner, Table, Values};

type Result<T> = std::result::Result<T, ParquetError>;

/// Encodes a table; its ids go into column `id_name`.
pub(crate) fn encode(table: &Table, id_name: &str) -> Result<Vec<u8>> {
    let mut id_name = id_name.to_owned();
    while table.column(&id_name).is_some() {
        id_name.insert(0, '_');
    }
    let mut fields = vec![field(&id_name, Physical::BYTE_ARRAY, Repetition::REQUIRED)?];
    for column in table.columns() {
        fields.push(describe(column)?);
    }
    write_file(fields, &[], |group| {
        let ids = table.ids().iter().map(ByteArray::from).collect();
        group.put::<ByteArrayType>(&Leaf::plain(ids))?;
        table.columns().iter().try_for_each(|column| put(group, &column.values))
    })
}

/// Decodes a table.
pub(crate) fn decode(bytes: Bytes) -> Result<Table> {
    read_file(bytes, |group, schema, rows| {
        let ids = Interner::from_ids(read_strings(group, 0, rows)?.values)
            .map_err(|id| wrong(&format!("id `{id}` occurs twice")))?;
        let mut columns = Vec::with_capacity(schema.len());
        for (leaf, field) in schema.iter().enumerate().skip(1) {
            let values = read(group, leaf, field, rows)?;
            columns.push(Column { name: field.name().into(), values });
        }
        Table::new(ids, columns).map_err(|e| wrong(&e.to_string()))
    })
}

fn describe(column: &Column) -> Result<TypePtr> {
    match column.values {
        Values::Text(_) => field(&column.name, Physical::BYTE_ARRAY, Repetition::OPTIONAL),
        Values::Number(_) => field(&column.name, Physical::FLOAT, Repetition::OPTIONAL),
        Values::Categories(_) => list_field(&column.name, Physical::BYTE_ARRAY),
    }
}

fn put(group: &mut Group<'_>, values: &Values) -> Result<()> {
    let definition = |rows: usize| (0..rows).map(|r| i16::from(!values.is_missing(r))).collect();
    match values {
        Values::Text(x) => group.put::<ByteArrayType>(&Leaf {
            values: x.iter().filter(|t| !t.is_empty()).map(|t| t.as_str().into()).collect(),
            definition: definition(x.len()),
            repetition: Vec::new(),
        }),
        Values::Number(x) => group.put::<FloatType>(&Leaf {
            values: x.iter().copied().filter(|n| !n.is_nan()).collect(),
            definition: definition(x.len()),
            repetition: Vec::new(),
        }),
        Values::Categories(x) => {
            let mut leaf = Leaf::plain(Vec::new());
            for row in x {
                leaf.definition
                    .resize(leaf.definition.len() + row.len().max(1), i16::from(!row.is_empty()));
                leaf.repetition.push(0);
                leaf.repetition.resize(leaf.definition.len(), 1);
                leaf.values.extend(row.iter().map(|label| ByteArray::from(label.as_str())));
            }
            group.put::<ByteArrayType>(&leaf)
        }
    }
}

fn read(group: &dyn RowGroupReader, leaf: usize, field: &Type, rows: usize) -> Result<Values> {
    if field.is_group() {
        let raw = read_strings(group, leaf, rows)?;
        let mut all: Vec<Vec<String>> = Vec::with_capacity(rows);
        let mut labels = raw.values.into_iter();
        for (&definition, &repetition) in raw.definition.iter().zip(&raw.repetition) {
            if repetition == 0 {
                all.push(Vec::new());
            }
            if let (1, Some(row)) = (definition, all.last_mut()) {
                row.extend(labels.next());
            }
        }
        return Ok(Values::Categories(all));
    }
    Ok(match field.get_physical_type() {
        Physical::BYTE_ARRAY => {
            let raw = read_strings(group, leaf, rows)?;
            Values::Text(spread(raw, &String::new()))
        }
        Physical::FLOAT => {
            Values::Number(spread(read_leaf::<FloatType>(group, leaf, rows)?, &f32::NAN))
        }
        _ => return Err(wrong("a column has another type")),
    })
}

fn spread<T: Clone>(leaf: Leaf<T>, missing: &T) -> Vec<T> {
    let mut values = leaf.values.into_iter();
    let value =
        |&d: &i16| (d == 1).then(|| values.next()).flatten().unwrap_or_else(|| missing.clone());
    leaf.definition.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_back_as_it_went_in() {
        let ids = Interner::from_ids(["x", "ü", "z"]).unwrap();
        let text = ["", "long text, with \"quotes\"\nand lines", "plot"].map(Into::into).to_vec();
        let labels = vec![vec!["a".into(), "b".into()], vec![], vec!["a".into()]];
        let column = |name: &str, values| Column { name: name.into(), values };
        let columns = vec![
            column("item_id", Values::Text(text)),
            column("tags of it", Values::Categories(labels)),
            column("year", Values::Number(vec![f32::NAN, 1995.0, -0.5])),
        ];
        let table = Table::new(ids, columns).unwrap();
        assert_eq!(decode(Bytes::from(encode(&table, "item_id").unwrap())).unwrap(), table);
    }

    #[test]
    fn a_table_without_fields_keeps_its_ids() {
        let table = Table::new(Interner::from_ids(["x"]).unwrap(), vec![]).unwrap();
        assert_eq!(decode(Bytes::from(encode(&table, "id").unwrap())).unwrap(), table);
    }
}
