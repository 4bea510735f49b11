//! Layer normalisation of rows, in place.

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
}
