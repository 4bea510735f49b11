//! Weighted sums of the last few positions, column by column: `y[t][k] = sum over j of W[k][j] x[t - width + 1 + j]`, where a
//! sequence is zero before its start. The vertical convolution of Caser (Tang and Wang 2018).

use crate::{axpy, dot};

/// A vertical convolution; weights stay with the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerticalConv {
    /// Positions seen at once: the present one and `width - 1` before it.
    pub width: usize,
    /// Sums of each position.
    pub filters: usize,
    /// Width of a position.
    pub dim: usize,
}

impl VerticalConv {
    /// Overwrites `y: [positions, filters, dim]`, given `weights: [filters, width]`, the oldest position first.
    ///
    /// Sequence `i` is `offsets[i]..offsets[i + 1]`; `x: [positions, dim]`.
    ///
    /// # Panics
    /// When a size is zero, slices do not fill these shapes, or offsets do not rise from zero.
    pub fn forward(&self, weights: &[f32], offsets: &[usize], x: &[f32], y: &mut [f32]) {
        self.check(weights.len(), offsets, (x.len(), y.len()));
        y.fill(0.0);
        self.each_pair(offsets, |weight, from, to| {
            axpy(weights[weight], &x[from..from + self.dim], &mut y[to..to + self.dim]);
        });
    }

    /// Adds to `dx: [positions, dim]` and to `d_weights`, given the gradient `dy` of the output.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn backward(
        &self,
        (weights, d_weights): (&[f32], &mut [f32]),
        offsets: &[usize],
        (x, dy): (&[f32], &[f32]),
        dx: &mut [f32],
    ) {
        self.check(weights.len(), offsets, (x.len(), dy.len()));
        assert!(d_weights.len() == weights.len() && dx.len() == x.len(), "shapes fit");
        self.each_pair(offsets, |weight, from, to| {
            let dy = &dy[to..to + self.dim];
            d_weights[weight] += dot(dy, &x[from..from + self.dim]);
            axpy(weights[weight], dy, &mut dx[from..from + self.dim]);
        });
    }

    /// Visits every weight with where the position it weighs begins, and where the sum it goes into does.
    fn each_pair(&self, offsets: &[usize], mut visit: impl FnMut(usize, usize, usize)) {
        let Self { width, filters, dim } = *self;
        for ends in offsets.windows(2) {
            for at in ends[0]..ends[1] {
                let seen = (at + 1 - ends[0]).min(width);
                for filter in 0..filters {
                    for back in 0..seen {
                        let weight = (filter + 1) * width - 1 - back;
                        visit(weight, (at - back) * dim, (at * filters + filter) * dim);
                    }
                }
            }
        }
    }

    fn check(&self, weights: usize, offsets: &[usize], (x, y): (usize, usize)) {
        let Self { width, filters, dim } = *self;
        assert!(width > 0 && filters > 0 && dim > 0, "a convolution has a width, sums and columns");
        assert!(
            offsets.first() == Some(&0) && offsets.is_sorted(),
            "offsets rise from zero to the number of positions"
        );
        assert!(
            weights == filters * width && x == offsets[offsets.len() - 1] * dim && y == x * filters,
            "shapes fit"
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recurrent::check::{assert_close, dot as dot64, numbers, offsets, slopes, widen};

    fn naive(conv: VerticalConv, weights: &[f64], offsets: &[usize], x: &[f64]) -> Vec<f64> {
        let VerticalConv { width, filters, dim } = conv;
        let mut y = Vec::new();
        for ends in offsets.windows(2) {
            for t in ends[0]..ends[1] {
                for k in 0..filters {
                    for c in 0..dim {
                        let one = |j: usize| {
                            let place = (t + 1 + j).checked_sub(width).filter(|p| *p >= ends[0]);
                            place.map_or(0.0, |p| weights[k * width + j] * x[p * dim + c])
                        };
                        y.push((0..width).map(one).sum());
                    }
                }
            }
        }
        y
    }

    #[test]
    fn one_sequence_by_hand() {
        // Weights 10 and 1 over 1 2 3: 1, 1·10 + 2 = 12, 2·10 + 3 = 23.
        let conv = VerticalConv { width: 2, filters: 1, dim: 1 };
        let mut y = [9.0; 3];
        conv.forward(&[10.0, 1.0], &[0, 3], &[1.0, 2.0, 3.0], &mut y);
        assert_close(&y, &[1.0, 12.0, 23.0], "y");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_sequences_equal_the_naive_version(
            (width, filters, dim) in (1usize..6, 1usize..4, 1usize..7),
            lens in prop::collection::vec(0usize..8, 0..5),
            seed in 0u32..1000,
        ) {
            let conv = VerticalConv { width, filters, dim };
            let offsets = offsets(&lens);
            let count = offsets[lens.len()];
            let (weights, x) = (numbers(filters * width, seed), numbers(count * dim, seed + 1));
            let dy = numbers(count * filters * dim, seed + 2);
            let mut y = vec![f32::NAN; dy.len()];
            conv.forward(&weights, &offsets, &x, &mut y);
            let (wide, wide_x) = (widen(&weights), widen(&x));
            assert_close(&y, &naive(conv, &wide, &offsets, &wide_x), "y");
            // Gradients are added to what is there.
            let (mut dx, mut d_weights) = (vec![1.0; x.len()], vec![1.0; weights.len()]);
            conv.backward((&weights, &mut d_weights), &offsets, (&x, &dy), &mut dx);
            let more = |slopes: Vec<f64>| slopes.iter().map(|s| s + 1.0).collect::<Vec<f64>>();
            let of_x = slopes(&wide_x, |x| dot64(&naive(conv, &wide, &offsets, x), &dy));
            assert_close(&dx, &more(of_x), "dx");
            let of_w = slopes(&wide, |w| dot64(&naive(conv, w, &offsets, &wide_x), &dy));
            assert_close(&d_weights, &more(of_w), "weights");
        }
    }
}
