//! Hidden layers over the vectors of the last few positions laid side by side, for every position of ragged sequences.
//!
//! `h = f(W [x_{t-reach+1}, .., x_t] + b)`, further layers alike, and a last linear one back to the width of `x`; what lies before the
//! start of a sequence is zero. Each place has weights of its own, so the order is known. Shapes: `x: [positions, dim]`.

use tastemaker_kernels::{Activation, CausalConv, ConvGradients, ConvShape, ConvWeights};

use super::{Linear, Work};
use crate::params::{Init, Layout, Span};

/// Sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MlpShape {
    pub(crate) dim: usize,
    /// Positions seen.
    pub(crate) reach: usize,
    /// Hidden layers, and their width.
    pub(crate) layers: usize,
    pub(crate) hidden: usize,
}

/// The layers' places in the run of parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mlp {
    shape: MlpShape,
    /// Kernel and bias of the first layer, `[hidden, reach, dim]` and `[hidden]`.
    first: [Span; 2],
    further: Vec<Linear>,
    out: Linear,
}

/// What a forward pass leaves for the backward pass. Reused from chunk to chunk.
#[derive(Clone, Debug, Default)]
pub(crate) struct MlpState {
    conv: Option<CausalConv>,
    /// Each hidden layer before and after its activation.
    layers: Vec<[Vec<f32>; 2]>,
    deltas: [Vec<f32>; 2],
}

impl Mlp {
    pub(crate) fn new(layout: &mut Layout, shape: MlpShape) -> Self {
        let MlpShape { dim, reach, layers, hidden } = shape;
        let init = Init::xavier(reach * dim, hidden);
        let first = [
            layout.add("hidden0.weight".into(), hidden * reach * dim, init),
            layout.add("hidden0.bias".into(), hidden, Init::Constant(0.0)),
        ];
        let layer = |index| Linear::new(layout, &format!("hidden{index}"), hidden, hidden);
        let further = (1..layers).map(layer).collect();
        let out = Linear::new(layout, "out", hidden, dim);
        Self { shape, first, further, out }
    }

    /// Returns about how many numbers a state holds for so many positions.
    pub(crate) const fn floats(&self, positions: usize) -> usize {
        let MlpShape { dim, reach, layers, hidden } = self.shape;
        positions * (2 * reach * dim + 2 * (layers + 1) * hidden + dim)
    }

    fn weights<'a>(&self, parameters: &'a [f32]) -> ConvWeights<'a> {
        let [kernel, bias] = self.first.map(|span| span.of(parameters));
        ConvWeights { kernel, bias }
    }

    fn conv(&self) -> CausalConv {
        let MlpShape { dim, reach, hidden, .. } = self.shape;
        CausalConv::new(ConvShape { width: reach, input: dim, output: hidden })
    }

    /// Replaces `x` by the output of the last layer.
    pub(crate) fn forward(&self, work: &Work<'_>, x: &mut [f32], state: &mut MlpState) {
        let MlpShape { dim, layers, hidden, .. } = self.shape;
        let rows = x.len() / dim;
        state.layers.resize_with(layers, Default::default);
        for index in 0..layers {
            let (before, now) = state.layers.split_at_mut(index);
            let [up, h] = &mut now[0];
            up.resize(rows * hidden, 0.0);
            h.resize(rows * hidden, 0.0);
            match before.last() {
                None => {
                    let conv = state.conv.get_or_insert_with(|| self.conv());
                    conv.forward(&self.weights(work.parameters), work.offsets, x, up);
                }
                Some([_, below]) => self.further[index - 1].forward(work.parameters, below, up),
            }
            Activation::Gelu.forward(up, h);
            work.dropout.apply(1 + index as u64, h);
        }
        let last = state.layers.last().map_or(&[][..], |[_, h]| h);
        self.out.forward(work.parameters, last, x);
    }

    /// Replaces the gradient of the output by that of the input, and adds the gradients of the parameters.
    pub(crate) fn backward(
        &self,
        work: &Work<'_>,
        d: &mut [f32],
        gradients: &mut [f32],
        state: &mut MlpState,
    ) {
        let MlpState { conv, layers, deltas: [above, below] } = state;
        let last = layers.last().map_or(&[][..], |[_, h]| h);
        above.resize(last.len(), 0.0);
        below.resize(last.len(), 0.0);
        self.out.backward((work.parameters, gradients), last, d, (0.0, above));
        for index in (0..layers.len()).rev() {
            work.dropout.apply(1 + index as u64, above);
            Activation::Gelu.backward(&layers[index][0], above);
            if index > 0 {
                let both = (work.parameters, &mut *gradients);
                let h = &layers[index - 1][1];
                self.further[index - 1].backward(both, h, above, (0.0, below));
                std::mem::swap(above, below);
            }
        }
        if let Some(conv) = conv {
            let [kernel, bias] = self.first[0].both(self.first[1], gradients);
            let mut into = ConvGradients { kernel, bias };
            conv.backward(&self.weights(work.parameters), above, d, &mut into);
        }
    }
}
