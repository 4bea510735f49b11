//! What the losses share: sums in sixteen lanes, `softplus(x) = ln(1 + e^x)` as a short series, and the softmax of a
//! target against a row, `-ln(e^t / (e^t + sum_j e^xj)) = softplus(ln sum_j e^xj - t)`, exact also when it is tiny.
//! Inlined into functions compiled for several machines; `fused` as in [`multiply_add`].

use crate::exp::{exp_lane, multiply_add};

const LANES: usize = 16;

/// The logit of a candidate that does not take part: finite, so that no difference of two is undefined.
pub(super) const MASKED: f32 = f32::MIN;

/// Drops a slope too small to matter. Numbers below 1e-38 would slow the products that follow a hundredfold.
#[inline(always)]
pub(super) fn flush(slope: f32) -> f32 {
    // Written so that what is not a number stays so.
    if slope.abs() < 1e-30 { 0.0 } else { slope }
}

/// Adds up the values in fixed order.
#[inline(always)]
pub(super) fn sum_of(row: &[f32]) -> f32 {
    let (chunks, tail) = row.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for chunk in chunks {
        for (s, x) in sums.iter_mut().zip(chunk) {
            *s += x;
        }
    }
    for (s, x) in sums.iter_mut().zip(tail) {
        *s += x;
    }
    sums.iter().sum()
}

/// Replaces every value by the first part of `f` and adds up the second.
#[inline(always)]
pub(super) fn map_sum(row: &mut [f32], f: impl Fn(f32) -> (f32, f32)) -> f32 {
    let (chunks, tail) = row.as_chunks_mut::<LANES>();
    let mut sums = [0.0f32; LANES];
    for chunk in chunks {
        for (s, x) in sums.iter_mut().zip(chunk) {
            let (new, term) = f(*x);
            *x = new;
            *s += term;
        }
    }
    for (s, x) in sums.iter_mut().zip(tail) {
        let (new, term) = f(*x);
        *x = new;
        *s += term;
    }
    sums.iter().sum()
}

/// Computes `e^x` for `x <= 0` as [`exp_lane`] does, but what is not a number stays so.
#[inline(always)]
fn decay(fused: bool, x: f32) -> f32 {
    multiply_add(fused, 0.0, x, exp_lane(fused, x))
}

/// Returns the greatest value, [`MASKED`] for an empty row; passes over what is not a number.
#[inline(always)]
pub(super) fn max_of(row: &[f32]) -> f32 {
    let (chunks, tail) = row.as_chunks::<LANES>();
    let mut lanes = [MASKED; LANES];
    for chunk in chunks {
        for (m, x) in lanes.iter_mut().zip(chunk) {
            *m = if *x > *m { *x } else { *m };
        }
    }
    lanes.iter().chain(tail).fold(MASKED, |m, &x| if x > m { x } else { m })
}

/// `ln(1 + e^x)` and its slopes up and down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Softplus {
    /// `ln(1 + e^x) = -ln sigmoid(-x)`
    pub(super) value: f32,
    /// `sigmoid(x)`
    pub(super) up: f32,
    /// `sigmoid(-x)`, exact also where it is far below one.
    pub(super) down: f32,
}

/// Computes [`Softplus`] to a relative error below 1e-6; not a number stays so.
#[inline(always)]
pub(super) fn softplus(fused: bool, x: f32) -> Softplus {
    let t = decay(fused, -x.abs());
    // ln(1 + t) = 2 artanh(s) = 2 (s + s^3/3 + s^5/5 + ...) with s = t / (2 + t) <= 1/3.
    let s = t / (2.0 + t);
    let s2 = s * s;
    let mut p = 1.0 / 15.0;
    for c in [1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0] {
        p = multiply_add(fused, p, s2, c);
    }
    let high = 1.0 / (1.0 + t);
    let low = t * high;
    let (up, down) = if x > 0.0 { (high, low) } else { (low, high) };
    // `(x + |x|) / 2` and not a comparison, which would swallow what is not a number.
    Softplus { value: multiply_add(fused, 2.0 * s, p, 0.5 * (x + x.abs())), up, down }
}

/// A loss and its slope along the logit of the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) loss: f64,
    pub(super) slope: f32,
}

/// The softmax loss of a target against the row of all other logits, times `weight`; the row becomes its slopes.
#[inline(always)]
pub(super) fn contrast(fused: bool, target: f32, row: &mut [f32], weight: f32) -> Outcome {
    let max = max_of(row);
    if max <= MASKED {
        let loss = if row.iter().any(|x| x.is_nan()) { f64::NAN } else { 0.0 };
        row.fill(0.0);
        return Outcome { loss, slope: 0.0 };
    }
    let sum = map_sum(row, |x| {
        let e = decay(fused, x - max);
        (e, e)
    });
    let miss = softplus(fused, max - target + sum.ln());
    let scale = weight * miss.up / sum;
    for x in row {
        *x = flush(scale * *x);
    }
    Outcome { loss: f64::from(weight) * f64::from(miss.value), slope: -weight * miss.up }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softplus_equals_the_library_to_a_millionth() {
        for i in -8000..8000 {
            let x = i as f32 * 0.01;
            let exact = f64::from(x);
            let got = softplus(false, x);
            let pairs = [
                (got.value, exact.max(0.0) + (-exact.abs()).exp().ln_1p()),
                (got.up, 1.0 / (1.0 + (-exact).exp())),
                (got.down, 1.0 / (1.0 + exact.exp())),
            ];
            for (got, want) in pairs {
                assert!((f64::from(got) / want - 1.0).abs() < 1e-6, "{x}: {got}, not {want}");
            }
        }
    }

    #[test]
    fn softplus_at_the_ends() {
        let (low, high) = (softplus(false, MASKED), softplus(false, 1e4));
        assert!(low.value < 1e-37 && low.up < 1e-37 && (low.down - 1.0).abs() < 1e-6);
        assert!((high.value - 1e4).abs() < 1e-6 && (high.up - 1.0).abs() < 1e-6);
        let none = softplus(false, f32::NAN);
        assert!(none.value.is_nan() && none.up.is_nan() && none.down.is_nan());
    }

    #[test]
    fn a_row_with_what_is_not_a_number_has_no_loss() {
        for mut row in [vec![f32::NAN], vec![MASKED, f32::NAN], vec![1.0, f32::NAN, 2.0]] {
            assert!(contrast(false, 0.0, &mut row, 1.0).loss.is_nan());
        }
    }

    #[test]
    fn slopes_too_small_to_matter_are_zero() {
        let mut row = [-60.0, 0.0, MASKED, -200.0];
        contrast(false, 0.0, &mut row, 1.0);
        assert!(row[0] > 1e-27 && row[1] > 0.4 && row[2].abs() <= 0.0 && row[3].abs() <= 0.0);
        assert!(flush(f32::NAN).is_nan());
    }

    #[test]
    fn sums_and_the_greatest_value_count_the_tail() {
        let mut row: Vec<f32> = (1..=37).map(|x| x as f32).collect();
        assert!((sum_of(&row) - 703.0).abs() < 1e-3 && (max_of(&row) - 37.0).abs() < 1e-6);
        let sum = map_sum(&mut row, |x| (2.0 * x, x));
        assert!((sum - 703.0).abs() < 1e-3 && (row[36] - 74.0).abs() < 1e-6);
        assert!(max_of(&[]) <= MASKED);
    }
}
