//! Sequences through the network and back: from places among the active items to hidden vectors, and from their gradients to those of
//! parameters and item vectors.

use tastemaker_kernels::axpy;

use super::lane::Shared;
use crate::layers::{Dropout, Work};
use crate::sequence::network::NetworkState;
use crate::sequence::times::kinds;

/// Marks a masked event among the places that are read.
pub(super) const MASK: u32 = u32::MAX;

/// What is read, and the memory of the way there and back.
#[derive(Default)]
pub(super) struct Pass {
    /// Places of the items among the active ones, or [`MASK`].
    pub(super) read: Vec<u32>,
    pub(super) offsets: Vec<usize>,
    /// When what is read happened, where the network reads it.
    pub(super) times: Vec<i64>,
    kinds: Vec<u8>,
    pub(super) state: NetworkState,
    pub(super) d_hidden: Vec<f32>,
    x: Vec<f32>,
    dx: Vec<f32>,
}

impl Pass {
    /// Forgets what was read.
    pub(super) fn clear(&mut self) {
        self.read.clear();
        self.times.clear();
        self.offsets.clear();
        self.offsets.push(0);
    }

    /// Ends a sequence.
    pub(super) fn end(&mut self) {
        self.offsets.push(self.read.len());
    }

    /// Leaves the hidden vectors in `state.hidden`, and room for their gradients in `d_hidden`.
    pub(super) fn forward(&mut self, shared: &Shared<'_>, dropout: Dropout) {
        let (dim, scale) = (shared.dim, shared.network.scale());
        self.x.clear();
        for &at in &self.read {
            let vector = match at {
                MASK => shared.network.mask(shared.parameters),
                _ => &shared.vectors[at as usize * dim..][..dim],
            };
            self.x.extend(vector.iter().map(|x| scale * x));
        }
        if shared.network.reads_times() {
            kinds(&self.times, &self.offsets, shared.usual_gap, &mut self.kinds);
        }
        let (offsets, kinds) = (&self.offsets[..], &self.kinds[..]);
        let work = Work { parameters: shared.parameters, offsets, kinds, dropout };
        shared.network.forward(&work, &mut self.x, &mut self.state);
        self.d_hidden.resize(self.x.len(), 0.0);
    }

    /// Adds the gradients that follow from `d_hidden`, after the last forward pass.
    pub(super) fn backward(
        &mut self,
        shared: &Shared<'_>,
        dropout: Dropout,
        (gradients, d_vectors): (&mut [f32], &mut [f32]),
    ) {
        let (dim, scale) = (shared.dim, shared.network.scale());
        let (offsets, kinds) = (&self.offsets[..], &self.kinds[..]);
        let work = Work { parameters: shared.parameters, offsets, kinds, dropout };
        let into = (&mut self.dx, &mut *gradients);
        shared.network.backward(&work, &self.d_hidden, into, &mut self.state);
        for (&at, dx) in self.read.iter().zip(self.dx.chunks_exact(dim)) {
            let d_vector = match at {
                MASK => shared.network.mask_mut(gradients),
                _ => &mut d_vectors[at as usize * dim..][..dim],
            };
            axpy(scale, dx, d_vector);
        }
    }
}
