//! Vectors for other programs: a Parquet file with the id first, then a list of numbers.

use parquet::{
    basic::{Encoding, Repetition, Type as Physical},
    data_type::{ByteArray, ByteArrayType, FloatType},
    errors::ParquetError,
};
use tastemaker_core::Vectors;

use super::columns::{Leaf, field, list_field, write_groups};

/// Rows written at once: what is held beside the vectors stays small.
const ROWS: usize = 1 << 16;

/// Encodes vectors and their ids, row by row, as the columns `id_name` and `vector`.
///
/// # Panics
/// When ids and vectors are not equally many.
pub fn encode_vectors(
    id_name: &str,
    ids: &[String],
    vectors: &Vectors,
) -> Result<Vec<u8>, ParquetError> {
    assert_eq!(ids.len(), vectors.rows(), "an id for each vector");
    let fields = vec![
        field(id_name, Physical::BYTE_ARRAY, Repetition::REQUIRED)?,
        list_field("vector", Physical::FLOAT)?,
    ];
    let encodings = [("vector.list.element", Encoding::PLAIN)];
    write_groups(fields, &encodings, ids.len().div_ceil(ROWS), |number, group| {
        let rows = number * ROWS..ids.len().min((number + 1) * ROWS);
        let values: Vec<f32> = rows.clone().flat_map(|row| vectors.row(row)).copied().collect();
        let repetition = (0..values.len()).map(|at| i16::from(at % vectors.dim() > 0)).collect();
        let names = ids[rows].iter().map(|id| ByteArray::from(id.as_str())).collect();
        group.put::<ByteArrayType>(&Leaf::plain(names))?;
        let definition = vec![1; values.len()];
        group.put::<FloatType>(&Leaf { values, definition, repetition })
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::{reader::FileReader as _, serialized_reader::SerializedFileReader};

    use super::*;
    use crate::folder::columns::{read_leaf, read_strings};

    #[test]
    fn vectors_come_back_over_several_groups() {
        let n = ROWS + 3;
        let vectors = Vectors::from_flat(2, (0..2 * n).map(|i| i as f32).collect()).unwrap();
        let ids: Vec<String> = (0..n).map(|row| format!("ü{row}")).collect();
        let bytes = encode_vectors("item_id", &ids, &vectors).unwrap();
        let file = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
        assert_eq!(file.num_row_groups(), 2);
        let (mut names, mut numbers) = (Vec::new(), Vec::new());
        for number in 0..2 {
            let group = file.get_row_group(number).unwrap();
            let rows = group.metadata().num_rows() as usize;
            names.extend(read_strings(group.as_ref(), 0, rows).unwrap().values);
            numbers.extend(read_leaf::<FloatType>(group.as_ref(), 1, rows).unwrap().values);
        }
        assert_eq!((names, &numbers[..]), (ids, vectors.flat()));
    }
}
