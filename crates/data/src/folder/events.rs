//! `events.parquet`: one row per event in order of user and time; dense numbers.

use bytes::Bytes;
use parquet::{
    basic::{Encoding, Repetition, Type as Physical},
    data_type::{FloatType, Int32Type, Int64Type},
    errors::ParquetError,
};
use tastemaker_core::{Histories, ItemId};

use super::columns::{Leaf, field, read_file, read_leaf, write_file, wrong};

/// Encodes all events.
pub(crate) fn encode(histories: &Histories) -> Result<Vec<u8>, ParquetError> {
    let required = |name, physical| field(name, physical, Repetition::REQUIRED);
    let fields = vec![
        required("user", Physical::INT32)?,
        required("item", Physical::INT32)?,
        required("value", Physical::FLOAT)?,
        required("time", Physical::INT64)?,
    ];
    let encodings = [
        ("user", Encoding::DELTA_BINARY_PACKED),
        ("item", Encoding::PLAIN),
        ("time", Encoding::DELTA_BINARY_PACKED),
    ];
    write_file(fields, &encodings, |group| {
        let all = histories.events();
        let mut users: Vec<i32> = Vec::with_capacity(all.len());
        for (user, row) in (0..).zip(histories.iter()) {
            users.resize(users.len() + row.len(), user);
        }
        group.put::<Int32Type>(&Leaf::plain(users))?;
        let items = all.items.iter().map(|i| i.0.cast_signed()).collect();
        group.put::<Int32Type>(&Leaf::plain(items))?;
        group.put::<FloatType>(&Leaf::plain(all.values.to_vec()))?;
        group.put::<Int64Type>(&Leaf::plain(all.times.to_vec()))
    })
}

/// Decodes all events; refuses numbers out of range, rows out of order and values that are no numbers.
pub(crate) fn decode(
    bytes: Bytes,
    n_users: usize,
    n_items: usize,
) -> Result<Histories, ParquetError> {
    read_file(bytes, |group, _, rows| {
        let users = read_leaf::<Int32Type>(group, 0, rows)?.values;
        let items = read_leaf::<Int32Type>(group, 1, rows)?.values;
        let values = read_leaf::<FloatType>(group, 2, rows)?.values;
        let times = read_leaf::<Int64Type>(group, 3, rows)?.values;
        let items: Vec<ItemId> = items.into_iter().map(|i| ItemId(i.cast_unsigned())).collect();
        if items.iter().any(|i| i.index() >= n_items) {
            return Err(wrong("an event names an item that does not exist"));
        }
        if values.iter().any(|v| !v.is_finite()) {
            return Err(wrong("a value is no finite number"));
        }
        let offsets = offsets(&users, n_users)?;
        Histories::from_parts(offsets, items, values, times)
            .ok_or_else(|| wrong("columns differ in length"))
    })
}

fn offsets(users: &[i32], n_users: usize) -> Result<Vec<usize>, ParquetError> {
    if !users.is_sorted_by_key(|u| u.cast_unsigned()) {
        return Err(wrong("events are not grouped by user"));
    }
    let mut offsets = vec![0usize; n_users + 1];
    for user in users {
        let slot = offsets.get_mut(user.cast_unsigned() as usize + 1);
        *slot.ok_or_else(|| wrong("an event names a user who does not exist"))? += 1;
    }
    for i in 0..n_users {
        offsets[i + 1] += offsets[i];
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tastemaker_core::HistoriesBuilder;

    fn sample() -> Histories {
        let mut rows = HistoriesBuilder::default();
        rows.push(ItemId(2), 1.0, 5);
        rows.push(ItemId(0), 4.5, 1_700_000_000);
        rows.end_user();
        rows.end_user();
        rows.push(ItemId(1), -2.0, 7);
        rows.end_user();
        rows.build()
    }

    #[test]
    fn events_come_back_as_they_went_in() {
        let bytes = Bytes::from(encode(&sample()).unwrap());
        assert_eq!(decode(bytes, 3, 3).unwrap(), sample());
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let bytes = Bytes::from(encode(&sample()).unwrap());
        assert!(decode(bytes.clone(), 3, 2).unwrap_err().to_string().contains("item"));
        assert!(decode(bytes, 2, 3).unwrap_err().to_string().contains("user"));
    }
}
