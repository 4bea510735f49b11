//! Caser's convolutions (Tang and Wang 2018) over the last few positions, for every position of ragged sequences.
//!
//! Horizontal: for every height `1..=reach`, filters over so many positions at full width, and the greatest answer within the reach.
//! Vertical: weighted sums of the positions, column by column. Both side by side go through `relu(W · + b)` and a last linear layer.
//! Shapes: `x: [positions, dim]`, between them `[positions, reach * horizontal + vertical * dim]`.

use tastemaker_kernels::{
    Activation, CausalConv, ConvGradients, ConvShape, ConvWeights, SlidingMax, VerticalConv,
};

use super::{Linear, Work};
use crate::params::{Init, Layout, Span};

/// Sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CaserShape {
    pub(crate) dim: usize,
    /// Positions seen.
    pub(crate) reach: usize,
    /// Horizontal filters of each height.
    pub(crate) horizontal: usize,
    /// Vertical filters.
    pub(crate) vertical: usize,
}

/// The layer's places in the run of parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CaserLayer {
    shape: CaserShape,
    /// Kernel and bias for each height.
    heights: Vec<[Span; 2]>,
    vertical: Span,
    dense: Linear,
    out: Linear,
}

/// What a forward pass leaves for the backward pass. Reused from chunk to chunk.
#[derive(Clone, Debug, Default)]
pub(crate) struct CaserState {
    convs: Vec<(CausalConv, SlidingMax)>,
    x: Vec<f32>,
    /// One height before and after the greatest is taken.
    answers: [Vec<f32>; 2],
    /// Greatest answers of all heights, before the activation: `[positions, reach * horizontal]`.
    pooled: Vec<f32>,
    sums: Vec<f32>,
    joined: Vec<f32>,
    up: Vec<f32>,
    hidden: Vec<f32>,
    d_joined: Vec<f32>,
    d_hidden: Vec<f32>,
    dx: Vec<f32>,
}

impl CaserLayer {
    pub(crate) fn new(layout: &mut Layout, shape: CaserShape) -> Self {
        let CaserShape { dim, reach, horizontal, vertical } = shape;
        let mut add = |name: String, len, init| layout.add(name, len, init);
        let heights = (1..=reach).map(|height| {
            let init = Init::xavier(height * dim, horizontal);
            let kernel = add(format!("horizontal{height}.weight"), horizontal * height * dim, init);
            let bias = add(format!("horizontal{height}.bias"), horizontal, Init::Constant(0.0));
            [kernel, bias]
        });
        let heights = heights.collect();
        let init = Init::xavier(reach, vertical);
        let sums = layout.add("vertical".into(), vertical * reach, init);
        let width = reach * horizontal + vertical * dim;
        let dense = Linear::new(layout, "dense", width, dim);
        let out = Linear::new(layout, "out", dim, dim);
        Self { shape, heights, vertical: sums, dense, out }
    }

    /// Returns about how many numbers a state holds for so many positions.
    pub(crate) const fn floats(&self, positions: usize) -> usize {
        let CaserShape { dim, reach, horizontal, vertical } = self.shape;
        // The convolutions copy their windows, forward and backward: 1 + 2 + .. + reach positions for each.
        let windows = reach * (reach + 1) * dim;
        positions * (windows + 6 * reach * horizontal + 4 * vertical * dim + 5 * dim)
    }

    const fn sums(&self) -> VerticalConv {
        let CaserShape { dim, reach, vertical, .. } = self.shape;
        VerticalConv { width: reach, filters: vertical, dim }
    }

    /// Replaces `x` by the layer's output.
    pub(crate) fn forward(&self, work: &Work<'_>, x: &mut [f32], state: &mut CaserState) {
        let Work { parameters, offsets, dropout, .. } = *work;
        let CaserShape { dim, reach, horizontal, vertical } = self.shape;
        let rows = x.len() / dim;
        let s = state;
        if s.convs.len() != reach {
            let conv = |width| CausalConv::new(ConvShape { width, input: dim, output: horizontal });
            s.convs = (1..=reach).map(|width| (conv(width), SlidingMax::default())).collect();
        }
        s.x.clear();
        s.x.extend_from_slice(x);
        let (flat, wide) = (reach * horizontal, reach * horizontal + vertical * dim);
        s.pooled.resize(rows * flat, 0.0);
        s.answers.iter_mut().for_each(|answers| answers.resize(rows * horizontal, 0.0));
        let [answers, greatest] = &mut s.answers;
        let all = self.heights.iter().zip(&mut s.convs).enumerate();
        for (index, ([kernel, bias], (conv, pool))) in all {
            let weights = ConvWeights { kernel: kernel.of(parameters), bias: bias.of(parameters) };
            conv.forward(&weights, offsets, x, answers);
            pool.forward(offsets, (reach - index, horizontal), answers, greatest);
            let rows = s.pooled.chunks_exact_mut(flat).zip(greatest.chunks_exact(horizontal));
            rows.for_each(|(to, from)| {
                to[index * horizontal..][..horizontal].copy_from_slice(from);
            });
        }
        s.sums.resize(rows * vertical * dim, 0.0);
        self.sums().forward(self.vertical.of(parameters), offsets, x, &mut s.sums);
        s.joined.resize(rows * wide, 0.0);
        for (at, joined) in s.joined.chunks_exact_mut(wide).enumerate() {
            let (greatest, sums) = joined.split_at_mut(flat);
            Activation::Relu.forward(&s.pooled[at * flat..][..flat], greatest);
            sums.copy_from_slice(&s.sums[at * vertical * dim..][..vertical * dim]);
        }
        dropout.apply(1, &mut s.joined);
        s.up.resize(rows * dim, 0.0);
        s.hidden.resize(rows * dim, 0.0);
        self.dense.forward(parameters, &s.joined, &mut s.up);
        Activation::Relu.forward(&s.up, &mut s.hidden);
        dropout.apply(2, &mut s.hidden);
        self.out.forward(parameters, &s.hidden, x);
    }

    /// Replaces the gradient of the output by that of the input, and adds the gradients of the parameters.
    pub(crate) fn backward(
        &self,
        work: &Work<'_>,
        d: &mut [f32],
        gradients: &mut [f32],
        state: &mut CaserState,
    ) {
        let Work { parameters, offsets, dropout, .. } = *work;
        let CaserShape { dim, reach, horizontal, vertical } = self.shape;
        let rows = d.len() / dim;
        let s = state;
        let (flat, wide) = (reach * horizontal, reach * horizontal + vertical * dim);
        s.d_hidden.resize(rows * dim, 0.0);
        self.out.backward((parameters, gradients), &s.hidden, d, (0.0, &mut s.d_hidden));
        dropout.apply(2, &mut s.d_hidden);
        Activation::Relu.backward(&s.up, &mut s.d_hidden);
        s.d_joined.resize(rows * wide, 0.0);
        let into = (0.0, &mut s.d_joined[..]);
        self.dense.backward((parameters, gradients), &s.joined, &s.d_hidden, into);
        dropout.apply(1, &mut s.d_joined);
        for (at, joined) in s.d_joined.chunks_exact_mut(wide).enumerate() {
            let (greatest, sums) = joined.split_at_mut(flat);
            Activation::Relu.backward(&s.pooled[at * flat..][..flat], greatest);
            s.sums[at * vertical * dim..][..vertical * dim].copy_from_slice(sums);
        }
        d.fill(0.0);
        let [d_answers, d_greatest] = &mut s.answers;
        let all = self.heights.iter().zip(&mut s.convs).enumerate();
        s.dx.resize(d.len(), 0.0);
        for (index, ([kernel, bias], (conv, pool))) in all {
            let weights = ConvWeights { kernel: kernel.of(parameters), bias: bias.of(parameters) };
            let rows = d_greatest.chunks_exact_mut(horizontal).zip(s.d_joined.chunks_exact(wide));
            rows.for_each(|(to, from)| {
                to.copy_from_slice(&from[index * horizontal..][..horizontal]);
            });
            pool.backward(d_greatest, d_answers);
            let [kernel, bias] = kernel.both(*bias, gradients);
            conv.backward(&weights, d_answers, &mut s.dx, &mut ConvGradients { kernel, bias });
            d.iter_mut().zip(&s.dx).for_each(|(d, dx)| *d += dx);
        }
        let weights = (self.vertical.of(parameters), self.vertical.of_mut(gradients));
        self.sums().backward(weights, offsets, (&s.x, &s.sums), d);
    }
}
