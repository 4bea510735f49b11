//! A pre-norm transformer block over ragged sequences: attention and feed-forward, each added to what comes in.
//!
//! Plain: `x + A(norm(x))`, then `x + F(norm(x))` (Vaswani et al. 2017; SASRec: Kang and McAuley 2018). Gated (LiGR: Borisyuk
//! et al. 2024; eSASRec: Tikhonovich et al. 2025): `x + sigmoid(x W + b) * A(norm(x))`, and so for `F`.
//! Shapes: `x: [positions, dim]`, sequences one after another.

use tastemaker_kernels::{
    Activation, PairBias, SelfAttention, SelfAttentionScratch, dropout, sigmoid,
};

use super::{Linear, NormLayer};
use crate::params::{Init, Layout, Span};

/// The feed-forward half of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FeedForward {
    /// `W₂ f(W₁ x)`.
    Plain(Activation),
    /// `W₂ (silu(W₁ x) * W₃ x)` (Shazeer 2020).
    SwiGlu,
}

/// Sizes and kinds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BlockShape {
    pub(crate) dim: usize,
    pub(crate) heads: usize,
    /// Width of the feed-forward layer.
    pub(crate) inner: usize,
    pub(crate) feed_forward: FeedForward,
    pub(crate) gated: bool,
    pub(crate) causal: bool,
    /// Distances that have a learnt bias, each way; 0 for none.
    pub(crate) reach: usize,
    /// Kinds of pairs of positions that have a learnt bias; 0 for none.
    pub(crate) kinds: usize,
}

/// What is dropped; the same key drops the same values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Dropout {
    pub(crate) rate: f32,
    pub(crate) key: u64,
}

impl Dropout {
    /// Drops values at the place `at` of the model.
    pub(crate) fn apply(self, at: u64, values: &mut [f32]) {
        dropout(values, self.rate, self.key.wrapping_add(at << 40));
    }
}

/// What goes in beside the numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work<'a> {
    pub(crate) parameters: &'a [f32],
    /// Where each sequence begins, and the end of the last.
    pub(crate) offsets: &'a [usize],
    /// Kind of every pair of positions of each sequence, `[len, len]` one after another; empty where they have none.
    pub(crate) kinds: &'a [u8],
    pub(crate) dropout: Dropout,
}

/// One block's place in the run of parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Block {
    shape: BlockShape,
    /// Which of the blocks it is, for dropout.
    index: u64,
    norm1: NormLayer,
    qkv: Linear,
    out: Linear,
    reach_bias: Span,
    /// `[heads, kinds]`.
    kind_bias: Span,
    gate1: Option<Linear>,
    norm2: NormLayer,
    up: Linear,
    down: Linear,
    gate2: Option<Linear>,
}

/// What a forward pass leaves for the backward pass. Reused from chunk to chunk.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockState {
    x: Vec<f32>,
    stats1: Vec<f32>,
    n1: Vec<f32>,
    qkv: Vec<f32>,
    weights: Vec<f32>,
    attended: Vec<f32>,
    gate1: Half,
    middle: Vec<f32>,
    stats2: Vec<f32>,
    n2: Vec<f32>,
    up: Vec<f32>,
    inner: Vec<f32>,
    gate2: Half,
    attention: SelfAttentionScratch,
    d_wide: Vec<f32>,
    d_inner: Vec<f32>,
    d_narrow: Vec<f32>,
    d_branch: Vec<f32>,
}

/// One gated or plain addition.
#[derive(Clone, Debug, Default)]
struct Half {
    branch: Vec<f32>,
    gate: Vec<f32>,
}

fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    buffer.resize(len, 0.0);
    buffer
}

impl Block {
    pub(crate) fn new(layout: &mut Layout, index: usize, shape: BlockShape) -> Self {
        let name = |part: &str| format!("block{index}.{part}");
        let BlockShape { dim, heads, inner, feed_forward, gated, reach, kinds, .. } = shape;
        let wide = if feed_forward == FeedForward::SwiGlu { 2 * inner } else { inner };
        let biases = if shape.causal { reach } else { (2 * reach).saturating_sub(1) };
        let mut gate = |part: &str| gated.then(|| Linear::new(layout, &name(part), dim, dim));
        let (gate1, gate2) = (gate("gate1"), gate("gate2"));
        Self {
            shape,
            index: index as u64,
            norm1: NormLayer::new(layout, &name("norm1"), dim),
            qkv: Linear::new(layout, &name("qkv"), dim, 3 * dim),
            out: Linear::new(layout, &name("out"), dim, dim),
            reach_bias: layout.add(name("reach"), heads * biases, Init::Constant(0.0)),
            kind_bias: layout.add(name("kinds"), heads * kinds, Init::Constant(0.0)),
            gate1,
            norm2: NormLayer::new(layout, &name("norm2"), dim),
            up: Linear::new(layout, &name("up"), dim, wide),
            down: Linear::new(layout, &name("down"), inner, dim),
            gate2,
        }
    }

    fn attention<'a>(&self, parameters: &'a [f32], kinds: &'a [u8]) -> SelfAttention<'a> {
        let BlockShape { heads, causal, .. } = self.shape;
        let pairs = PairBias { kinds, bias: self.kind_bias.of(parameters) };
        SelfAttention { heads, causal, bias: self.reach_bias.of(parameters), pairs }
    }

    /// Tells whether kinds of pairs have a bias.
    pub(crate) const fn has_kinds(&self) -> bool {
        self.shape.kinds > 0
    }

    /// Returns about how many numbers a state holds for so many positions in sequences of at most `len`.
    pub(crate) const fn floats(&self, positions: usize, len: usize) -> usize {
        let BlockShape { dim, heads, inner, .. } = self.shape;
        positions * (18 * dim + 6 * inner + heads * len)
    }

    const fn place(&self, which: u64) -> u64 {
        1 + self.index * 4 + which
    }

    /// Replaces `x` by the block's output.
    pub(crate) fn forward(&self, work: &Work<'_>, x: &mut [f32], state: &mut BlockState) {
        let Work { parameters, offsets, mut kinds, dropout } = *work;
        let BlockShape { dim, heads, inner, feed_forward, .. } = self.shape;
        let rows = x.len() / dim;
        let s = state;
        s.x.clear();
        s.x.extend_from_slice(x);
        let n1 = sized(&mut s.n1, rows * dim);
        self.norm1.forward(parameters, x, (n1, sized(&mut s.stats1, 2 * rows)));
        let qkv = sized(&mut s.qkv, 3 * rows * dim);
        self.qkv.forward(parameters, n1, qkv);
        let attended = sized(&mut s.attended, rows * dim);
        let n_weights = offsets.windows(2).map(|w| heads * (w[1] - w[0]).pow(2)).sum();
        let mut weights = sized(&mut s.weights, n_weights);
        for range in offsets.windows(2).map(|w| w[0]..w[1]) {
            let len = range.len();
            let (own, rest) = weights.split_at_mut(heads * len * len);
            weights = rest;
            let qkv = &qkv[3 * dim * range.start..3 * dim * range.end];
            let out = &mut attended[dim * range.start..dim * range.end];
            let attention = self.attention(parameters, split_pairs(&mut kinds, len));
            attention.forward(qkv, out, own, &mut s.attention);
        }
        let branch = sized(&mut s.gate1.branch, rows * dim);
        self.out.forward(parameters, attended, branch);
        dropout.apply(self.place(0), branch);
        s.gate1.add(self.gate1, parameters, &s.x, x);

        s.middle.clear();
        s.middle.extend_from_slice(x);
        let n2 = sized(&mut s.n2, rows * dim);
        self.norm2.forward(parameters, x, (n2, sized(&mut s.stats2, 2 * rows)));
        let up = sized(&mut s.up, rows * self.up.output());
        self.up.forward(parameters, n2, up);
        let hidden = sized(&mut s.inner, rows * inner);
        match feed_forward {
            FeedForward::Plain(activation) => activation.forward(up, hidden),
            FeedForward::SwiGlu => {
                for (up, h) in up.chunks_exact(2 * inner).zip(hidden.chunks_exact_mut(inner)) {
                    Activation::Silu.forward(&up[..inner], h);
                    h.iter_mut().zip(&up[inner..]).for_each(|(h, b)| *h *= b);
                }
            }
        }
        dropout.apply(self.place(1), hidden);
        let branch = sized(&mut s.gate2.branch, rows * dim);
        self.down.forward(parameters, hidden, branch);
        dropout.apply(self.place(2), branch);
        s.gate2.add(self.gate2, parameters, &s.middle, x);
    }

    /// Replaces the gradient of the output by that of the input, and adds the gradients of the parameters.
    pub(crate) fn backward(
        &self,
        work: &Work<'_>,
        d: &mut [f32],
        gradients: &mut [f32],
        state: &mut BlockState,
    ) {
        let Work { parameters, offsets, mut kinds, dropout } = *work;
        let BlockShape { dim, heads, inner, feed_forward, .. } = self.shape;
        let rows = d.len() / dim;
        let s = state;
        let d_branch = sized(&mut s.d_branch, rows * dim);
        let both = (parameters, &mut *gradients);
        s.gate2.backward(self.gate2, both, &s.middle, (d, d_branch));
        dropout.apply(self.place(2), d_branch);
        let d_inner = sized(&mut s.d_inner, rows * inner);
        self.down.backward((parameters, gradients), &s.inner, d_branch, (0.0, d_inner));
        dropout.apply(self.place(1), d_inner);
        let d_up = match feed_forward {
            FeedForward::Plain(activation) => {
                activation.backward(&s.up, d_inner);
                d_inner
            }
            FeedForward::SwiGlu => {
                let d_wide = sized(&mut s.d_wide, rows * 2 * inner);
                swiglu_backward(inner, &s.up, d_inner, d_wide);
                d_wide
            }
        };
        let d_narrow = sized(&mut s.d_narrow, rows * dim);
        self.up.backward((parameters, gradients), &s.n2, d_up, (0.0, d_narrow));
        self.norm2.backward((parameters, gradients), (&s.middle, &s.stats2), d_narrow, d);

        let both = (parameters, &mut *gradients);
        s.gate1.backward(self.gate1, both, &s.x, (d, d_branch));
        dropout.apply(self.place(0), d_branch);
        self.out.backward((parameters, gradients), &s.attended, d_branch, (0.0, d_narrow));
        let d_qkv = sized(&mut s.d_wide, rows * 3 * dim);
        let mut weights = &s.weights[..];
        for range in offsets.windows(2).map(|w| w[0]..w[1]) {
            let len = range.len();
            let (own, rest) = weights.split_at(heads * len * len);
            weights = rest;
            let wide = 3 * dim * range.start..3 * dim * range.end;
            let biases = self.reach_bias.both(self.kind_bias, gradients);
            self.attention(parameters, split_pairs(&mut kinds, len)).backward(
                (&s.qkv[wide.clone()], own),
                &d_narrow[dim * range.start..dim * range.end],
                (&mut d_qkv[wide], biases),
                &mut s.attention,
            );
        }
        self.qkv.backward((parameters, gradients), &s.n1, d_qkv, (0.0, d_narrow));
        self.norm1.backward((parameters, gradients), (&s.x, &s.stats1), d_narrow, d);
    }
}

/// Takes the kinds of a sequence's pairs off the front, if there are any.
fn split_pairs<'a>(kinds: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (own, rest) = kinds.split_at(kinds.len().min(len * len));
    *kinds = rest;
    own
}

fn swiglu_backward(inner: usize, up: &[f32], d_inner: &mut [f32], d_up: &mut [f32]) {
    let rows = up.chunks_exact(2 * inner).zip(d_inner.chunks_exact_mut(inner));
    for ((up, dh), d_up) in rows.zip(d_up.chunks_exact_mut(2 * inner)) {
        let ((a, b), (da, db)) = (up.split_at(inner), d_up.split_at_mut(inner));
        Activation::Silu.forward(a, db);
        for (((dh, db), da), b) in dh.iter().zip(db).zip(da.iter_mut()).zip(b) {
            *db *= dh;
            *da = dh * b;
        }
        Activation::Silu.backward(a, da);
    }
}

impl Half {
    /// Adds the branch to `y`, which holds `x`, through the gate if there is one.
    fn add(&mut self, gate: Option<Linear>, parameters: &[f32], x: &[f32], y: &mut [f32]) {
        let Some(layer) = gate else {
            y.iter_mut().zip(&self.branch).for_each(|(y, b)| *y += b);
            return;
        };
        let gate = sized(&mut self.gate, x.len());
        layer.forward(parameters, x, gate);
        sigmoid(gate);
        for ((y, b), g) in y.iter_mut().zip(&self.branch).zip(gate) {
            *y += b * *g;
        }
    }

    /// Given the gradient `d` of the sum, writes that of the branch, and adds to `d` what comes through the gate.
    fn backward(
        &mut self,
        gate: Option<Linear>,
        (parameters, gradients): (&[f32], &mut [f32]),
        x: &[f32],
        (d, d_branch): (&mut [f32], &mut [f32]),
    ) {
        d_branch.copy_from_slice(d);
        let Some(layer) = gate else { return };
        // The gate's own gradient takes the place of the branch, which is not needed any more.
        for ((b, g), d) in self.branch.iter_mut().zip(&self.gate).zip(d_branch.iter_mut()) {
            *b *= *d * g * (1.0 - g);
            *d *= g;
        }
        layer.backward((parameters, gradients), x, &self.branch, (1.0, d));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks all gradients of a block against central differences of `Σ w · y`.
    fn check(shape: BlockShape, offsets: &[usize], dropout: Dropout) {
        let mut layout = Layout::default();
        let block = Block::new(&mut layout, 0, shape);
        let mut parameters = layout.start(3);
        // Gates and biases that start at 0 would hide mistakes.
        parameters.iter_mut().enumerate().for_each(|(i, x)| *x += 0.2 * (i as f32).sin());
        let n = offsets[offsets.len() - 1] * shape.dim;
        let mut x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin()).collect();
        let w: Vec<f32> = (0..n).map(|i| (i as f32 * 1.3).cos()).collect();
        let pairs: usize = offsets.windows(2).map(|w| (w[1] - w[0]).pow(2)).sum();
        let kinds: Vec<u8> = (0..pairs).map(|i| (i * i % shape.kinds.max(1)) as u8).collect();
        let kinds = if shape.kinds > 0 { &kinds[..] } else { &[] };
        let mut state = BlockState::default();
        let loss = |parameters: &[f32], x: &[f32], state: &mut BlockState| -> f64 {
            let mut y = x.to_vec();
            block.forward(&Work { parameters, offsets, kinds, dropout }, &mut y, state);
            y.iter().zip(&w).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum()
        };
        loss(&parameters, &x, &mut state);
        let (mut d, mut gradients) = (w.clone(), vec![0.0; parameters.len()]);
        let work = Work { parameters: &parameters, offsets, kinds, dropout };
        block.backward(&work, &mut d, &mut gradients, &mut state);
        let step = 1e-2;
        let agree = |got: f32, above: f64, below: f64, what: &str| {
            let want = (above - below) / f64::from(2.0 * step);
            let allowed = 2e-2 * (1.0 + want.abs());
            assert!((f64::from(got) - want).abs() < allowed, "{what}: {got} {want} {shape:?}");
        };
        for i in 0..x.len() {
            let mut at = |by: f32| {
                let old = x[i];
                x[i] += by;
                let loss = loss(&parameters, &x, &mut state);
                x[i] = old;
                loss
            };
            agree(d[i], at(step), at(-step), &format!("x {i}"));
        }
        for i in (0..parameters.len()).step_by(7) {
            let mut at = |by: f32| {
                let old = parameters[i];
                parameters[i] += by;
                let loss = loss(&parameters, &x, &mut state);
                parameters[i] = old;
                loss
            };
            agree(gradients[i], at(step), at(-step), &format!("parameter {i}"));
        }
    }

    #[test]
    fn gradients_equal_numeric_ones_for_every_kind_of_block() {
        let plain = BlockShape {
            dim: 6,
            heads: 2,
            inner: 5,
            feed_forward: FeedForward::Plain(Activation::Gelu),
            gated: false,
            causal: true,
            reach: 0,
            kinds: 0,
        };
        let ligr = BlockShape { feed_forward: FeedForward::SwiGlu, gated: true, reach: 9, ..plain };
        let both_ways = BlockShape { causal: false, heads: 3, ..plain };
        let with_distance = BlockShape { reach: 9, ..both_ways };
        let with_kinds = BlockShape { kinds: 5, ..plain };
        let with_both = BlockShape { kinds: 3, ..ligr };
        for shape in [plain, ligr, both_ways, with_distance, with_kinds, with_both] {
            check(shape, &[0, 1, 4, 9], Dropout::default());
            check(shape, &[0, 1], Dropout::default());
            check(shape, &[0, 3, 4], Dropout { rate: 0.3, key: 5 });
        }
    }
}
