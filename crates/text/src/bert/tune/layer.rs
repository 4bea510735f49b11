//! One post-norm layer of BERT over ragged texts, forward with kept activations and backward:
//! `m = norm(x + A(x))`, `y = norm(m + W₂ gelu(W₁ m))` (Devlin et al. 2019).

use tastemaker_kernels::{
    Activation, Norm, NormGradients, SelfAttentionScratch, View, dropout, product,
};

use super::adapter::AdapterState;
use super::model::Dropout;
use super::places::{
    Extras, MIX, MIX_NORM, NARROW, NamedTensor, OUT_NORM, QKV_BIAS, QKV_WEIGHT, WIDEN, Wanted,
    of_layer,
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
    pub(super) extras: Extras,
    pub(super) weights: &'a [f32],
    /// Where each text begins, and the end of the last.
    pub(super) offsets: &'a [usize],
    pub(super) dropout: Dropout,
}

/// Activations of one layer that its backward pass needs.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerState {
    x: Vec<f32>,
    /// Queries, keys and values; those of a text stand behind those of the prefix.
    pub(super) qkv: Vec<f32>,
    pub(super) probabilities: Vec<f32>,
    pub(super) attended: Vec<f32>,
    adapters: [AdapterState; 2],
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
    pub(super) attention: SelfAttentionScratch,
    pub(super) adapter: Vec<f32>,
    d_wide: Vec<f32>,
    d_inner: Vec<f32>,
    d_sum: Vec<f32>,
    d_attended: Vec<f32>,
    pub(super) d_kept: Vec<f32>,
    pub(super) spare: Vec<f32>,
}

/// Numbers the places where numbers are dropped: 0 is the output of the embeddings.
const fn place(layer: usize, which: usize) -> usize {
    1 + 2 * layer + which
}

pub(super) fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    buffer.resize(len, 0.0);
    buffer
}

/// Overwrites `y: [rows, outputs] = x Wᵀ + b`, on top of what stands in `y` when `add`.
pub(super) fn forward(x: &[f32], (weight, bias): (&[f32], &[f32]), y: &mut [f32], add: bool) {
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
pub(super) fn backward_input(
    dy: &[f32],
    weight: &[f32],
    (keep, dx): (f32, &mut [f32]),
    outputs: usize,
) {
    let (rows, inputs) = (dy.len() / outputs, weight.len() / outputs);
    let shape = (rows, inputs, outputs);
    let factors = (1.0, View::rows(dy, outputs), View::rows(weight, inputs));
    product(shape, factors, keep, (dx, inputs));
}

/// Adds `dyᵀ x` to a weight's gradient; rows of `dy` are `stride` apart, those of `x` as wide as the weight.
pub(super) fn backward_weight(
    (dy, stride): (&[f32], usize),
    x: &[f32],
    gradient: &mut [f32],
    inputs: usize,
) {
    let (rows, outputs) = (x.len() / inputs, gradient.len() / inputs);
    let shape = (outputs, inputs, rows);
    let factors = (1.0, View::rows(dy, stride).transposed(), View::rows(x, inputs));
    product(shape, factors, 1.0, (gradient, inputs));
}

/// Adds up the rows of `dy`, which are `stride` apart.
pub(super) fn backward_bias((dy, stride): (&[f32], usize), gradient: &mut [f32]) {
    for row in dy.chunks(stride) {
        gradient.iter_mut().zip(row).for_each(|(g, d)| *g += d);
    }
}

impl<'a> Work<'a> {
    pub(super) fn weight(&self, tensor: usize) -> &'a [f32] {
        &self.weights[self.tensors[tensor].range.clone()]
    }

    /// Returns weight and bias of the dense layer that begins with the tensor.
    pub(super) fn dense(&self, tensor: usize) -> (&'a [f32], &'a [f32]) {
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

    /// Drops numbers of the rows of all texts, the same ones at the same place of the encoder whenever the same texts are read.
    pub(super) fn drop_numbers(&self, place: usize, rows: &mut [f32]) {
        let Dropout { rate, key, first } = self.dropout;
        let hidden = self.shape.hidden;
        for (at, text) in self.offsets.windows(2).enumerate() {
            // A stream for each text, so that blocks may be cut as memory allows.
            let key = key ^ (((first + at) as u64) << 16) ^ place as u64;
            dropout(&mut rows[text[0] * hidden..text[1] * hidden], rate, key);
        }
    }

    /// Returns the gradient of what stood at a place before some of it was dropped.
    pub(super) fn kept<'d>(
        &self,
        place: usize,
        (d, memory): (&'d [f32], &'d mut Vec<f32>),
    ) -> &'d [f32] {
        if self.dropout.rate <= 0.0 {
            return d;
        }
        memory.clear();
        memory.extend_from_slice(d);
        self.drop_numbers(place, memory);
        memory
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
        self.attend(n, s, &mut scratch.attention);
        s.mixed.clear();
        s.mixed.extend_from_slice(x);
        let adapter = |which| self.extras.adapter(n, which == 1);
        let mix = (self.dense(at(MIX)), adapter(0));
        self.sublayer((&s.attended, place(n, 0)), mix, &mut s.mixed, &mut s.adapters[0]);
        let middle = sized(&mut s.middle, rows * hidden);
        self.norm(at(MIX_NORM)).forward(&s.mixed, middle, sized(&mut s.mixed_stats, 2 * rows));
        let up = sized(&mut s.up, rows * inner);
        forward(middle, self.dense(at(WIDEN)), up, false);
        Activation::Gelu.forward(up, sized(&mut s.inner, rows * inner));
        s.sum.clear();
        s.sum.extend_from_slice(middle);
        let narrow = (self.dense(at(NARROW)), adapter(1));
        self.sublayer((&s.inner, place(n, 1)), narrow, &mut s.sum, &mut s.adapters[1]);
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
        let Scratch { attention, adapter, d_wide, d_inner, d_sum, d_attended, d_kept, spare } =
            scratch;
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
        let given = (self.kept(place(n, 1), (d_sum, d_kept)), &mut *adapter);
        let d_out = self.adapter_backward((n, 1), given, &s.adapters[1], (wanted, gradients));
        dense(NARROW, &s.inner, (d_out, hidden), gradients);
        backward_input(d_out, self.weight(at(NARROW)), (0.0, d_inner), hidden);
        Activation::Gelu.backward(&s.up, d_inner);
        dense(WIDEN, &s.middle, (d_inner, inner), gradients);
        backward_input(d_inner, self.weight(at(WIDEN)), (1.0, d_sum), inner);
        d.fill(0.0);
        let [gain, bias] = wanted.of_norm(at(MIX_NORM), gradients, spare);
        let into = NormGradients { x: &mut *d, gain, bias };
        self.norm(at(MIX_NORM)).backward(&s.mixed, &s.mixed_stats, d_sum, into);
        let d_attended = sized(d_attended, rows * hidden);
        let given = (self.kept(place(n, 0), (d, d_kept)), adapter);
        let d_out = self.adapter_backward((n, 0), given, &s.adapters[0], (wanted, gradients));
        dense(MIX, &s.attended, (d_out, hidden), gradients);
        backward_input(d_out, self.weight(at(MIX)), (0.0, d_attended), hidden);
        let d_qkv = sized(d_wide, 3 * rows * hidden);
        self.attend_backward(n, (s, d_attended), (d_qkv, wanted, gradients), attention);
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
