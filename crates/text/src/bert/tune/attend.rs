//! Attention of a layer, text by text. A prefix (Li and Liang 2021) is keys and values that stand before those of every text; it is
//! computed as so many more positions, whose queries are 0 and whose outputs nobody reads.

use std::ops::Range;

use tastemaker_kernels::{PairBias, SelfAttention, SelfAttentionScratch};

use super::layer::{LayerState, Work, sized};
use super::places::Wanted;

impl Work<'_> {
    const fn attention(&self) -> SelfAttention<'static> {
        let pairs = PairBias { kinds: &[], bias: &[] };
        SelfAttention { heads: self.shape.heads, causal: false, bias: &[], pairs }
    }

    /// Counts the attention weights of so many positions.
    const fn pairs(&self, len: usize) -> usize {
        self.shape.heads * len * len
    }

    /// Lists the rows of every text, and where they stand with the prefix before each text.
    fn texts(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let prefix = self.extras.prefix;
        self.offsets
            .windows(2)
            .enumerate()
            .map(move |(at, w)| (w[0]..w[1], w[0] + at * prefix..w[1] + (at + 1) * prefix))
    }

    /// Puts the keys and values of the prefix before those of every text.
    fn insert_prefix(&self, layer: usize, qkv: &mut Vec<f32>) {
        let Some(at) = self.extras.keys(layer) else { return };
        let hidden = self.shape.hidden;
        let mut wide =
            Vec::with_capacity(qkv.len() + 3 * hidden * self.extras.prefix * self.offsets.len());
        for (text, _) in self.texts() {
            let keys = self.weight(at).chunks_exact(hidden);
            for (key, value) in keys.zip(self.weight(at + 1).chunks_exact(hidden)) {
                wide.resize(wide.len() + hidden, 0.0);
                wide.extend_from_slice(key);
                wide.extend_from_slice(value);
            }
            wide.extend_from_slice(&qkv[3 * hidden * text.start..3 * hidden * text.end]);
        }
        *qkv = wide;
    }

    /// Fills in what texts attend to, given their queries, keys and values.
    pub(super) fn attend(
        &self,
        layer: usize,
        state: &mut LayerState,
        scratch: &mut SelfAttentionScratch,
    ) {
        let (hidden, prefix) = (self.shape.hidden, self.extras.prefix);
        let LayerState { qkv, probabilities, attended, .. } = state;
        let rows = qkv.len() / (3 * hidden);
        self.insert_prefix(layer, qkv);
        let attended = sized(attended, rows * hidden);
        let all = self.texts().map(|(_, wide)| self.pairs(wide.len())).sum();
        let mut probabilities = sized(probabilities, all);
        let mut tall = Vec::new();
        for (text, wide) in self.texts() {
            let (own, rest) = probabilities.split_at_mut(self.pairs(wide.len()));
            probabilities = rest;
            let qkv = &qkv[3 * hidden * wide.start..3 * hidden * wide.end];
            let out = &mut attended[hidden * text.start..hidden * text.end];
            if prefix == 0 {
                self.attention().forward(qkv, out, own, scratch);
            } else {
                let tall = sized(&mut tall, hidden * wide.len());
                self.attention().forward(qkv, tall, own, scratch);
                out.copy_from_slice(&tall[hidden * prefix..]);
            }
        }
    }

    /// Writes the gradients of the texts' queries, keys and values to `d_qkv`, given those of what they attended to, and adds the
    /// wanted ones of the prefix.
    pub(super) fn attend_backward(
        &self,
        layer: usize,
        (state, d_attended): (&LayerState, &[f32]),
        (d_qkv, wanted, gradients): (&mut [f32], &Wanted, &mut [f32]),
        scratch: &mut SelfAttentionScratch,
    ) {
        let (hidden, prefix) = (self.shape.hidden, self.extras.prefix);
        let mut probabilities = &state.probabilities[..];
        let (mut d_tall, mut d_wide) = (Vec::new(), Vec::new());
        for (text, wide) in self.texts() {
            let (own, rest) = probabilities.split_at(self.pairs(wide.len()));
            probabilities = rest;
            let seen = (&state.qkv[3 * hidden * wide.start..3 * hidden * wide.end], own);
            let d = &d_attended[hidden * text.start..hidden * text.end];
            let into = &mut d_qkv[3 * hidden * text.start..3 * hidden * text.end];
            let Some(at) = self.extras.keys(layer) else {
                self.attention().backward(seen, d, (into, [&mut [], &mut []]), scratch);
                continue;
            };
            let d_tall = sized(&mut d_tall, hidden * wide.len());
            d_tall[..hidden * prefix].fill(0.0);
            d_tall[hidden * prefix..].copy_from_slice(d);
            let d_wide = sized(&mut d_wide, 3 * hidden * wide.len());
            self.attention().backward(seen, d_tall, (d_wide, [&mut [], &mut []]), scratch);
            let (before, own) = d_wide.split_at(3 * hidden * prefix);
            into.copy_from_slice(own);
            for which in 0..2 {
                let Some(gradient) = wanted.of(at + which, gradients) else { continue };
                let rows = gradient.chunks_exact_mut(hidden).zip(before.chunks_exact(3 * hidden));
                for (gradient, row) in rows {
                    let d = &row[(1 + which) * hidden..(2 + which) * hidden];
                    gradient.iter_mut().zip(d).for_each(|(g, d)| *g += d);
                }
            }
        }
    }
}
