//! Softmax over rows, in place.

use multiversion::{multiversion, target::target_cfg_f};

use crate::exp::exp_lane;

const LANES: usize = 16;

/// Turns the first `width` values of each row of `stride` into a distribution proportional to `exp(scale * x)`;
/// the rest of a row becomes zero.
///
/// # Panics
/// When `width` is zero or above `stride`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
pub fn softmax(rows: &mut [f32], stride: usize, width: usize, scale: f32) {
    assert!(0 < width && width <= stride, "a row has between 1 and `stride` values");
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    for row in rows.chunks_exact_mut(stride) {
        let (row, rest) = row.split_at_mut(width);
        rest.fill(0.0);
        let (chunks, tail) = row.as_chunks_mut::<LANES>();
        // One running value per lane keeps the order of additions fixed and the loops wide.
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for chunk in &*chunks {
            for (m, x) in lanes.iter_mut().zip(chunk) {
                *m = if *x > *m { *x } else { *m };
            }
        }
        let max =
            lanes.iter().chain(&*tail).fold(f32::NEG_INFINITY, |m, &x| if x > m { x } else { m });
        let mut sums = [0.0f32; LANES];
        for chunk in &mut *chunks {
            for (s, x) in sums.iter_mut().zip(chunk) {
                *x = exp_lane(fused, scale * (*x - max));
                *s += *x;
            }
        }
        for (s, x) in sums.iter_mut().zip(&mut *tail) {
            *x = exp_lane(fused, scale * (*x - max));
            *s += *x;
        }
        let inverse = 1.0 / sums.iter().sum::<f32>();
        for x in row {
            *x *= inverse;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_values_by_hand() {
        // exp(2 * ln 3 / 2) = 3 against exp(0) = 1: three quarters and one quarter.
        let mut row = [3f32.ln(), 0.0, 99.0];
        softmax(&mut row, 3, 2, 1.0);
        assert!(
            (row[0] - 0.75).abs() < 1e-6 && (row[1] - 0.25).abs() < 1e-6 && row[2].abs() < 1e-9
        );
    }

    #[test]
    fn sums_to_one_and_ignores_a_shift() {
        for width in [1, 5, 16, 37, 64] {
            let values: Vec<f32> = (0..width).map(|i| (i as f32 * 1.7).sin() * 5.0).collect();
            let mut plain = values.clone();
            let mut shifted: Vec<f32> = values.iter().map(|x| x + 64.0).collect();
            softmax(&mut plain, width, width, 0.5);
            softmax(&mut shifted, width, width, 0.5);
            assert!((plain.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            for (a, b) in plain.iter().zip(shifted) {
                assert!((a - b).abs() < 1e-5);
            }
        }
    }
}
