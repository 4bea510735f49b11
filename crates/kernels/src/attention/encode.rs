//! Self-attention of one sequence: `softmax(Q Kᵀ / sqrt(d)) V`, head by head.

use crate::{Packed, Rows, softmax};

/// Memory reused from call to call.
#[derive(Clone, Debug, Default)]
pub struct AttentionScratch {
    keys: Packed,
    values: Packed,
    scores: Vec<f32>,
}

/// Writes the attention of every position to all positions of the sequence.
///
/// `qkv: [len, 3 * hidden]` holds queries, keys and values side by side, each in `heads` equal parts;
/// `out: [len, hidden]` is overwritten.
///
/// # Panics
/// When the slices do not fill these shapes or `heads` does not divide `hidden`.
pub fn attention(
    qkv: &[f32],
    (heads, hidden): (usize, usize),
    out: &mut [f32],
    scratch: &mut AttentionScratch,
) {
    let (len, dim, stride) = (out.len() / hidden, hidden / heads, 3 * hidden);
    assert!(heads * dim == hidden && qkv.len() == len * stride, "shapes fit");
    if len == 0 {
        return;
    }
    out.fill(0.0);
    let AttentionScratch { keys, values, scores } = scratch;
    for head in 0..heads {
        let part =
            |which: usize| Rows { data: &qkv[which * hidden + head * dim..], stride, count: len };
        keys.refill_transposed(part(1), dim);
        values.refill(part(2), dim);
        scores.clear();
        scores.resize(len * len, 0.0);
        keys.add_product(part(0), scores, len);
        softmax(scores, len, len, 1.0 / (dim as f32).sqrt());
        let weights = Rows { data: scores, stride: len, count: len };
        values.add_product(weights, &mut out[head * dim..], hidden);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_positions_by_hand() {
        // One head of width 1. Position 0: scores 0·0 and 0·ln3, so the mean of values 2 and 6 = 4.
        // Position 1: scores ln3·0 = 0 and, with key 1, ln3: weights 1/4 and 3/4, so 0.5 + 4.5 = 5.
        let l = 3f32.ln();
        let mut out = [9.0; 2];
        attention(
            &[0.0, 0.0, 2.0, l, 1.0, 6.0],
            (1, 1),
            &mut out,
            &mut AttentionScratch::default(),
        );
        assert!((out[0] - 4.0).abs() < 1e-5 && (out[1] - 5.0).abs() < 1e-5, "{out:?}");
    }

    #[test]
    fn stays_within_the_range_of_the_values() {
        let (len, heads, hidden) = (37, 3, 24);
        let qkv: Vec<f32> = (0..len * 3 * hidden).map(|i| (i as f32 * 0.7).sin()).collect();
        let mut out = vec![0.0; len * hidden];
        attention(&qkv, (heads, hidden), &mut out, &mut AttentionScratch::default());
        for column in 0..hidden {
            let values = (0..len).map(|t| qkv[t * 3 * hidden + 2 * hidden + column]);
            let (low, high) = (values.clone().fold(1.0, f32::min), values.fold(-1.0, f32::max));
            for t in 0..len {
                let x = out[t * hidden + column];
                assert!(low - 1e-5 <= x && x <= high + 1e-5);
            }
        }
    }
}
