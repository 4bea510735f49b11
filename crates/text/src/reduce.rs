//! Truncated singular value decomposition of a sparse matrix by random projection (Halko, Martinsson, Tropp 2011):
//! a random block is pulled through the matrix and its transpose until it spans the strongest directions.
//! Deterministic for any number of threads.

use rand::Rng;
use rayon::prelude::*;
use tastemaker_core::seed;
use tastemaker_kernels::{Layout, axpy, gemm, symmetric_eigen};

/// Directions tried beyond those asked for: they make the last ones exact.
const OVERSAMPLE: usize = 16;
/// Passes over the matrix and its transpose.
const PASSES: usize = 3;
/// Rows multiplied in one task.
const CHUNK: usize = 256;
/// Rows whose products are summed in one task.
const GRAM_CHUNK: usize = 4096;
/// Directions weaker than this against the strongest (squared) are rounding errors.
const NEGLIGIBLE: f64 = 1e-6;

/// A sparse matrix by rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sparse {
    offsets: Vec<usize>,
    entries: Vec<(u32, f32)>,
    columns: usize,
}

impl Sparse {
    /// Collects rows of (column, value).
    pub(crate) fn from_rows(columns: usize, rows: &[Vec<(u32, f32)>]) -> Self {
        let mut sparse = Self { offsets: vec![0], entries: Vec::new(), columns };
        for row in rows {
            sparse.entries.extend_from_slice(row);
            sparse.offsets.push(sparse.entries.len());
        }
        sparse
    }

    pub(crate) fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    fn transpose(&self) -> Self {
        let mut offsets = vec![0; self.columns + 1];
        for &(column, _) in &self.entries {
            offsets[column as usize + 1] += 1;
        }
        for i in 0..self.columns {
            offsets[i + 1] += offsets[i];
        }
        let mut next = offsets.clone();
        let mut entries = vec![(0, 0.0); self.entries.len()];
        for (row, bounds) in (0u32..).zip(self.offsets.windows(2)) {
            for &(column, value) in &self.entries[bounds[0]..bounds[1]] {
                entries[next[column as usize]] = (row, value);
                next[column as usize] += 1;
            }
        }
        Self { offsets, entries, columns: self.rows() }
    }

    /// Computes `self · dense` for `dense: [columns, width]`.
    fn times(&self, dense: &Dense) -> Dense {
        let width = dense.width;
        let mut data = vec![0.0f32; self.rows() * width];
        if width > 0 {
            data.par_chunks_mut(width).with_min_len(CHUNK).enumerate().for_each(|(row, sum)| {
                for &(column, value) in &self.entries[self.offsets[row]..self.offsets[row + 1]] {
                    axpy(value, &dense.data[column as usize * width..][..width], sum);
                }
            });
        }
        Dense { width, data }
    }
}

/// A row-major matrix.
#[derive(Clone, Debug)]
pub(crate) struct Dense {
    pub(crate) width: usize,
    pub(crate) data: Vec<f32>,
}

impl Dense {
    /// Returns an orthonormal basis of the columns, strongest direction first, at most `most` of them.
    fn basis(&self, most: usize) -> Option<Self> {
        let w = self.width;
        let partial: Vec<Vec<f32>> = self
            .data
            .par_chunks(GRAM_CHUNK * w)
            .map(|rows| {
                let mut gram = vec![0.0; w * w];
                let shape = (w, w, rows.len() / w);
                gemm(shape, 1.0, (rows, Layout::Transposed), (rows, Layout::Plain), 0.0, &mut gram);
                gram
            })
            .collect();
        let mut gram = vec![0.0f64; w * w];
        for part in partial {
            gram.iter_mut().zip(part).for_each(|(sum, x)| *sum += f64::from(x));
        }
        let (values, vectors) = symmetric_eigen(w, &gram)?;
        let floor = values.last()? * NEGLIGIBLE;
        let kept: Vec<usize> =
            (0..w).rev().take(most).take_while(|&i| values[i] > floor.max(0.0)).collect();
        let width = kept.len();
        // turn: [w, width], each eigenvector scaled so that its image has length 1.
        let mut turn = vec![0.0f32; w * width];
        for (column, &i) in kept.iter().enumerate() {
            let scale = 1.0 / values[i].sqrt();
            for (row, x) in vectors[i * w..(i + 1) * w].iter().enumerate() {
                turn[row * width + column] = (x * scale) as f32;
            }
        }
        let mut data = vec![0.0f32; self.data.len() / w * width];
        if width > 0 {
            data.par_chunks_mut(CHUNK * width).zip(self.data.par_chunks(CHUNK * w)).for_each(
                |(to, rows)| {
                    let shape = (rows.len() / w, width, w);
                    gemm(shape, 1.0, (rows, Layout::Plain), (&turn, Layout::Plain), 0.0, to);
                },
            );
        }
        Some(Self { width, data })
    }
}

/// Returns the `dim` strongest right singular vectors as columns of `[columns, ≤ dim]`: fewer when the rank is lower.
pub(crate) fn right_singular(matrix: &Sparse, dim: usize, seed: u64) -> Option<Dense> {
    let width = (dim + OVERSAMPLE).min(matrix.rows()).min(matrix.columns);
    let mut stream = seed::stream(seed, "text/reduce");
    // Uniform on [-1, 1]: unlike random signs, a small block of it has full rank.
    let mut number = || (stream.next_u32() as f32).mul_add(2.0 / u32::MAX as f32, -1.0);
    let mut right = Dense { width, data: (0..matrix.columns * width).map(|_| number()).collect() };
    let transposed = matrix.transpose();
    for _ in 0..PASSES {
        let left = matrix.times(&right).basis(width)?;
        right = transposed.times(&left).basis(width)?;
    }
    let left = matrix.times(&right).basis(width)?;
    transposed.times(&left).basis(dim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(rows: &[&[f32]]) -> Sparse {
        let rows: Vec<Vec<(u32, f32)>> = rows
            .iter()
            .map(|row| (0u32..).zip(row.iter().copied()).filter(|e| e.1.abs() > 0.0).collect())
            .collect();
        Sparse::from_rows(3, &rows)
    }

    #[test]
    fn the_strongest_direction_of_a_diagonal_matrix_is_its_largest_entry() {
        let found =
            right_singular(&dense(&[&[1.0, 0.0, 0.0], &[0.0, 5.0, 0.0], &[0.0, 0.0, 2.0]]), 2, 1)
                .unwrap();
        assert_eq!(found.width, 2);
        let size: Vec<f32> = found.data.iter().map(|x| x.abs()).collect();
        for (x, want) in size.iter().zip([0.0, 0.0, 1.0, 0.0, 0.0, 1.0]) {
            assert!((x - want).abs() < 1e-3, "{size:?}");
        }
    }

    #[test]
    fn a_matrix_of_rank_one_gives_one_direction() {
        // Every row is a multiple of (1, 2, 2) / 3.
        let found =
            right_singular(&dense(&[&[1.0, 2.0, 2.0], &[2.0, 4.0, 4.0], &[3.0, 6.0, 6.0]]), 3, 1)
                .unwrap();
        assert_eq!(found.width, 1);
        for (x, want) in found.data.iter().zip([1.0, 2.0, 2.0]) {
            assert!((x.abs() - want / 3.0).abs() < 1e-5);
        }
    }

    #[test]
    fn the_basis_is_orthonormal() {
        let rows: Vec<Vec<(u32, f32)>> = (0..300u32)
            .map(|r| {
                (0..40)
                    .filter(|c| (r * 7 + c * 13) % 5 == 0)
                    .map(|c| (c, ((r * c) as f32).cos()))
                    .collect()
            })
            .collect();
        let found = right_singular(&Sparse::from_rows(40, &rows), 8, 3).unwrap();
        for a in 0..8 {
            for b in 0..8 {
                let dot: f32 = found.data.chunks_exact(8).map(|row| row[a] * row[b]).sum();
                assert!((dot - f32::from(u8::from(a == b))).abs() < 1e-4, "{a} {b} {dot}");
            }
        }
    }
}
