//! The greatest of the last few positions: for every position of ragged sequences, column by column.

use super::pool::raise;

/// Looks back over `width` positions and remembers where the greatest value stood; of equal ones the oldest. A sequence has nothing
/// before its start.
#[derive(Clone, Debug, Default)]
pub struct SlidingMax {
    /// Position of the greatest value: `[positions, dim]`.
    places: Vec<u32>,
    dim: usize,
}

impl SlidingMax {
    /// Writes the greatest value of every column over the last `width` positions, and keeps what [`backward`](Self::backward) needs.
    ///
    /// Sequence `i` is `offsets[i]..offsets[i + 1]`; `x, y: [positions, dim]`.
    ///
    /// # Panics
    /// When a size is zero, slices do not fill these shapes, offsets do not rise from zero, or positions do not fit into `u32`.
    pub fn forward(
        &mut self,
        offsets: &[usize],
        (width, dim): (usize, usize),
        x: &[f32],
        y: &mut [f32],
    ) {
        assert!(width > 0 && dim > 0, "there is something to look at");
        assert!(
            offsets.first() == Some(&0) && offsets.is_sorted(),
            "offsets rise from zero to the number of positions"
        );
        let count = offsets[offsets.len() - 1];
        assert!(x.len() == count * dim && y.len() == x.len(), "shapes fit");
        assert!(u32::try_from(count).is_ok(), "positions fit into `u32`");
        self.dim = dim;
        self.places.resize(x.len(), 0);
        for ends in offsets.windows(2) {
            for at in ends[0]..ends[1] {
                let from = ends[0].max((at + 1).saturating_sub(width));
                let y = &mut y[at * dim..(at + 1) * dim];
                let places = &mut self.places[at * dim..(at + 1) * dim];
                y.copy_from_slice(&x[from * dim..(from + 1) * dim]);
                places.fill(from as u32);
                for other in from + 1..=at {
                    raise(y, places, &x[other * dim..(other + 1) * dim], other as u32);
                }
            }
        }
    }

    /// Writes the gradient `dx` of the input of the last [`forward`](Self::forward) from that of its output.
    ///
    /// # Panics
    /// When slices do not fill the shapes of the last call.
    pub fn backward(&self, dy: &[f32], dx: &mut [f32]) {
        assert!(dy.len() == self.places.len() && dx.len() == dy.len(), "shapes fit");
        dx.fill(0.0);
        if dy.is_empty() {
            return;
        }
        for (dy, places) in dy.chunks_exact(self.dim).zip(self.places.chunks_exact(self.dim)) {
            for (column, (dy, &place)) in dy.iter().zip(places).enumerate() {
                dx[place as usize * self.dim + column] += *dy;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recurrent::check::{assert_close, dot, numbers, offsets, slopes, widen};

    fn naive(offsets: &[usize], (width, dim): (usize, usize), x: &[f64]) -> Vec<f64> {
        let mut y = Vec::new();
        for ends in offsets.windows(2) {
            for at in ends[0]..ends[1] {
                let from = ends[0].max((at + 1).saturating_sub(width));
                let greatest =
                    |c| (from..=at).map(|t| x[t * dim + c]).fold(f64::NEG_INFINITY, f64::max);
                y.extend((0..dim).map(greatest));
            }
        }
        y
    }

    #[test]
    fn two_sequences_by_hand() {
        // Width 2 over 3 1 2 and 0: 3, max(3, 1) = 3, max(1, 2) = 2, and 0. 3 was taken twice: 10 + 20.
        let (mut y, mut dx) = ([9.0; 4], [9.0; 4]);
        let mut pool = SlidingMax::default();
        pool.forward(&[0, 3, 4], (2, 1), &[3.0, 1.0, 2.0, 0.0], &mut y);
        assert_close(&y, &[3.0, 3.0, 2.0, 0.0], "y");
        pool.backward(&[10.0, 20.0, 30.0, 40.0], &mut dx);
        assert_close(&dx, &[30.0, 0.0, 30.0, 40.0], "dx");
    }

    proptest! {
        #[test]
        fn any_sequences_equal_the_naive_version(
            (width, dim) in (1usize..7, 1usize..9),
            lens in prop::collection::vec(0usize..9, 0..5),
            again in prop::collection::vec(0usize..4, 0..4),
            seed in 0u32..1000,
        ) {
            // The second case meets the buffers of the first.
            let mut pool = SlidingMax::default();
            for (lens, seed) in [(&lens, seed), (&again, seed + 1)] {
                let offsets = offsets(lens);
                let count = offsets[lens.len()];
                // On a grid, each position beside it by its own share: no two values are nearer than the step of the differences.
                let mut x = numbers(count * dim, seed);
                for (i, x) in x.iter_mut().enumerate() {
                    *x = ((*x * 64.0).round() + (i / dim) as f32 / 64.0) / 64.0;
                }
                let dy = numbers(count * dim, seed + 5000);
                let (mut y, mut dx) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
                pool.forward(&offsets, (width, dim), &x, &mut y);
                pool.backward(&dy, &mut dx);
                assert_close(&y, &naive(&offsets, (width, dim), &widen(&x)), "y");
                let loss = |x: &[f64]| dot(&naive(&offsets, (width, dim), x), &dy);
                assert_close(&dx, &slopes(&widen(&x), loss), "dx");
            }
        }
    }
}
