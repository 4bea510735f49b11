//! Pooling: one vector for each ragged sequence, the mean or the greatest of every column. Of an empty sequence it is zero.

use multiversion::multiversion;

use crate::axpy;

/// Writes the mean of every sequence's rows.
///
/// Sequence `i` is `offsets[i]..offsets[i + 1]`; `x: [positions, dim]`, `y: [sequences, dim]`.
///
/// # Panics
/// When `dim` is zero, slices do not fill these shapes, or offsets do not rise from zero.
pub fn mean_pool(offsets: &[usize], dim: usize, x: &[f32], y: &mut [f32]) {
    check(offsets, dim, (x.len(), y.len()));
    y.fill(0.0);
    for (ends, y) in offsets.windows(2).zip(y.chunks_exact_mut(dim)) {
        for row in x[ends[0] * dim..ends[1] * dim].chunks_exact(dim) {
            axpy(1.0, row, y);
        }
        let share = share(ends);
        for y in y {
            *y *= share;
        }
    }
}

/// Writes the gradient `dx: [positions, dim]` of the rows from that of their means, `dy: [sequences, dim]`.
///
/// # Panics
/// As [`mean_pool`].
pub fn mean_pool_backward(offsets: &[usize], dim: usize, dy: &[f32], dx: &mut [f32]) {
    check(offsets, dim, (dx.len(), dy.len()));
    for (ends, dy) in offsets.windows(2).zip(dy.chunks_exact(dim)) {
        let share = share(ends);
        for row in dx[ends[0] * dim..ends[1] * dim].chunks_exact_mut(dim) {
            for (dx, dy) in row.iter_mut().zip(dy) {
                *dx = share * dy;
            }
        }
    }
}

/// Pools by the greatest value and remembers where it stood; of equal ones the first.
#[derive(Clone, Debug, Default)]
pub struct MaxPool {
    /// Position of the greatest value: `[sequences, dim]`; of an empty sequence [`NOWHERE`].
    places: Vec<u32>,
    dim: usize,
    positions: usize,
}

/// No position.
const NOWHERE: u32 = u32::MAX;

impl MaxPool {
    /// Writes the greatest value of every column of every sequence, and keeps what [`backward`](Self::backward) needs.
    ///
    /// Sequence `i` is `offsets[i]..offsets[i + 1]`; `x: [positions, dim]`, `y: [sequences, dim]`.
    ///
    /// # Panics
    /// When `dim` is zero, slices do not fill these shapes, offsets do not rise from zero, or positions do not fit
    /// into `u32`.
    pub fn forward(&mut self, offsets: &[usize], dim: usize, x: &[f32], y: &mut [f32]) {
        check(offsets, dim, (x.len(), y.len()));
        assert!(x.len() / dim < NOWHERE as usize, "positions fit into `u32`");
        (self.dim, self.positions) = (dim, offsets[offsets.len() - 1]);
        self.places.clear();
        self.places.resize(y.len(), NOWHERE);
        let outputs = y.chunks_exact_mut(dim).zip(self.places.chunks_exact_mut(dim));
        for (ends, (y, places)) in offsets.windows(2).zip(outputs) {
            let mut rows = x[ends[0] * dim..ends[1] * dim].chunks_exact(dim);
            let Some(first) = rows.next() else {
                y.fill(0.0);
                continue;
            };
            y.copy_from_slice(first);
            places.fill(ends[0] as u32);
            for (row, place) in rows.zip(ends[0] as u32 + 1..) {
                raise(y, places, row, place);
            }
        }
    }

    /// Writes the gradient `dx: [positions, dim]` of the rows of the last [`forward`](Self::forward) from that of its
    /// outputs, `dy: [sequences, dim]`.
    ///
    /// # Panics
    /// When slices do not fill the shapes of the last call.
    pub fn backward(&self, dy: &[f32], dx: &mut [f32]) {
        assert_eq!(dy.len(), self.places.len(), "every output has a gradient");
        assert_eq!(dx.len(), self.positions * self.dim, "every input has a gradient");
        dx.fill(0.0);
        if self.places.is_empty() {
            return;
        }
        for (dy, places) in dy.chunks_exact(self.dim).zip(self.places.chunks_exact(self.dim)) {
            for (column, (dy, &place)) in dy.iter().zip(places).enumerate() {
                if place != NOWHERE {
                    dx[place as usize * self.dim + column] = *dy;
                }
            }
        }
    }
}

/// Takes over what is greater in `row`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn raise(greatest: &mut [f32], places: &mut [u32], row: &[f32], place: u32) {
    for ((y, at), x) in greatest.iter_mut().zip(places).zip(row) {
        let above = *x > *y;
        *y = if above { *x } else { *y };
        *at = if above { place } else { *at };
    }
}

/// Returns one over the length of a sequence; zero when it is empty.
fn share(ends: &[usize]) -> f32 {
    let len = ends[1] - ends[0];
    if len == 0 { 0.0 } else { 1.0 / len as f32 }
}

fn check(offsets: &[usize], dim: usize, (positions, sequences): (usize, usize)) {
    assert!(
        offsets.first() == Some(&0) && offsets.is_sorted(),
        "offsets rise from zero to the number of positions"
    );
    assert!(
        dim > 0
            && positions == offsets[offsets.len() - 1] * dim
            && sequences == (offsets.len() - 1) * dim,
        "shapes fit"
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recurrent::check::{assert_close, dot, numbers, offsets, slopes, widen};

    /// Folds every column of every sequence.
    fn naive(offsets: &[usize], dim: usize, x: &[f64], fold: fn(&[f64]) -> f64) -> Vec<f64> {
        let column = |ends: &[usize], c: usize| {
            (ends[0]..ends[1]).map(|t| x[t * dim + c]).collect::<Vec<f64>>()
        };
        offsets.windows(2).flat_map(|ends| (0..dim).map(move |c| fold(&column(ends, c)))).collect()
    }

    fn mean(column: &[f64]) -> f64 {
        column.iter().sum::<f64>() / column.len().max(1) as f64
    }

    fn greatest(column: &[f64]) -> f64 {
        column.iter().copied().reduce(f64::max).unwrap_or(0.0)
    }

    fn agrees(lens: &[usize], dim: usize, seed: u32) {
        let offsets = offsets(lens);
        // On a grid, and each position beside it by its own share: two values nearer to each other than the step of the
        // differences would both count as the greatest.
        let mut x = numbers(offsets[lens.len()] * dim, seed);
        for (i, x) in x.iter_mut().enumerate() {
            *x = ((*x * 64.0).round() + (i / dim) as f32 / 64.0) / 64.0;
        }
        let dy = numbers(lens.len() * dim, seed + 5000);
        let mut max_pool = MaxPool::default();
        for fold in [mean, greatest] {
            let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
            if fold(&[0.0, 1.0]) < 1.0 {
                mean_pool(&offsets, dim, &x, &mut y);
                mean_pool_backward(&offsets, dim, &dy, &mut dx);
            } else {
                max_pool.forward(&offsets, dim, &x, &mut y);
                max_pool.backward(&dy, &mut dx);
            }
            assert_close(&y, &naive(&offsets, dim, &widen(&x), fold), "y");
            let slopes = slopes(&widen(&x), |x| dot(&naive(&offsets, dim, x, fold), &dy));
            assert_close(&dx, &slopes, "dx");
        }
    }

    #[test]
    fn three_sequences_by_hand() {
        // Rows (1, 8) and (5, 4), nothing, and (7, -2): means (3, 6), (0, 0), (7, -2); greatest (5, 8), (0, 0), (7, -2).
        let (offsets, x) = ([0, 2, 2, 3], [1.0, 8.0, 5.0, 4.0, 7.0, -2.0]);
        let dy = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0];
        let (mut y, mut dx) = ([9.0; 6], [9.0; 6]);
        mean_pool(&offsets, 2, &x, &mut y);
        assert_close(&y, &[3.0, 6.0, 0.0, 0.0, 7.0, -2.0], "means");
        // Two rows share 10 and 20, the last has its own.
        mean_pool_backward(&offsets, 2, &dy, &mut dx);
        assert_close(&dx, &[5.0, 10.0, 5.0, 10.0, 50.0, 60.0], "dx of means");
        let mut pool = MaxPool::default();
        pool.forward(&offsets, 2, &x, &mut y);
        assert_close(&y, &[5.0, 8.0, 0.0, 0.0, 7.0, -2.0], "greatest");
        // 5 stood in the second row, 8 in the first.
        pool.backward(&dy, &mut dx);
        assert_close(&dx, &[0.0, 20.0, 10.0, 0.0, 50.0, 60.0], "dx of the greatest");
    }

    #[test]
    fn of_equal_values_the_first_gets_the_gradient() {
        let (mut y, mut dx) = ([9.0], [9.0; 3]);
        let mut pool = MaxPool::default();
        pool.forward(&[0, 3], 1, &[1.0, 2.0, 2.0], &mut y);
        pool.backward(&[1.0], &mut dx);
        assert_close(&dx, &[0.0, 1.0, 0.0], "dx");
    }

    #[test]
    fn gradients_equal_central_differences() {
        for lens in [&[1][..], &[1, 1, 1], &[4, 0, 1, 7, 2], &[]] {
            agrees(lens, 19, 7);
        }
    }

    proptest! {
        #[test]
        fn any_sequences_equal_the_naive_pools(
            dim in 1usize..40,
            lens in prop::collection::vec(0usize..8, 0..6),
            seed in 0u32..1000,
        ) {
            agrees(&lens, dim, seed);
        }
    }
}
