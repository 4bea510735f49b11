//! Sparse matrices by rows, built on all cores; the same bits come out for any number of threads.

use rayon::prelude::*;
use tastemaker_core::{ItemId, PersistError, Saved, Scored, top_k};

/// Rows made by one task; fixed, so that the result does not depend on the number of threads.
const ROWS_PER_TASK: usize = 32;

/// Compressed rows of `(column, value)`; the columns of a row stand in the order in which they were put there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Csr {
    offsets: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
    n_columns: usize,
}

/// Receives the entries of the rows of one task.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    ends: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
}

impl Sink {
    /// Adds an entry to the current row.
    #[inline]
    pub(crate) fn push(&mut self, column: u32, value: f32) {
        self.columns.push(column);
        self.values.push(value);
    }
}

impl Csr {
    /// Makes `n_rows` rows on all cores: `fill` writes the entries of one row, with scratch space that it leaves clean.
    pub(crate) fn build<S>(
        (n_rows, n_columns): (usize, usize),
        scratch: impl Fn() -> S + Sync + Send,
        fill: impl Fn(&mut S, usize, &mut Sink) + Sync + Send,
    ) -> Self {
        let starts: Vec<usize> = (0..n_rows).step_by(ROWS_PER_TASK).collect();
        let parts: Vec<Sink> = starts
            .into_par_iter()
            .map_init(scratch, |scratch, start| {
                let mut sink = Sink::default();
                for row in start..(start + ROWS_PER_TASK).min(n_rows) {
                    fill(scratch, row, &mut sink);
                    sink.ends.push(sink.columns.len());
                }
                sink
            })
            .collect();
        let n_entries = parts.iter().map(|part| part.columns.len()).sum();
        let mut offsets = Vec::with_capacity(n_rows + 1);
        offsets.push(0);
        let mut columns = Vec::with_capacity(n_entries);
        let mut values = Vec::with_capacity(n_entries);
        for part in parts {
            offsets.extend(part.ends.iter().map(|end| columns.len() + end));
            columns.extend_from_slice(&part.columns);
            values.extend_from_slice(&part.values);
        }
        Self { offsets, columns, values, n_columns }
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(crate) fn n_columns(&self) -> usize {
        self.n_columns
    }

    pub(crate) fn n_entries(&self) -> usize {
        self.columns.len()
    }

    /// Returns the columns and values of a row.
    #[inline]
    pub(crate) fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[row]..self.offsets[row + 1];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// Multiplies every value with the factor of its column.
    pub(crate) fn scale_columns(&mut self, factors: &[f32]) {
        for (value, &column) in self.values.iter_mut().zip(&self.columns) {
            *value *= factors[column as usize];
        }
    }

    /// Returns the columns and values of all rows, the values for writing.
    pub(crate) fn rows_mut(&mut self) -> Vec<(&[u32], &mut [f32])> {
        let mut rows = Vec::with_capacity(self.offsets.len() - 1);
        let mut values = &mut self.values[..];
        for range in self.offsets.windows(2) {
            let (row, rest) = values.split_at_mut(range[1] - range[0]);
            rows.push((&self.columns[range[0]..range[1]], row));
            values = rest;
        }
        rows
    }

    /// Returns the value at a place, 0 where there is none.
    pub(crate) fn at(&self, row: usize, column: u32) -> f32 {
        let (columns, values) = self.row(row);
        columns.iter().position(|&c| c == column).map_or(0.0, |at| values[at])
    }

    /// Adds `weight` times a row to a dense vector.
    #[inline]
    pub(crate) fn add_row_to(&self, row: usize, weight: f32, dense: &mut [f32]) {
        let (columns, values) = self.row(row);
        for (&column, &value) in columns.iter().zip(values) {
            dense[column as usize] += weight * value;
        }
    }

    /// Returns the `n` largest entries of a row but `row` itself, best first.
    pub(crate) fn best_of_row(&self, row: usize, n: usize) -> Vec<Scored> {
        if row >= self.n_rows() {
            return Vec::new();
        }
        let mut dense = vec![f32::NEG_INFINITY; self.n_columns];
        let (columns, values) = self.row(row);
        for (&column, &value) in columns.iter().zip(values) {
            dense[column as usize] = value;
        }
        if let Some(own) = dense.get_mut(row) {
            *own = f32::NEG_INFINITY;
        }
        top_k(&dense, n)
    }

    /// Returns the transpose; columns rise in every row.
    pub(crate) fn transpose(&self) -> Self {
        let mut offsets = vec![0; self.n_columns + 1];
        for &column in &self.columns {
            offsets[column as usize + 1] += 1;
        }
        for at in 0..self.n_columns {
            offsets[at + 1] += offsets[at];
        }
        let mut next = offsets.clone();
        let mut columns = vec![0; self.columns.len()];
        let mut values = vec![0.0; self.columns.len()];
        for row in 0..self.n_rows() {
            let (cs, vs) = self.row(row);
            for (&column, &value) in cs.iter().zip(vs) {
                let at = next[column as usize];
                next[column as usize] += 1;
                columns[at] = ItemId::from_index(row).0;
                values[at] = value;
            }
        }
        Self { offsets, columns, values, n_columns: self.n_rows() }
    }

    /// Adds the matrix to a saved model, as three tensors.
    pub(crate) fn put(&self, name: &str, saved: &mut Saved) {
        let offsets: Vec<i64> = self.offsets.iter().map(|&x| x as i64).collect();
        saved.put_i64(&format!("{name}.offsets"), &[offsets.len()], offsets);
        saved.put_u32(&format!("{name}.columns"), &[self.columns.len()], self.columns.clone());
        saved.put_f32(&format!("{name}.values"), &[self.values.len()], self.values.clone());
    }

    /// Takes a matrix with as many columns as rows out of a saved model.
    pub(crate) fn take_square(name: &str, saved: &mut Saved) -> Result<Self, PersistError> {
        let mut matrix = Self::take(name, usize::MAX, saved)?;
        matrix.n_columns = matrix.n_rows();
        if matrix.columns.iter().all(|&column| (column as usize) < matrix.n_columns) {
            Ok(matrix)
        } else {
            Err(PersistError::Shape { name: name.into() })
        }
    }

    /// Takes a matrix of `n_columns` out of a saved model.
    pub(crate) fn take(
        name: &str,
        n_columns: usize,
        saved: &mut Saved,
    ) -> Result<Self, PersistError> {
        let (offsets_shape, offsets) = saved.take_i64(&format!("{name}.offsets"))?;
        let (columns_shape, columns) = saved.take_u32(&format!("{name}.columns"))?;
        let (values_shape, values) = saved.take_f32(&format!("{name}.values"))?;
        let fits = offsets_shape == [offsets.len()]
            && columns_shape == [columns.len()]
            && values_shape == [values.len()]
            && offsets.first() == Some(&0)
            && offsets.last() == i64::try_from(columns.len()).ok().as_ref()
            && offsets.is_sorted()
            && columns.len() == values.len()
            && columns.iter().all(|&column| (column as usize) < n_columns);
        if !fits {
            return Err(PersistError::Shape { name: name.into() });
        }
        let offsets = offsets.into_iter().map(|x| x as usize).collect();
        Ok(Self { offsets, columns, values, n_columns })
    }
}

/// A row to be added: its columns, their values (none where each is 1), and what all of them are multiplied with.
pub(crate) type Part<'a> = (&'a [u32], Option<&'a [f32]>, f32);

/// Sums by column: a dense vector that knows which places were touched.
#[derive(Debug)]
pub(crate) struct Sums {
    sums: Vec<f32>,
    touched: Vec<u32>,
}

impl Sums {
    pub(crate) fn new(n_columns: usize) -> Self {
        Self { sums: vec![0.0; n_columns], touched: Vec::new() }
    }

    /// Adds a value.
    #[inline]
    pub(crate) fn add(&mut self, column: u32, value: f32) {
        let sum = &mut self.sums[column as usize];
        if sum.to_bits() == 0 {
            self.touched.push(column);
        }
        *sum += value;
    }

    /// Adds rows and hands over every column whose sum is not 0; leaves all sums at 0.
    pub(crate) fn add_all(&mut self, parts: &[Part<'_>], mut each: impl FnMut(u32, f32)) {
        let work: usize = parts.iter().map(|(columns, ..)| columns.len()).sum();
        if work < self.sums.len() / 4 {
            self.touched.resize(work, 0);
            let mut n_touched = 0;
            for &(columns, values, weight) in parts {
                for (at, &column) in columns.iter().enumerate() {
                    let sum = &mut self.sums[column as usize];
                    // Without a branch: whether a column is new is as good as random.
                    self.touched[n_touched] = column;
                    n_touched += usize::from(sum.to_bits() == 0);
                    *sum += values.map_or(weight, |values| weight * values[at]);
                }
            }
            self.touched.truncate(n_touched);
            self.drain(|column, sum| {
                if sum.to_bits() != 0 {
                    each(column, sum);
                }
            });
            return;
        }
        // Where most columns are touched, looking at all of them is cheaper than remembering which.
        for &(columns, values, weight) in parts {
            match values {
                None => columns.iter().for_each(|&c| self.sums[c as usize] += weight),
                Some(values) => {
                    for (&column, value) in columns.iter().zip(values) {
                        self.sums[column as usize] += weight * value;
                    }
                }
            }
        }
        for (column, sum) in self.sums.iter_mut().enumerate() {
            if sum.to_bits() != 0 {
                each(column as u32, std::mem::take(sum));
            }
        }
    }

    /// Returns the sum of all sums.
    pub(crate) fn total(&self) -> f32 {
        self.touched.iter().map(|&column| self.sums[column as usize]).sum()
    }

    /// Hands over every touched column in order of first touch, and leaves all sums at 0.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(u32, f32)) {
        for column in self.touched.drain(..) {
            each(column, std::mem::take(&mut self.sums[column as usize]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Csr {
        Csr::build(
            (2, 3),
            || (),
            |(), row, sink| {
                if row == 0 {
                    sink.push(2, 5.0);
                    sink.push(0, 1.0);
                } else {
                    sink.push(2, 7.0);
                }
            },
        )
    }

    #[test]
    fn a_transpose_swaps_rows_and_columns_and_twice_gives_the_same_places() {
        let t = small().transpose();
        assert_eq!(t.row(0), (&[0][..], &[1.0][..]));
        assert_eq!(t.row(1), (&[][..], &[][..]));
        assert_eq!(t.row(2), (&[0, 1][..], &[5.0, 7.0][..]));
        assert!((t.transpose().at(0, 2) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn sums_are_handed_over_once_and_then_gone() {
        let mut sums = Sums::new(3);
        sums.add(2, 1.0);
        sums.add(0, 2.0);
        sums.add(2, 4.0);
        let mut got = Vec::new();
        sums.drain(|column, value| got.push((column, value)));
        assert_eq!(got, [(2, 5.0), (0, 2.0)]);
        sums.drain(|_, _| unreachable!("drained sums are empty"));
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let mut saved = Saved::default();
        small().put("t", &mut saved);
        assert!(Csr::take("t", 2, &mut saved.clone()).is_err());
        assert_eq!(Csr::take("t", 3, &mut saved).ok(), Some(small()));
    }
}
