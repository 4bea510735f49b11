//! A dense layer behind the encoder's pooling that starts as the whitening of the catalogue: `y = (I + D) z + b` with
//! `z = M (x - μ)`, `M` the inverse root of the covariance of the items' vectors (Su et al. 2021), and `D: [width, width]` and `b`
//! learnt from 0. So the encoder starts where whitened `text-knn` is, every direction has one scale, and weight decay draws
//! towards the start. What is written is one layer, `W = (I + D) M`.

use rayon::prelude::*;
use tastemaker_kernels::{Layout, View, gemm, inverse_root, product};
use tastemaker_text::DenseLayer;

/// A direction keeps at least this share of the mean variance, as in `text-knn`.
const FLOOR: f64 = 0.1;
/// Rows of a task.
const ROWS: usize = 256;

/// The whitening that a head starts as.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    width: usize,
    /// `M`, symmetric.
    matrix: Vec<f32>,
    /// `-M μ`.
    shift: Vec<f32>,
}

/// Returns `x m`, or `x mᵀ` when `turned`, for rows of one width.
fn rows_times(x: &[f32], m: &[f32], turned: bool, width: usize) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    let m = View::rows(m, width);
    let m = if turned { m.transposed() } else { m };
    y.par_chunks_mut(ROWS * width).zip(x.par_chunks(ROWS * width)).for_each(|(y, x)| {
        let shape = (x.len() / width, width, width);
        product(shape, (1.0, View::rows(x, width), m), 0.0, (y, width));
    });
    y
}

fn add_to_rows(rows: &mut [f32], shift: &[f32]) {
    for row in rows.chunks_exact_mut(shift.len()) {
        row.iter_mut().zip(shift).for_each(|(x, s)| *x += s);
    }
}

impl Head {
    /// Learns the whitening of the vectors that are not 0 and whose items were touched. `None` where they are fewer than two or have
    /// no eigenvectors.
    pub(super) fn learn(vectors: &[f32], width: usize, counts: &[u32]) -> Option<Self> {
        let rows = vectors.chunks_exact(width).zip(counts);
        let touched = rows.filter(|(row, n)| **n > 0 && row.iter().any(|x| x.abs() > 0.0));
        let touched: Vec<&[f32]> = touched.map(|(row, _)| row).collect();
        if touched.len() < 2 {
            return None;
        }
        let mut sums = vec![0.0f64; width];
        for row in &touched {
            sums.iter_mut().zip(*row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        let mean: Vec<f32> =
            sums.into_iter().map(|sum| (sum / touched.len() as f64) as f32).collect();
        let centred: Vec<f32> =
            touched.iter().flat_map(|row| row.iter().zip(&mean).map(|(x, m)| x - m)).collect();
        let mut covariance = vec![0.0f32; width * width];
        let shape = (width, width, touched.len());
        let (left, right) = ((&centred[..], Layout::Transposed), (&centred[..], Layout::Plain));
        gemm(shape, 1.0 / touched.len() as f32, left, right, 0.0, &mut covariance);
        let covariance: Vec<f64> = covariance.into_iter().map(f64::from).collect();
        let matrix = inverse_root(width, &covariance, FLOOR)?;
        let matrix: Vec<f32> = matrix.into_iter().map(|x| x as f32).collect();
        let shift = rows_times(&mean, &matrix, false, width).into_iter().map(|x| -x).collect();
        Some(Self { width, matrix, shift })
    }

    /// Counts the numbers of `D` and `b`.
    pub(super) const fn len(&self) -> usize {
        self.width * (self.width + 1)
    }

    fn split<'a>(&self, trained: &'a [f32]) -> (&'a [f32], &'a [f32]) {
        trained.split_at(self.width * self.width)
    }

    /// Returns `z` for rows `x`; those of 0 stay 0.
    pub(super) fn whiten(&self, x: &[f32]) -> Vec<f32> {
        let mut z = rows_times(x, &self.matrix, false, self.width);
        add_to_rows(&mut z, &self.shift);
        let rows = z.chunks_exact_mut(self.width).zip(x.chunks_exact(self.width));
        let textless = rows.filter(|(_, x)| x.iter().all(|x| x.to_bits() << 1 == 0));
        textless.for_each(|(z, _)| z.fill(0.0));
        z
    }

    /// Returns `y` for rows `z`; those of 0 stay 0.
    pub(super) fn forward(&self, trained: &[f32], z: &[f32]) -> Vec<f32> {
        let (turn, shift) = self.split(trained);
        let mut y = rows_times(z, turn, true, self.width);
        add_to_rows(&mut y, shift);
        for (y, z) in y.chunks_exact_mut(self.width).zip(z.chunks_exact(self.width)) {
            if z.iter().all(|x| x.to_bits() << 1 == 0) {
                y.fill(0.0);
            } else {
                y.iter_mut().zip(z).for_each(|(y, z)| *y += z);
            }
        }
        y
    }

    /// Returns the gradient of what is trained, given that of `y`.
    pub(super) fn backward(&self, z: &[f32], dy: &[f32]) -> Vec<f32> {
        let width = self.width;
        let mut d = vec![0.0; self.len()];
        let (turn, shift) = d.split_at_mut(width * width);
        let shape = (width, width, z.len() / width);
        gemm(shape, 1.0, (dy, Layout::Transposed), (z, Layout::Plain), 0.0, turn);
        for row in dy.chunks_exact(width) {
            shift.iter_mut().zip(row).for_each(|(sum, d)| *sum += d);
        }
        d
    }

    /// Returns the gradient of `x`, given that of `y`.
    pub(super) fn backward_input(&self, trained: &[f32], dy: &[f32]) -> Vec<f32> {
        let mut dz = rows_times(dy, self.split(trained).0, false, self.width);
        dz.iter_mut().zip(dy).for_each(|(dz, dy)| *dz += dy);
        // The matrix is symmetric.
        rows_times(&dz, &self.matrix, false, self.width)
    }

    /// Returns the layer that does all of it.
    pub(super) fn layer(&self, trained: &[f32]) -> DenseLayer {
        let (turn, shift) = self.split(trained);
        let plus = |mut rows: Vec<f32>, more: &[f32]| {
            rows.iter_mut().zip(more).for_each(|(x, m)| *x += m);
            rows
        };
        let weight = plus(rows_times(turn, &self.matrix, false, self.width), &self.matrix);
        let bias = plus(rows_times(&self.shift, turn, true, self.width), &self.shift);
        DenseLayer { weight, bias: plus(bias, shift) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 3;

    fn vectors() -> Vec<f32> {
        let mut rows: Vec<f32> =
            (0..7 * WIDTH).map(|i| ((i * i) as f32 * 0.37).sin() + 0.4).collect();
        rows.extend([0.0; WIDTH]);
        rows
    }

    fn head() -> (Head, Vec<f32>) {
        let head = Head::learn(&vectors(), WIDTH, &[1; 8]).unwrap();
        let trained = (0..head.len()).map(|i| 0.4 * (i as f32 * 0.9).cos()).collect();
        (head, trained)
    }

    #[test]
    fn it_starts_as_the_whitening_and_textless_rows_stay_zero() {
        let (head, _) = head();
        let z = head.whiten(&vectors());
        assert_eq!(head.forward(&vec![0.0; head.len()], &z), z);
        let (full, none) = z.split_at(7 * WIDTH);
        assert!(none.iter().all(|x| x.abs() < 1e-9));
        for i in 0..WIDTH {
            let column = || full.chunks_exact(WIDTH).map(|row| f64::from(row[i]));
            assert!(column().sum::<f64>().abs() < 1e-4, "centred");
            for j in 0..WIDTH {
                let sum: f64 = full.chunks_exact(WIDTH).map(|r| f64::from(r[i] * r[j])).sum();
                let want = if i == j { 1.0 } else { 0.0 };
                assert!((sum / 7.0 - want).abs() < 0.05, "{i} {j}: {}", sum / 7.0);
            }
        }
        assert!(Head::learn(&vectors(), WIDTH, &[1, 0, 0, 0, 0, 0, 0, 1]).is_none());
    }

    #[test]
    fn the_layer_that_is_written_does_the_same_as_the_parts() {
        let (head, trained) = head();
        let x = &vectors()[..7 * WIDTH];
        let y = head.forward(&trained, &head.whiten(x));
        let layer = head.layer(&trained);
        let mut got = rows_times(x, &layer.weight, true, WIDTH);
        add_to_rows(&mut got, &layer.bias);
        assert!(got.iter().zip(&y).all(|(a, b)| (a - b).abs() < 1e-4), "{got:?} {y:?}");
    }

    #[test]
    fn gradients_equal_numeric_ones() {
        let (head, mut trained) = head();
        let mut x = vectors()[..4 * WIDTH].to_vec();
        let dy: Vec<f32> = (0..x.len()).map(|i| (i as f32 * 0.6).sin()).collect();
        let loss = |trained: &[f32], x: &[f32]| {
            let y = head.forward(trained, &head.whiten(x));
            y.iter().zip(&dy).map(|(y, d)| f64::from(y * d)).sum::<f64>()
        };
        let close = |got: f32, want: f64| {
            assert!((f64::from(got) - want).abs() < 3e-3 * (1.0 + want.abs()), "{got} {want}");
        };
        for (at, got) in head.backward(&head.whiten(&x), &dy).into_iter().enumerate() {
            let old = trained[at];
            trained[at] = old + 0.01;
            let above = loss(&trained, &x);
            trained[at] = old - 0.01;
            close(got, (above - loss(&trained, &x)) / 0.02);
            trained[at] = old;
        }
        for (at, got) in head.backward_input(&trained, &dy).into_iter().enumerate() {
            let old = x[at];
            x[at] = old + 0.01;
            let above = loss(&trained, &x);
            x[at] = old - 0.01;
            close(got, (above - loss(&trained, &x)) / 0.02);
            x[at] = old;
        }
    }
}
