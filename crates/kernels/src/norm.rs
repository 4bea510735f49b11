//! Normalisation of rows: layer norm (Ba et al. 2016) and RMS norm (Zhang and Sennrich 2019), forward and backward.

use multiversion::multiversion;

const LANES: usize = 16;

/// Adds up `f` of every value in sixteen running sums: fixed order, wide loops.
#[inline(always)]
fn sum_of(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (chunks, tail) = row.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for chunk in chunks {
        for (s, x) in sums.iter_mut().zip(chunk) {
            *s += f(*x);
        }
    }
    for (s, x) in sums.iter_mut().zip(tail) {
        *s += f(*x);
    }
    sums.iter().sum()
}

/// Gives every row of `gain.len()` values mean 0 and variance 1, then scales by `gain` and shifts by `bias`.
///
/// # Panics
/// When `gain` and `bias` differ in length or are empty.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub fn layer_norm(rows: &mut [f32], gain: &[f32], bias: &[f32], epsilon: f32) {
    assert!(
        gain.len() == bias.len() && !gain.is_empty(),
        "gain and bias have one value per column"
    );
    let width = gain.len() as f32;
    for row in rows.chunks_exact_mut(gain.len()) {
        let mean = sum_of(row, |x| x) / width;
        let variance = sum_of(row, |x| (x - mean) * (x - mean)) / width;
        let scale = 1.0 / (variance + epsilon).sqrt();
        for ((x, g), b) in row.iter_mut().zip(gain).zip(bias) {
            *x = (*x - mean) * scale * g + b;
        }
    }
}

/// A normalisation that learns: `gain * (x - mean) / deviation + bias`, or without mean and bias.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Scale of every column, `[width]`.
    pub gain: &'a [f32],
    /// Shift of every column, `[width]`; empty for RMS norm, which takes no mean away either.
    pub bias: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

/// What [`Norm::backward`] adds to.
#[derive(Debug)]
pub struct NormGradients<'a> {
    /// `[rows, width]`.
    pub x: &'a mut [f32],
    /// `[width]`.
    pub gain: &'a mut [f32],
    /// `[width]`, or empty.
    pub bias: &'a mut [f32],
}

impl Norm<'_> {
    /// Writes the normalised rows of `x` to `y`, and mean and inverse deviation of every row to `stats: [rows, 2]`.
    ///
    /// # Panics
    /// When the slices do not fill these shapes.
    pub fn forward(&self, x: &[f32], y: &mut [f32], stats: &mut [f32]) {
        let rows = self.rows(x);
        assert!(y.len() == x.len() && stats.len() == 2 * rows, "shapes fit");
        norm_rows(self, x, y, stats);
    }

    /// Adds the gradients, given those of `y`.
    ///
    /// # Panics
    /// When the slices do not fill their shapes.
    pub fn backward(&self, x: &[f32], stats: &[f32], dy: &[f32], gradients: NormGradients<'_>) {
        let rows = self.rows(x);
        assert!(dy.len() == x.len() && stats.len() == 2 * rows, "shapes fit");
        let NormGradients { x: dx, gain, bias } = &gradients;
        assert!(dx.len() == x.len() && gain.len() == self.gain.len(), "shapes fit");
        assert!(bias.len() == self.bias.len(), "shapes fit");
        norm_rows_backward(self, (x, stats, dy), gradients);
    }

    fn rows(&self, x: &[f32]) -> usize {
        let width = self.gain.len();
        assert!(width > 0 && x.len().is_multiple_of(width), "rows are as wide as the gain");
        assert!(self.bias.is_empty() || self.bias.len() == width, "a bias has the gain's width");
        x.len() / width
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn norm_rows(norm: &Norm<'_>, x: &[f32], y: &mut [f32], stats: &mut [f32]) {
    let n = norm.gain.len();
    let rows = x.chunks_exact(n).zip(y.chunks_exact_mut(n)).zip(stats.chunks_exact_mut(2));
    for ((x, y), stats) in rows {
        let mean = if norm.bias.is_empty() { 0.0 } else { sum_of(x, |x| x) / n as f32 };
        let variance = sum_of(x, |x| (x - mean) * (x - mean)) / n as f32;
        let scale = 1.0 / (variance + norm.epsilon).sqrt();
        stats.copy_from_slice(&[mean, scale]);
        for ((y, x), gain) in y.iter_mut().zip(x).zip(norm.gain) {
            *y = (x - mean) * scale * gain;
        }
        for (y, bias) in y.iter_mut().zip(norm.bias) {
            *y += bias;
        }
    }
}

/// With `h = (x - mean) * scale` and `g = dy * gain`: `dx = scale * (g - mean(g) - h * mean(g * h))`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn norm_rows_backward(
    norm: &Norm<'_>,
    (x, stats, dy): (&[f32], &[f32], &[f32]),
    gradients: NormGradients<'_>,
) {
    let n = norm.gain.len();
    let NormGradients { x: dx, gain: d_gain, bias: d_bias } = gradients;
    let rows = x.chunks_exact(n).zip(dy.chunks_exact(n)).zip(dx.chunks_exact_mut(n));
    for (((x, dy), dx), stats) in rows.zip(stats.chunks_exact(2)) {
        let (mean, scale) = (stats[0], stats[1]);
        let (mut plain, mut along) = ([0.0f32; LANES], [0.0f32; LANES]);
        for (at, ((x, dy), gain)) in x.iter().zip(dy).zip(norm.gain).enumerate() {
            let g = dy * gain;
            plain[at % LANES] += g;
            along[at % LANES] += g * (x - mean) * scale;
        }
        let along = along.iter().sum::<f32>() / n as f32;
        let plain = if norm.bias.is_empty() { 0.0 } else { plain.iter().sum::<f32>() / n as f32 };
        for (((dx, x), dy), gain) in dx.iter_mut().zip(x).zip(dy).zip(norm.gain) {
            *dx += scale * (dy * gain - plain - (x - mean) * scale * along);
        }
        for ((d_gain, x), dy) in d_gain.iter_mut().zip(x).zip(dy) {
            *d_gain += dy * (x - mean) * scale;
        }
        for (d_bias, dy) in d_bias.iter_mut().zip(dy) {
            *d_bias += dy;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_values_by_hand() {
        // Mean 2, variance 2/3, so the outer values become -+ sqrt(3/2) = -+1.224745; times 2, plus 1.
        let mut row = [1.0, 2.0, 3.0];
        layer_norm(&mut row, &[2.0; 3], &[1.0; 3], 0.0);
        for (x, want) in row.iter().zip([-1.449_49, 1.0, 3.449_49]) {
            assert!((x - want).abs() < 1e-5);
        }
    }

    #[test]
    fn rows_have_mean_zero_and_variance_one_whatever_the_width() {
        for width in [2, 16, 45, 384] {
            let mut rows: Vec<f32> = (0..3 * width).map(|i| (i as f32).sin() * 7.0 + 3.0).collect();
            layer_norm(&mut rows, &vec![1.0; width], &vec![0.0; width], 1e-12);
            for row in rows.chunks_exact(width) {
                let n = width as f32;
                let mean = row.iter().sum::<f32>() / n;
                let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / n;
                assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4);
            }
        }
    }

    /// The loss `Σ w · y` in `f64`, by the definition.
    fn loss(x: &[f64], gain: &[f64], bias: &[f64], w: &[f64]) -> f64 {
        let n = gain.len();
        let rows = x.chunks_exact(n).zip(w.chunks_exact(n));
        rows.map(|(x, w)| {
            let mean = if bias.is_empty() { 0.0 } else { x.iter().sum::<f64>() / n as f64 };
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            let y = |j: usize| {
                (x[j] - mean) / (variance + 1e-5).sqrt() * gain[j]
                    + bias.get(j).copied().unwrap_or(0.0)
            };
            (0..n).map(|j| w[j] * y(j)).sum::<f64>()
        })
        .sum()
    }

    #[test]
    fn gradients_equal_numeric_ones_with_and_without_a_mean() {
        for (rows, n, has_bias) in
            [(1, 1, true), (3, 5, true), (2, 16, false), (4, 33, true), (2, 64, false)]
        {
            let at = |step: f64, len: usize| -> Vec<f64> {
                (0..len).map(|i| ((i + 1) as f64 * step).sin()).collect()
            };
            let (x, w) = (at(0.7, rows * n), at(1.3, rows * n));
            let gain: Vec<f64> = at(0.4, n).iter().map(|x| 1.0 + 0.3 * x).collect();
            let bias = if has_bias { at(0.9, n) } else { Vec::new() };
            let single = |x: &[f64]| x.iter().map(|x| *x as f32).collect::<Vec<f32>>();
            let (sx, sw, sgain, sbias) = (single(&x), single(&w), single(&gain), single(&bias));
            let norm = Norm { gain: &sgain, bias: &sbias, epsilon: 1e-5 };
            let (mut y, mut stats) = (vec![0.0; rows * n], vec![0.0; rows * 2]);
            norm.forward(&sx, &mut y, &mut stats);
            let got: f64 = y.iter().zip(&w).map(|(y, w)| f64::from(*y) * w).sum();
            assert!((got - loss(&x, &gain, &bias, &w)).abs() < 1e-3);
            let (mut dx, mut dg, mut db) =
                (vec![0.0; rows * n], vec![0.0; n], vec![0.0; bias.len()]);
            let gradients = NormGradients { x: &mut dx, gain: &mut dg, bias: &mut db };
            norm.backward(&sx, &stats, &sw, gradients);
            let numeric = |change: &dyn Fn(f64) -> f64| (change(1e-5) - change(-1e-5)) / 2e-5;
            let moved = |v: &[f64], i: usize, by: f64| {
                let mut v = v.to_vec();
                v[i] += by;
                v
            };
            for (i, got) in dx.iter().enumerate() {
                let want = numeric(&|by| loss(&moved(&x, i, by), &gain, &bias, &w));
                assert!(
                    (f64::from(*got) - want).abs() < 2e-3 * (1.0 + want.abs()),
                    "dx {i}: {got} {want}"
                );
            }
            for (i, got) in dg.iter().enumerate() {
                let want = numeric(&|by| loss(&x, &moved(&gain, i, by), &bias, &w));
                assert!(
                    (f64::from(*got) - want).abs() < 1e-3 * (1.0 + want.abs()),
                    "dgain {i}: {got} {want}"
                );
            }
            for (i, got) in db.iter().enumerate() {
                let want = numeric(&|by| loss(&x, &gain, &moved(&bias, i, by), &w));
                assert!(
                    (f64::from(*got) - want).abs() < 1e-3 * (1.0 + want.abs()),
                    "dbias {i}: {got} {want}"
                );
            }
        }
    }
}
