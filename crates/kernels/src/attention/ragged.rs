//! Multi-head self-attention of one sequence (Vaswani et al. 2017), forward and backward: `softmax(Q Kᵀ / sqrt(d) + b) V`.
//! Sequences are ragged: each is given by itself, so there is no padding to work on. Causal attention works on blocks of
//! rows and leaves out what no row of the block may see. `b` is an optional bias by distance, as in T5 and HSTU,
//! and by the kind of a pair of positions.

use multiversion::{multiversion, target::target_cfg_f};

use super::pairs::{PairBias, add_bias, add_by_kind};
use crate::exp::exp_lane;
use crate::{Packed, Rows, dot};
use crate::{View, product};

/// Rows worked on together.
const ROWS: usize = 48;
const LANES: usize = 16;

/// Shape and kind of an attention.
#[derive(Clone, Copy, Debug)]
pub struct SelfAttention<'a> {
    /// Heads; they divide the width.
    pub heads: usize,
    /// A position sees itself and what came before it, and not the whole sequence.
    pub causal: bool,
    /// Bias of a head for every distance between a position and one it sees, for sequences no longer than `reach`; empty for
    /// none. Causal: `[heads, reach]`, from the farthest position before it to itself. Otherwise `[heads, 2 reach - 1]`, on to
    /// the farthest position after it.
    pub bias: &'a [f32],
    /// Bias of a head for every kind of pair of positions.
    pub pairs: PairBias<'a>,
}

/// Memory reused from call to call.
#[derive(Clone, Debug, Default)]
pub struct SelfAttentionScratch {
    keys: Packed,
    values: Packed,
    d_scores: Vec<f32>,
}

impl SelfAttention<'_> {
    /// Returns the first column that no row before `end` sees.
    const fn visible(&self, end: usize, len: usize) -> usize {
        if self.causal { end } else { len }
    }

    /// Returns how many biases a head has, and where that of distance 0 stands.
    fn reach(&self, len: usize) -> (usize, usize) {
        let width = self.bias.len() / self.heads;
        let own = if self.causal { width.saturating_sub(1) } else { width / 2 };
        assert!(width == 0 || len <= own + 1, "biases reach over the sequence");
        assert!(self.causal || width == 0 || width % 2 == 1, "biases reach both ways alike");
        (width, own)
    }

    /// Writes the attention of every position to `out: [len, hidden]`, and the weights to `probabilities: [heads, len, len]`;
    /// of the latter, what no row of a block sees is left as it was.
    ///
    /// `qkv: [len, 3 * hidden]` holds queries, keys and values side by side, each in `heads` equal parts.
    ///
    /// # Panics
    /// When the slices do not fill these shapes or `heads` does not divide the width.
    pub fn forward(
        &self,
        qkv: &[f32],
        out: &mut [f32],
        probabilities: &mut [f32],
        scratch: &mut SelfAttentionScratch,
    ) {
        let (len, hidden, dim) = self.shape(qkv, out.len(), probabilities.len());
        let ((width, own), stride) = (self.reach(len), 3 * hidden);
        let PairBias { kinds, bias: by_kind } = self.pairs;
        let n_kinds = self.pairs.width(self.heads, len);
        let SelfAttentionScratch { keys, values, .. } = scratch;
        for (head, scores) in probabilities.chunks_exact_mut(len * len).enumerate() {
            let part = |which: usize, from: usize, count: usize| Rows {
                data: &qkv[from * stride + which * hidden + head * dim..],
                stride,
                count,
            };
            keys.refill_transposed(part(1, 0, len), dim);
            values.refill(part(2, 0, len), dim);
            let bias = (&self.bias[head * width..(head + 1) * width], own);
            for from in (0..len).step_by(ROWS) {
                let end = len.min(from + ROWS);
                let seen = self.visible(end, len);
                let block = &mut scores[from * len..end * len];
                keys.write_part(part(0, from, end - from), (0..dim, 0..seen), block, len);
                let scale = 1.0 / (dim as f32).sqrt();
                if n_kinds > 0 {
                    let bias = (1.0 / scale, &by_kind[head * n_kinds..(head + 1) * n_kinds]);
                    add_bias(block, &kinds[from * len..end * len], (len, seen), bias);
                }
                softmax_rows(block, (len, seen), (scale, bias), (from, self.causal));
                let weights = Rows { data: block, stride: len, count: end - from };
                let out = &mut out[from * hidden + head * dim..];
                values.write_part(weights, (0..seen, 0..dim), out, hidden);
            }
        }
    }

    /// Overwrites `d_qkv: [len, 3 * hidden]` and adds to `d_bias`, by distance and by kind of pair, given the gradient of the output.
    ///
    /// # Panics
    /// When the slices do not fill their shapes.
    pub fn backward(
        &self,
        (qkv, probabilities): (&[f32], &[f32]),
        d_out: &[f32],
        (d_qkv, [d_bias, d_pairs]): (&mut [f32], [&mut [f32]; 2]),
        scratch: &mut SelfAttentionScratch,
    ) {
        let (len, hidden, dim) = self.shape(qkv, d_out.len(), probabilities.len());
        assert!(d_qkv.len() == qkv.len() && d_bias.len() == self.bias.len(), "shapes fit");
        let n_kinds = self.pairs.width(self.heads, len);
        assert!(n_kinds == 0 || d_pairs.len() == self.pairs.bias.len(), "shapes fit");
        let ((width, own), stride) = (self.reach(len), 3 * hidden);
        let SelfAttentionScratch { keys, values, d_scores } = scratch;
        d_qkv.fill(0.0);
        d_scores.resize(ROWS * len, 0.0);
        let scale = 1.0 / (dim as f32).sqrt();
        for (head, weights) in probabilities.chunks_exact(len * len).enumerate() {
            let at = |which: usize, row: usize| row * stride + which * hidden + head * dim;
            let rows = |which: usize| Rows { data: &qkv[at(which, 0)..], stride, count: len };
            keys.refill(rows(1), dim);
            values.refill_transposed(rows(2), dim);
            for from in (0..len).step_by(ROWS) {
                let end = len.min(from + ROWS);
                let (seen, n) = (self.visible(end, len), end - from);
                let weights = &weights[from * len..end * len];
                let d_out = &d_out[from * hidden + head * dim..];
                let d_block = &mut d_scores[..n * len];
                let d_rows = Rows { data: d_out, stride: hidden, count: n };
                values.write_part(d_rows, (0..dim, 0..seen), d_block, len);
                softmax_backward(d_block, weights, (len, seen));
                if width > 0 {
                    let d_bias = &mut d_bias[head * width..(head + 1) * width];
                    add_by_distance(d_block, (len, seen), (d_bias, own), (from, self.causal));
                }
                if n_kinds > 0 {
                    let kinds = &self.pairs.kinds[from * len..end * len];
                    let d_pairs = &mut d_pairs[head * n_kinds..(head + 1) * n_kinds];
                    let width = |i: usize| if self.causal { from + i + 1 } else { seen };
                    add_by_kind(d_block, kinds, (len, width), d_pairs);
                }
                let transposed = |block| View::rows(block, len).transposed();
                product(
                    (seen, dim, n),
                    (1.0, transposed(weights), View::rows(d_out, hidden)),
                    1.0,
                    (&mut d_qkv[at(2, 0)..], stride),
                );
                let queries = View::rows(&qkv[at(0, from)..], stride);
                product(
                    (seen, dim, n),
                    (scale, transposed(d_block), queries),
                    1.0,
                    (&mut d_qkv[at(1, 0)..], stride),
                );
                let d_rows = Rows { data: d_block, stride: len, count: n };
                keys.write_part(d_rows, (0..seen, 0..dim), &mut d_qkv[at(0, from)..], stride);
                for d in d_qkv[at(0, from)..].chunks_mut(stride).take(n) {
                    d[..dim].iter_mut().for_each(|d| *d *= scale);
                }
            }
        }
    }

    fn shape(&self, qkv: &[f32], out: usize, probabilities: usize) -> (usize, usize, usize) {
        assert!(
            out > 0 && qkv.len() == 3 * out,
            "queries, keys and values are as wide as the output"
        );
        let len = (probabilities / self.heads).isqrt();
        assert!(len > 0 && self.heads * len * len == probabilities, "every head has all weights");
        let hidden = out / len;
        assert!(hidden * len == out && hidden.is_multiple_of(self.heads), "heads divide the width");
        (len, hidden, hidden / self.heads)
    }
}

/// Turns rows of scores into weights; causally, row `i` of the block sees columns `0..=first + i` and the rest is 0.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn softmax_rows(
    block: &mut [f32],
    (len, seen): (usize, usize),
    (scale, (bias, own)): (f32, (&[f32], usize)),
    (first, causal): (usize, bool),
) {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    for (i, row) in block.chunks_exact_mut(len).enumerate() {
        let width = if causal { first + i + 1 } else { seen };
        let (row, rest) = row[..seen].split_at_mut(width);
        rest.fill(0.0);
        let mut scale = scale;
        if !bias.is_empty() {
            for (x, b) in row.iter_mut().zip(&bias[own - (first + i)..]) {
                *x = scale * *x + b;
            }
            scale = 1.0;
        }
        let (chunks, tail) = row.as_chunks_mut::<LANES>();
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for chunk in &*chunks {
            for (m, x) in lanes.iter_mut().zip(chunk) {
                *m = if *x > *m { *x } else { *m };
            }
        }
        let all = lanes.iter().chain(&*tail);
        let max = all.fold(f32::NEG_INFINITY, |m, &x| if x > m { x } else { m });
        let mut sums = [0.0f32; LANES];
        for chunk in chunks {
            for (s, x) in sums.iter_mut().zip(chunk) {
                *x = exp_lane(fused, scale * (*x - max));
                *s += *x;
            }
        }
        for (s, x) in sums.iter_mut().zip(tail) {
            *x = exp_lane(fused, scale * (*x - max));
            *s += *x;
        }
        let inverse = 1.0 / sums.iter().sum::<f32>();
        row.iter_mut().for_each(|x| *x *= inverse);
    }
}

/// `ds = p * (dp - Σ p dp)`, row by row; where the weight is 0, so is the gradient.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn softmax_backward(d_block: &mut [f32], weights: &[f32], (len, seen): (usize, usize)) {
    for (d, p) in d_block.chunks_exact_mut(len).zip(weights.chunks_exact(len)) {
        let (d, p) = (&mut d[..seen], &p[..seen]);
        let along = dot(d, p);
        for (d, p) in d.iter_mut().zip(p) {
            *d = p * (*d - along);
        }
    }
}

/// Adds up gradients of scores by the distance they bridge.
fn add_by_distance(
    d_block: &[f32],
    (len, seen): (usize, usize),
    (d_bias, own): (&mut [f32], usize),
    (first, causal): (usize, bool),
) {
    for (i, d) in d_block.chunks_exact(len).enumerate() {
        let row = first + i;
        let width = if causal { row + 1 } else { seen };
        for (b, d) in d_bias[own - row..].iter_mut().zip(&d[..width]) {
            *b += d;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One attention with a fixed random functional `Σ w · out` as its loss, in `f64`.
    struct Case {
        heads: usize,
        dim: usize,
        len: usize,
        causal: bool,
        qkv: Vec<f64>,
        bias: Vec<f64>,
        kinds: Vec<u8>,
        pairs: Vec<f64>,
        w: Vec<f64>,
    }

    impl Case {
        fn new(
            (heads, dim, len): (usize, usize, usize),
            causal: bool,
            (reach, n_kinds): (usize, usize),
            seed: f64,
        ) -> Self {
            let at = |n: usize, step: f64| -> Vec<f64> {
                (0..n).map(|i| ((i + 1) as f64 * (step + seed)).sin()).collect()
            };
            let hidden = heads * dim;
            let biases = if causal { reach } else { (2 * reach).saturating_sub(1) };
            let (qkv, bias) = (at(len * 3 * hidden, 0.7), at(heads * biases, 1.9));
            let pairs = at(heads * n_kinds, 2.3);
            let kind = |i: usize| (i * i + i / 3) % n_kinds;
            let n_pairs = if n_kinds > 0 { len * len } else { 0 };
            let kinds = (0..n_pairs).map(|i| kind(i) as u8).collect();
            Self { heads, dim, len, causal, qkv, bias, kinds, pairs, w: at(len * hidden, 1.3) }
        }

        fn loss(&self) -> f64 {
            let (hidden, stride) = (self.heads * self.dim, 3 * self.heads * self.dim);
            let biases = self.bias.len() / self.heads;
            let own = if self.causal { biases.max(1) - 1 } else { biases / 2 };
            let mut loss = 0.0;
            for head in 0..self.heads {
                let at = |which: usize, row: usize, c: usize| {
                    self.qkv[row * stride + which * hidden + head * self.dim + c]
                };
                for i in 0..self.len {
                    let seen = if self.causal { i + 1 } else { self.len };
                    let score = |j: usize| {
                        let dot: f64 = (0..self.dim).map(|c| at(0, i, c) * at(1, j, c)).sum();
                        let bias =
                            if biases > 0 { self.bias[head * biases + own + j - i] } else { 0.0 };
                        let n_kinds = self.pairs.len() / self.heads;
                        let kind = self.kinds.get(i * self.len + j).copied().map(usize::from);
                        let pair = kind.map_or(0.0, |kind| self.pairs[head * n_kinds + kind]);
                        (dot / (self.dim as f64).sqrt() + bias + pair).exp()
                    };
                    let sum: f64 = (0..seen).map(score).sum();
                    for j in 0..seen {
                        for c in 0..self.dim {
                            loss += self.w[i * hidden + head * self.dim + c] * score(j) / sum
                                * at(2, j, c);
                        }
                    }
                }
            }
            loss
        }

        fn check(&mut self) {
            let single = |x: &[f64]| x.iter().map(|x| *x as f32).collect::<Vec<f32>>();
            let (qkv, bias, w) = (single(&self.qkv), single(&self.bias), single(&self.w));
            let by_kind = single(&self.pairs);
            let kinds = self.kinds.clone();
            let pairs = PairBias { kinds: &kinds, bias: &by_kind };
            let (heads, causal) = (self.heads, self.causal);
            let attention = SelfAttention { heads, causal, bias: &bias, pairs };
            let mut out = vec![9.0; w.len()];
            let mut weights = vec![9.0; self.heads * self.len * self.len];
            let mut scratch = SelfAttentionScratch::default();
            attention.forward(&qkv, &mut out, &mut weights, &mut scratch);
            let got: f64 = out.iter().zip(&self.w).map(|(y, w)| f64::from(*y) * w).sum();
            assert!((got - self.loss()).abs() < 1e-3, "{got} {}", self.loss());
            let (mut d_qkv, mut d_bias) = (vec![9.0; qkv.len()], vec![0.0; bias.len()]);
            let mut d_pairs = vec![0.0; by_kind.len()];
            let into = (&mut d_qkv[..], [&mut d_bias[..], &mut d_pairs[..]]);
            attention.backward((&qkv, &weights), &w, into, &mut scratch);
            let every = 1 + d_qkv.len() / 60;
            self.compare(|case| &mut case.qkv, &d_qkv, every, "qkv");
            self.compare(|case| &mut case.bias, &d_bias, 1, "bias");
            self.compare(|case| &mut case.pairs, &d_pairs, 1, "pairs");
        }

        /// Compares every so many gradients with numeric ones.
        fn compare(
            &mut self,
            of: impl Fn(&mut Self) -> &mut Vec<f64>,
            d: &[f32],
            every: usize,
            what: &str,
        ) {
            let step = 1e-5;
            for (i, got) in d.iter().enumerate().step_by(every) {
                of(self)[i] += step;
                let above = self.loss();
                of(self)[i] -= 2.0 * step;
                let want = (above - self.loss()) / (2.0 * step);
                of(self)[i] += step;
                assert!(
                    (f64::from(*got) - want).abs() < 1e-3 * (1.0 + want.abs()),
                    "{what} {i}: {got} {want}"
                );
            }
        }
    }

    #[test]
    fn the_first_position_takes_its_own_value() {
        let attention =
            SelfAttention { heads: 1, causal: true, bias: &[], pairs: PairBias::default() };
        let (mut out, mut weights) = ([0.0; 2], [0.0; 4]);
        let l = 3f32.ln();
        // Position 1: scores 0 and ln 3: weights 1/4 and 3/4 of the values 2 and 6: 5.
        attention.forward(
            &[0.0, 0.0, 2.0, l, 1.0, 6.0],
            &mut out,
            &mut weights,
            &mut SelfAttentionScratch::default(),
        );
        assert!((out[0] - 2.0).abs() < 1e-5 && (out[1] - 5.0).abs() < 1e-5, "{out:?}");
        assert!(weights[1].abs() < 1e-9, "the first position does not see the second");
    }

    #[test]
    fn kinds_of_pairs_shift_the_scores() {
        // As before, and the pair of position 1 and position 0 has ln 9 more: weights 9 : 3, so 3/4 of 2 and 1/4 of 6: 3.
        let l = 3f32.ln();
        let pairs = PairBias { kinds: &[0, 0, 1, 0], bias: &[0.0, 2.0 * l] };
        let attention = SelfAttention { heads: 1, causal: true, bias: &[], pairs };
        let (mut out, mut weights) = ([0.0; 2], [0.0; 4]);
        let qkv = [0.0, 0.0, 2.0, l, 1.0, 6.0];
        attention.forward(&qkv, &mut out, &mut weights, &mut SelfAttentionScratch::default());
        assert!((out[0] - 2.0).abs() < 1e-5 && (out[1] - 3.0).abs() < 1e-5, "{out:?}");
    }

    #[test]
    fn sequences_longer_than_a_block_have_the_right_gradients() {
        Case::new((2, 3, ROWS + 5), true, (ROWS + 9, 0), 0.1).check();
        Case::new((1, 4, ROWS + 2), false, (0, 7), 0.2).check();
        Case::new((2, 3, ROWS + 5), true, (0, 32), 0.4).check();
        Case::new((2, 3, ROWS + 5), false, (ROWS + 9, 5), 0.3).check();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_shape_has_the_right_values_and_gradients(
            heads in 1usize..4, dim in 1usize..6, len in 1usize..12, kind in 0usize..4, n_kinds in 0usize..5, seed in 0u32..100,
        ) {
            let reach = if kind >= 2 { len + 2 } else { 0 };
            let shape = (heads, dim, len);
            Case::new(shape, kind % 2 == 1, (reach, n_kinds), f64::from(seed) * 0.013).check();
        }
    }
}
