//! The rows of a table that is multiplied with a few vectors again and again: the scores of all items.

use tastemaker_kernels::{Layout, Packed, Rows, gemm};

/// Numbers of a table that is packed. Reading a larger one takes the time, however it lies, and twice the memory would be much.
const MOST: usize = 1 << 23;

/// A packed copy of a table, as long as the table is small; kept beside the rows, which it does not replace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scorer {
    packed: Option<Packed>,
}

/// It says nothing that the rows do not say.
impl PartialEq for Scorer {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Scorer {
    /// Packs `rows: [_, width]`.
    pub(crate) fn new(rows: &[f32], width: usize) -> Self {
        let is_small = width > 0 && rows.len() <= MOST;
        let shape = (width, rows.len().checked_div(width).unwrap_or(0));
        Self { packed: is_small.then(|| Packed::from_transposed(rows, shape)) }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: &[f32]) {
        let packed = self.packed.take().filter(|packed| packed.shape().1 * row.len() < MOST);
        self.packed = packed.map(|mut packed| {
            packed.push_column(row);
            packed
        });
    }

    /// Writes over a row.
    pub(crate) fn set(&mut self, number: usize, row: &[f32]) {
        if let Some(packed) = &mut self.packed {
            packed.set_column(number, row);
        }
    }

    /// Multiplies `queries: [_, width]` with `rows: [n, width]`, of which it is a copy: `out` is `[queries, n]`.
    ///
    /// What a query gets does not depend on the others.
    pub(crate) fn multiply(
        &self,
        (rows, width): (&[f32], usize),
        queries: &[f32],
        out: &mut [f32],
    ) {
        let (count, n) = (queries.len() / width.max(1), rows.len() / width.max(1));
        match &self.packed {
            Some(packed) => {
                let queries = Rows { data: queries, stride: width, count };
                packed.write_part(queries, (0..width, 0..n), out, n);
            }
            None => {
                let table = (rows, Layout::Transposed);
                gemm((count, n, width), 1.0, (queries, Layout::Plain), table, 0.0, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::assert_all_close;

    use super::*;

    #[test]
    fn packed_and_plain_tables_give_the_same_and_take_rows_in() {
        let width = 37;
        let numbers = |n: usize| -> Vec<f32> { (0..n).map(|i| (i as f32 * 0.7).sin()).collect() };
        let mut rows = numbers(40 * width);
        let mut packed = Scorer::new(&rows, width);
        let (new, queries) = (vec![0.5; width], numbers(3 * width));
        rows.extend(&new);
        packed.push(&new);
        rows[7 * width..8 * width].fill(0.25);
        packed.set(7, &[0.25; 37]);
        let (mut got, mut want) = (vec![f32::NAN; 3 * 41], vec![f32::NAN; 3 * 41]);
        packed.multiply((&rows, width), &queries, &mut got);
        Scorer::default().multiply((&rows, width), &queries, &mut want);
        assert_all_close(&got, &want, 1e-4);
        let mut one = vec![f32::NAN; 41];
        packed.multiply((&rows, width), &queries[width..2 * width], &mut one);
        assert_eq!(one, got[41..82], "to the bit");
    }
}
