//! Self-attention of one sequence with bfloat16 numbers, summed in `f32`: as [`attention`](super::attention), for machines that
//! multiply them faster. Weights of the softmax are rounded before they are summed, so that they still sum to 1.

use multiversion::{multiversion, target::target_cfg_f};

use crate::exp::exp_lane;
use crate::linear::round_row;
use crate::matrix::aligned::Aligned;
use crate::matrix::tiles::Tiles;
use crate::matrix::words::{ALIGN, Engine, Kind, Left, PANEL, Panels};

/// Positions that attend at a time: their scores stay in the second cache.
const QUERIES: usize = 128;

/// Memory reused from call to call.
#[derive(Clone, Debug, Default)]
pub struct HalfAttentionScratch {
    /// `[len, 3 * hidden / 2]`: queries, keys and values, two numbers to a word.
    qkv: Aligned<u32>,
    keys: Panels,
    values: Panels,
    /// `[queries, len]` bits of scores, rows filled up to whole panels.
    scores: Aligned<u32>,
    /// Their softmax, two to a word.
    weights: Aligned<u32>,
    sums: Vec<f32>,
    out: Aligned<u32>,
}

/// Tells whether heads of this width can be had with halves, and the machine gains by it: with tile registers.
pub fn half_attention_serves(dim: usize) -> bool {
    dim.is_multiple_of(2 * ALIGN) && Tiles::are_there()
}

/// Writes the attention of every position to all positions of the sequence.
///
/// `qkv: [len, 3 * hidden]` holds queries, keys and values side by side, each in `heads` equal parts, whose width is a multiple of
/// 32; `out: [len, hidden]` is overwritten.
///
/// # Panics
/// When the slices do not fill these shapes or `heads` does not divide `hidden`.
pub fn half_attention(
    qkv: &[f32],
    (heads, hidden): (usize, usize),
    out: &mut [f32],
    scratch: &mut HalfAttentionScratch,
) {
    let (len, dim) = (out.len() / hidden, hidden / heads);
    assert!(heads * dim == hidden && qkv.len() == len * 3 * hidden, "shapes fit");
    assert!(dim.is_multiple_of(2 * ALIGN), "heads are whole tiles");
    if len == 0 {
        return;
    }
    let stride = 3 * hidden / 2;
    scratch.qkv.resize(len.next_multiple_of(ALIGN) * stride);
    for (x, to) in qkv.chunks_exact(3 * hidden).zip(scratch.qkv.chunks_exact_mut(stride)) {
        round_row(x, to);
    }
    let padded = len.next_multiple_of(PANEL);
    let engine = Engine::open(Kind::Half);
    for head in 0..heads {
        let from = head * dim / 2;
        fill_keys(&scratch.qkv[hidden / 2 + from..], (len, stride), dim / 2, &mut scratch.keys);
        fill_values(&scratch.qkv[hidden + from..], (len, stride), dim / 2, &mut scratch.values);
        for first in (0..len).step_by(QUERIES) {
            let rows = QUERIES.min(len - first);
            let filled = rows.next_multiple_of(ALIGN);
            scratch.scores.resize(filled * padded);
            let words = &scratch.qkv[first * stride + from..];
            let left = Left { words, stride, rows };
            for (index, panel) in scratch.keys.panels().enumerate() {
                let to = &mut scratch.scores[index * PANEL..];
                engine.product(Kind::Half, left, panel, (to, padded));
            }
            scratch.weights.resize(filled * padded / 2);
            scratch.sums.resize(rows, 0.0);
            let scores = &mut scratch.scores[..rows * padded];
            let scale = 1.0 / (dim as f32).sqrt();
            weigh(scores, (padded, len, scale), &mut scratch.weights, &mut scratch.sums);
            let left = Left { words: &scratch.weights, stride: padded / 2, rows };
            scratch.out.resize(filled * PANEL);
            for (index, panel) in scratch.values.panels().enumerate() {
                engine.product(Kind::Half, left, panel, (&mut scratch.out, PANEL));
                let to = &mut out[first * hidden + head * dim + index * PANEL..];
                divide(&scratch.out, &scratch.sums, (to, hidden));
            }
        }
    }
}

/// Lays out the transpose of keys: `[dim / 2, len]` words.
fn fill_keys(words: &[u32], (len, stride): (usize, usize), depth: usize, keys: &mut Panels) {
    keys.resize(depth, len);
    for (index, panel) in keys.panels_mut().enumerate() {
        for (column, row) in (index * PANEL..len.min((index + 1) * PANEL)).enumerate() {
            let row = &words[row * stride..][..depth];
            for (slot, word) in panel[column..].iter_mut().step_by(PANEL).zip(row) {
                *slot = *word;
            }
        }
    }
}

/// Lays out values: words of two positions, `[len / 2, dim]`.
fn fill_values(words: &[u32], (len, stride): (usize, usize), depth: usize, values: &mut Panels) {
    values.resize(len.div_ceil(2), 2 * depth);
    for (index, panel) in values.panels_mut().enumerate() {
        let columns = index * PANEL / 2..(index + 1) * PANEL / 2;
        for (row, to) in (0..len).step_by(2).zip(panel.as_chunks_mut::<PANEL>().0) {
            let first = &words[row * stride..][columns.clone()];
            let none = [0; PANEL / 2];
            let second =
                if row + 1 < len { &words[(row + 1) * stride..][columns.clone()] } else { &none };
            for (to, (a, b)) in to.as_chunks_mut::<2>().0.iter_mut().zip(first.iter().zip(second)) {
                *to = [a & 0xffff | b << 16, a >> 16 | b & 0xffff_0000];
            }
        }
    }
}

/// Lanes worked on side by side.
const LANES: usize = 16;

/// Writes `e^{scale (x - max)}` of every row's first `len` scores, rounded, two to a word, and their sums; weights beyond are 0.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn weigh(
    scores: &mut [u32],
    (stride, len, scale): (usize, usize, f32),
    weights: &mut [u32],
    sums: &mut [f32],
) {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let rows = scores.chunks_exact_mut(stride).zip(weights.chunks_exact_mut(stride / 2));
    let filled = len.next_multiple_of(LANES);
    for ((scores, weights), sum) in rows.zip(sums) {
        scores[len..filled].fill(f32::NEG_INFINITY.to_bits());
        let chunks = scores[..filled].as_chunks_mut::<LANES>().0;
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for chunk in &*chunks {
            for (m, x) in lanes.iter_mut().zip(chunk) {
                let x = f32::from_bits(*x);
                *m = if x > *m { x } else { *m };
            }
        }
        let max = fold(lanes, |a, b| if a > b { a } else { b });
        let mut totals = [0.0f32; LANES];
        for chunk in &mut *chunks {
            for (total, x) in totals.iter_mut().zip(chunk) {
                let e = exp_lane(fused, scale * (f32::from_bits(*x) - max));
                // Rounded to bfloat16 here, so that the sum is that of what is multiplied.
                let bits = e.to_bits();
                *x = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
                *total += f32::from_bits(*x);
            }
        }
        scores[len..].fill(0);
        for (to, [a, b]) in weights.iter_mut().zip(scores.as_chunks::<2>().0) {
            *to = a >> 16 | b;
        }
        *sum = fold(totals, |a, b| a + b);
    }
}

/// Folds lanes by halves, which takes four steps where one after the other takes fifteen.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    for half in [8, 4, 2, 1] {
        for at in 0..half {
            lanes[at] = f(lanes[at], lanes[at + half]);
        }
    }
    lanes[0]
}

/// Writes rows of sums divided by the weights' sum.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn divide(tile: &[u32], sums: &[f32], (to, stride): (&mut [f32], usize)) {
    for ((row, sum), to) in tile.as_chunks::<PANEL>().0.iter().zip(sums).zip(to.chunks_mut(stride))
    {
        let inverse = 1.0 / sum;
        for (to, x) in to[..PANEL].iter_mut().zip(row) {
            *to = f32::from_bits(*x) * inverse;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttentionScratch, attention};

    #[test]
    fn stays_near_the_attention_of_full_numbers() {
        for (len, heads, dim) in [(1, 1, 32), (7, 2, 32), (33, 1, 64), (300, 3, 32)] {
            let hidden = heads * dim;
            let qkv: Vec<f32> = (0..len * 3 * hidden).map(|i| (i as f32 * 0.7).sin()).collect();
            let (mut want, mut got) = (vec![0.0; len * hidden], vec![9.0; len * hidden]);
            attention(&qkv, (heads, hidden), &mut want, &mut AttentionScratch::default());
            let mut scratch = HalfAttentionScratch::default();
            // Twice: what an earlier text left in the memory must not matter.
            half_attention(&[5.0; 3 * 128 * 9], (4, 128), &mut [0.0; 128 * 9], &mut scratch);
            half_attention(&qkv, (heads, hidden), &mut got, &mut scratch);
            for (got, want) in got.iter().zip(&want) {
                assert!((got - want).abs() < 0.02, "{len} {heads} {dim}: {got} {want}");
            }
        }
    }
}
