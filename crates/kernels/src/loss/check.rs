//! Checks gradients against central differences in f64, `(f(x + h) - f(x - h)) / 2h`, and makes numbers to check with.

/// Returns the numeric gradient of `f` at `point`.
pub(super) fn numeric_gradient(f: impl Fn(&[f64]) -> f64, point: &[f32]) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut point = widen(point);
    (0..point.len())
        .map(|i| {
            let at = point[i];
            point[i] = at + STEP;
            let above = f(&point);
            point[i] = at - STEP;
            let below = f(&point);
            point[i] = at;
            (above - below) / (2.0 * STEP)
        })
        .collect()
}

/// Fails when a value is off by more than a thousandth and a hundred-thousandth.
pub(super) fn assert_near(got: &[f32], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(*got) - want).abs();
        assert!(error <= 1e-5 + 1e-3 * want.abs(), "number {i}: {got}, not {want}");
    }
}

/// Fails when a loss is off by more than a ten-thousandth and a hundred-thousandth.
pub(super) fn assert_loss(got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-5 + 1e-4 * want.abs(), "the loss is {got}, not {want}");
}

/// Returns `n` scattered values in (-1, 1), the same for the same seed.
pub(super) fn scattered(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) ^ 0x5bd1_e995;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

pub(super) fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

pub(super) fn log_sum_exp(values: &[f64]) -> f64 {
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    max + values.iter().map(|x| (x - max).exp()).sum::<f64>().ln()
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
