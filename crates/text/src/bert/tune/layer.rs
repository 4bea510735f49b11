//! One post-norm layer of BERT over ragged texts, forward with kept activations and backward:
//! `m = norm(x + A(x))`, `y = norm(m + W₂ gelu(W₁ m))` (Devlin et al. 2019).

use tastemaker_kernels::{
    Activation, Norm, NormGradients, PairBias, SelfAttention, SelfAttentionScratch, View, product,
};

use super::places::{
    MIX, MIX_NORM, NARROW, NamedTensor, OUT_NORM, QKV_BIAS, QKV_WEIGHT, WIDEN, Wanted, of_layer,
};

/// Sizes that all layers share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) hidden: usize,
    pub(super) inner: usize,
    pub(super) heads: usize,
    pub(super) epsilon: f32,
}

/// What a pass reads beside the numbers that go through it.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) shape: Shape,
    pub(super) tensors: &'a [NamedTensor],
    pub(super) weights: &'a [f32],
    /// Where each text begins, and the end of the last.
    pub(super) offsets: &'a [usize],
}

/// Activations of one layer that its backward pass needs.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerState {
    x: Vec<f32>,
    qkv: Vec<f32>,
    probabilities: Vec<f32>,
    attended: Vec<f32>,
    mixed: Vec<f32>,
    mixed_stats: Vec<f32>,
    middle: Vec<f32>,
    up: Vec<f32>,
    inner: Vec<f32>,
    sum: Vec<f32>,
    sum_stats: Vec<f32>,
}

/// Memory that the layers of a pass share.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    attention: SelfAttentionScratch,
    d_wide: Vec<f32>,
    d_inner: Vec<f32>,
    d_sum: Vec<f32>,
    d_attended: Vec<f32>,
    pub(super) spare: Vec<f32>,
}

pub(super) fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    buffer.resize(len, 0.0);
    buffer
}

/// Overwrites `y: [rows, outputs] = x Wᵀ + b`, on top of what stands in `y` when `add`.
fn forward(x: &[f32], (weight, bias): (&[f32], &[f32]), y: &mut [f32], add: bool) {
    let outputs = bias.len();
    let (rows, inputs) = (y.len() / outputs, weight.len() / outputs);
    for row in y.chunks_exact_mut(outputs) {
        if add {
            row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
        } else {
            row.copy_from_slice(bias);
        }
    }
    let weight = View::rows(weight, inputs).transposed();
    let shape = (rows, outputs, inputs);
    product(shape, (1.0, View::rows(x, inputs), weight), 1.0, (y, outputs));
}

/// Writes `dx = keep dx + dy W`.
fn backward_input(dy: &[f32], weight: &[f32], (keep, dx): (f32, &mut [f32]), outputs: usize) {
    let (rows, inputs) = (dy.len() / outputs, weight.len() / outputs);
    let shape = (rows, inputs, outputs);
    let factors = (1.0, View::rows(dy, outputs), View::rows(weight, inputs));
    product(shape, factors, keep, (dx, inputs));
}

/// Adds `dyᵀ x` to a weight's gradient; rows of `dy` are `stride` apart, those of `x` as wide as the weight.
fn backward_weight((dy, stride): (&[f32], usize), x: &[f32], gradient: &mut [f32], inputs: usize) {
    let (rows, outputs) = (x.len() / inputs, gradient.len() / inputs);
    let shape = (outputs, inputs, rows);
    let factors = (1.0, View::rows(dy, stride).transposed(), View::rows(x, inputs));
    product(shape, factors, 1.0, (gradient, inputs));
}

/// Adds up the rows of `dy`, which are `stride` apart.
fn backward_bias((dy, stride): (&[f32], usize), gradient: &mut [f32]) {
    for row in dy.chunks(stride) {
        gradient.iter_mut().zip(row).for_each(|(g, d)| *g += d);
    }
}

impl<'a> Work<'a> {
    fn weight(&self, tensor: usize) -> &'a [f32] {
        &self.weights[self.tensors[tensor].range.clone()]
    }

    /// Returns weight and bias of the dense layer that begins with the tensor.
    fn dense(&self, tensor: usize) -> (&'a [f32], &'a [f32]) {
        (self.weight(tensor), self.weight(tensor + 1))
    }

    /// Returns three tensors that lie side by side as one.
    fn three(&self, tensor: usize) -> &'a [f32] {
        &self.weights[self.tensors[tensor].range.start..self.tensors[tensor + 2].range.end]
    }

    pub(super) fn norm(&self, gain: usize) -> Norm<'a> {
        let (gain, bias) = self.dense(gain);
        Norm { gain, bias, epsilon: self.shape.epsilon }
    }

    const fn attention(&self) -> SelfAttention<'static> {
        let pairs = PairBias { kinds: &[], bias: &[] };
        SelfAttention { heads: self.shape.heads, causal: false, bias: &[], pairs }
    }

    /// Counts the attention weights of a text.
    const fn pairs(&self, len: usize) -> usize {
        self.shape.heads * len * len
    }

    /// Replaces `x` by the output of layer `n`.
    pub(super) fn layer_forward(
        &self,
        n: usize,
        x: &mut [f32],
        (state, scratch): (&mut LayerState, &mut Scratch),
    ) {
        let Shape { hidden, inner, .. } = self.shape;
        let (rows, at, s) = (x.len() / hidden, |which| of_layer(n, which), state);
        s.x.clear();
        s.x.extend_from_slice(x);
        let qkv = sized(&mut s.qkv, 3 * rows * hidden);
        forward(x, (self.three(at(QKV_WEIGHT)), self.three(at(QKV_BIAS))), qkv, false);
        let attended = sized(&mut s.attended, rows * hidden);
        let texts = || self.offsets.windows(2).map(|w| w[0]..w[1]);
        let all = texts().map(|text| self.pairs(text.len())).sum();
        let mut probabilities = sized(&mut s.probabilities, all);
        for text in texts() {
            let (own, rest) = probabilities.split_at_mut(self.pairs(text.len()));
            probabilities = rest;
            let qkv = &qkv[3 * hidden * text.start..3 * hidden * text.end];
            let out = &mut attended[hidden * text.start..hidden * text.end];
            self.attention().forward(qkv, out, own, &mut scratch.attention);
        }
        s.mixed.clear();
        s.mixed.extend_from_slice(x);
        forward(attended, self.dense(at(MIX)), &mut s.mixed, true);
        let middle = sized(&mut s.middle, rows * hidden);
        self.norm(at(MIX_NORM)).forward(&s.mixed, middle, sized(&mut s.mixed_stats, 2 * rows));
        let up = sized(&mut s.up, rows * inner);
        forward(middle, self.dense(at(WIDEN)), up, false);
        Activation::Gelu.forward(up, sized(&mut s.inner, rows * inner));
        s.sum.clear();
        s.sum.extend_from_slice(middle);
        forward(&s.inner, self.dense(at(NARROW)), &mut s.sum, true);
        self.norm(at(OUT_NORM)).forward(&s.sum, x, sized(&mut s.sum_stats, 2 * rows));
    }

    /// Replaces the gradient of layer `n`'s output by that of its input, and adds the wanted gradients.
    pub(super) fn layer_backward(
        &self,
        n: usize,
        d: &mut [f32],
        (wanted, gradients): (&Wanted, &mut [f32]),
        (state, scratch): (&LayerState, &mut Scratch),
    ) {
        let Shape { hidden, inner, .. } = self.shape;
        let (rows, at, s) = (d.len() / hidden, |which| of_layer(n, which), state);
        let Scratch { attention, d_wide, d_inner, d_sum, d_attended, spare } = scratch;
        sized(spare, 2 * hidden);
        let dense = |which, x: &[f32], dy: (&[f32], usize), gradients: &mut [f32]| {
            if let Some(gradient) = wanted.of(at(which), gradients) {
                backward_weight(dy, x, gradient, x.len() / rows);
            }
            if let Some(gradient) = wanted.of(at(which) + 1, gradients) {
                backward_bias(dy, gradient);
            }
        };
        d_sum.clear();
        let d_sum = sized(d_sum, rows * hidden);
        let [gain, bias] = wanted.of_norm(at(OUT_NORM), gradients, spare);
        let into = NormGradients { x: d_sum, gain, bias };
        self.norm(at(OUT_NORM)).backward(&s.sum, &s.sum_stats, d, into);
        let d_inner = sized(d_inner, rows * inner);
        dense(NARROW, &s.inner, (d_sum, hidden), gradients);
        backward_input(d_sum, self.weight(at(NARROW)), (0.0, d_inner), hidden);
        Activation::Gelu.backward(&s.up, d_inner);
        dense(WIDEN, &s.middle, (d_inner, inner), gradients);
        backward_input(d_inner, self.weight(at(WIDEN)), (1.0, d_sum), inner);
        d.fill(0.0);
        let [gain, bias] = wanted.of_norm(at(MIX_NORM), gradients, spare);
        let into = NormGradients { x: &mut *d, gain, bias };
        self.norm(at(MIX_NORM)).backward(&s.mixed, &s.mixed_stats, d_sum, into);
        let d_attended = sized(d_attended, rows * hidden);
        dense(MIX, &s.attended, (d, hidden), gradients);
        backward_input(d, self.weight(at(MIX)), (0.0, d_attended), hidden);
        let d_qkv = sized(d_wide, 3 * rows * hidden);
        let mut probabilities = &s.probabilities[..];
        for text in self.offsets.windows(2).map(|w| w[0]..w[1]) {
            let (own, rest) = probabilities.split_at(self.pairs(text.len()));
            probabilities = rest;
            let wide = 3 * hidden * text.start..3 * hidden * text.end;
            self.attention().backward(
                (&s.qkv[wide.clone()], own),
                &d_attended[hidden * text.start..hidden * text.end],
                (&mut d_qkv[wide], [&mut [], &mut []]),
                attention,
            );
        }
        for part in 0..3 {
            let dy = (&d_qkv[part * hidden..], 3 * hidden);
            if let Some(gradient) = wanted.of(at(QKV_WEIGHT) + part, gradients) {
                backward_weight(dy, &s.x, gradient, hidden);
            }
            if let Some(gradient) = wanted.of(at(QKV_BIAS) + part, gradients) {
                backward_bias(dy, gradient);
            }
        }
        if wanted.reaches_below(n) {
            backward_input(d_qkv, self.three(at(QKV_WEIGHT)), (1.0, d), 3 * hidden);
        }
    }
}
