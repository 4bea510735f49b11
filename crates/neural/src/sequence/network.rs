//! The network between items read and items predicted: positions, blocks, a last norm. Knows item vectors as they come.

use tastemaker_kernels::Activation;

use super::settings::{Positions, SequenceSettings, Variant};
use crate::layers::{Block, BlockShape, BlockState, Dropout, FeedForward, NormLayer, Work};
use crate::params::{Init, Layout, Span};

/// Deviation with which embeddings start.
pub(super) const EMBEDDING: f32 = 0.02;

/// The network's places in the run of parameters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Network {
    dim: usize,
    max_length: usize,
    /// `[max_length, dim]`, the newest event first; empty without.
    positions: Span,
    blocks: Vec<Block>,
    norm: NormLayer,
}

/// What a forward pass leaves for the backward pass.
#[derive(Clone, Debug, Default)]
pub(super) struct NetworkState {
    blocks: Vec<BlockState>,
    last: Vec<f32>,
    stats: Vec<f32>,
    /// The hidden vectors, `[positions, dim]`.
    pub(super) hidden: Vec<f32>,
}

impl Network {
    pub(super) fn new<V: Variant>(
        layout: &mut Layout,
        settings: &SequenceSettings<V>,
        max_length: usize,
    ) -> Self {
        let SequenceSettings { dim, layers, heads, inner, positions, .. } = *settings;
        let has = |wanted| positions == wanted || positions == Positions::Both;
        let places = if has(Positions::Learned) { max_length * dim } else { 0 };
        let shape = BlockShape {
            dim,
            heads,
            inner: inner * dim,
            feed_forward: if V::GATED {
                FeedForward::SwiGlu
            } else {
                FeedForward::Plain(Activation::Gelu)
            },
            gated: V::GATED,
            causal: true,
            reach: if has(Positions::Distance) { max_length } else { 0 },
        };
        Self {
            dim,
            max_length,
            positions: layout.add("positions".into(), places, Init::Normal(EMBEDDING)),
            blocks: (0..layers).map(|index| Block::new(layout, index, shape)).collect(),
            norm: NormLayer::new(layout, "norm", dim),
        }
    }

    pub(super) const fn max_length(&self) -> usize {
        self.max_length
    }

    /// Item vectors are multiplied with this on their way in, so that they are not small beside what blocks add.
    pub(super) fn scale(&self) -> f32 {
        (self.dim as f32).sqrt()
    }

    /// Turns `x: [positions, dim]`, the scaled vectors of the items read, into hidden vectors, kept in `state`.
    pub(super) fn forward(&self, work: &Work<'_>, x: &mut [f32], state: &mut NetworkState) {
        self.each_position(work, |at, place| {
            let place = &self.positions.of(work.parameters)[place..place + self.dim];
            x[at..at + self.dim].iter_mut().zip(place).for_each(|(x, p)| *x += p);
        });
        work.dropout.apply(0, x);
        state.blocks.resize_with(self.blocks.len(), BlockState::default);
        for (block, state) in self.blocks.iter().zip(&mut state.blocks) {
            block.forward(work, x, state);
        }
        let NetworkState { last, stats, hidden, .. } = state;
        last.clear();
        last.extend_from_slice(x);
        hidden.resize(x.len(), 0.0);
        stats.resize(2 * x.len() / self.dim, 0.0);
        self.norm.forward(work.parameters, last, (hidden, stats));
    }

    /// Turns the gradient of the hidden vectors into that of `x`, written to `dx`, and adds those of the parameters.
    pub(super) fn backward(
        &self,
        work: &Work<'_>,
        d_hidden: &[f32],
        (dx, gradients): (&mut Vec<f32>, &mut [f32]),
        state: &mut NetworkState,
    ) {
        dx.clear();
        dx.resize(d_hidden.len(), 0.0);
        let last = (&state.last[..], &state.stats[..]);
        self.norm.backward((work.parameters, gradients), last, d_hidden, dx);
        for (block, state) in self.blocks.iter().zip(&mut state.blocks).rev() {
            block.backward(work, dx, gradients, state);
        }
        work.dropout.apply(0, dx);
        self.each_position(work, |at, place| {
            let place = &mut self.positions.of_mut(gradients)[place..place + self.dim];
            place.iter_mut().zip(&dx[at..]).for_each(|(p, dx)| *p += dx);
        });
    }

    /// Visits where each position's vector and its place's vector begin.
    fn each_position(&self, work: &Work<'_>, mut visit: impl FnMut(usize, usize)) {
        if self.positions == Span::default() || self.positions.range().is_empty() {
            return;
        }
        for range in work.offsets.windows(2).map(|w| w[0]..w[1]) {
            for at in range.clone() {
                visit(at * self.dim, (range.end - 1 - at) * self.dim);
            }
        }
    }
}

/// What a chunk reads when nothing is dropped.
pub(super) const NOTHING_DROPPED: Dropout = Dropout { rate: 0.0, key: 0 };
