//! One task of a step: some windows through the network, the loss of what is asked of them, and all the way back.

use tastemaker_core::{Histories, ItemId};
use tastemaker_kernels::{
    CrossEntropy, ItemTable, LossScratch, Sampled, SampledGradients, SampledLoss, SampledScratch,
    axpy,
};

use super::draws::Draws;
use super::network::{Network, NetworkState};
use super::settings::Loss;
use super::task::Task;
use super::windows::Window;
use crate::layers::{Dropout, Work};

/// Marks a masked event among the places that are read.
const MASK: u32 = u32::MAX;

/// The memory of one task.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) gradients: Vec<f32>,
    pub(super) d_vectors: Vec<f32>,
    state: NetworkState,
    x: Vec<f32>,
    dx: Vec<f32>,
    d_hidden: Vec<f32>,
    loss: LossScratch,
    sampled: SampledScratch,
    read: Vec<u32>,
    wanted: Vec<u32>,
    /// Positions of what is wanted, where it is not every one.
    rows: Vec<usize>,
    offsets: Vec<usize>,
}

/// What the tasks of a step share.
pub(super) struct Shared<'a> {
    pub(super) histories: &'a Histories,
    pub(super) network: &'a Network,
    pub(super) parameters: &'a [f32],
    pub(super) vectors: &'a [f32],
    pub(super) table: &'a ItemTable,
    pub(super) place: &'a [u32],
    pub(super) draws: &'a Draws,
    pub(super) loss: Loss,
    pub(super) n_known: usize,
    pub(super) dim: usize,
    /// What is asked, and the key of its draws.
    pub(super) task: (Task, u64),
    pub(super) weight: f32,
}

impl Lane {
    /// Lists what a chunk reads and what is asked of it.
    fn list(&mut self, shared: &Shared<'_>, chunk: &[Window]) {
        let place = |item: &ItemId| shared.place[item.index()];
        self.read.clear();
        self.wanted.clear();
        self.rows.clear();
        self.offsets.clear();
        self.offsets.push(0);
        for window in chunk {
            match shared.task {
                (Task::Next, _) => {
                    let (read, wanted) = window.pairs(shared.histories);
                    self.read.extend(read.iter().map(place));
                    self.wanted.extend(wanted.iter().map(place));
                }
                (task @ Task::Masked { .. }, key) => {
                    let from = self.read.len();
                    self.read.extend(window.items(shared.histories).iter().map(place));
                    for at in task.masked(*window, key) {
                        self.rows.push(from + at);
                        self.wanted.push(std::mem::replace(&mut self.read[from + at], MASK));
                    }
                }
            }
            self.offsets.push(self.read.len());
        }
    }

    /// Adds the gradients of a chunk to those of the task and returns its loss.
    pub(super) fn chunk(
        &mut self,
        shared: &Shared<'_>,
        (chunk, negatives): (&[Window], &[u32]),
        dropout: Dropout,
    ) -> f64 {
        let dim = shared.dim;
        self.list(shared, chunk);
        let scale = shared.network.scale();
        self.x.clear();
        for &at in &self.read {
            let vector = match at {
                MASK => shared.network.mask(shared.parameters),
                _ => &shared.vectors[at as usize * dim..][..dim],
            };
            self.x.extend(vector.iter().map(|x| scale * x));
        }
        let offsets = std::mem::take(&mut self.offsets);
        let work = Work { parameters: shared.parameters, offsets: &offsets, dropout };
        shared.network.forward(&work, &mut self.x, &mut self.state);
        self.d_hidden.resize(self.x.len(), 0.0);
        let loss = self.loss_of_rows(shared, negatives);
        let into = (&mut self.dx, &mut self.gradients[..]);
        shared.network.backward(&work, &self.d_hidden, into, &mut self.state);
        self.offsets = offsets;
        for (&at, dx) in self.read.iter().zip(self.dx.chunks_exact(dim)) {
            let d_vector = match at {
                MASK => shared.network.mask_mut(&mut self.gradients),
                _ => &mut self.d_vectors[at as usize * dim..][..dim],
            };
            axpy(scale, dx, d_vector);
        }
        loss
    }

    /// Returns the loss of the positions that are asked, and writes the gradients of all hidden vectors.
    fn loss_of_rows(&mut self, shared: &Shared<'_>, negatives: &[u32]) -> f64 {
        let dim = shared.dim;
        let is_whole = shared.task.0 == Task::Next;
        let hidden = std::mem::take(&mut self.state.hidden);
        let mut d_hidden = std::mem::take(&mut self.d_hidden);
        let asked: Vec<f32> =
            self.rows.iter().flat_map(|&row| &hidden[row * dim..][..dim]).copied().collect();
        let mut d_asked = vec![0.0; asked.len()];
        let (h, d) = if is_whole { (&hidden, &mut d_hidden) } else { (&asked, &mut d_asked) };
        let loss = match shared.loss {
            Loss::CrossEntropy => self.cross_entropy(shared, h, d),
            Loss::SampledSoftmax | Loss::Gbce => self.sampled(shared, negatives, (h, d)),
        };
        if !is_whole {
            d_hidden.fill(0.0);
            for (&row, d) in self.rows.iter().zip(d_asked.chunks_exact(dim)) {
                d_hidden[row * dim..][..dim].copy_from_slice(d);
            }
        }
        (self.state.hidden, self.d_hidden) = (hidden, d_hidden);
        loss
    }

    fn cross_entropy(&mut self, shared: &Shared<'_>, hidden: &[f32], d_hidden: &mut [f32]) -> f64 {
        let loss = CrossEntropy {
            table: shared.table,
            vectors: shared.vectors,
            targets: &self.wanted,
            weight: shared.weight,
        };
        loss.step(hidden, d_hidden, &mut self.d_vectors, &mut self.loss)
    }

    fn sampled(
        &mut self,
        shared: &Shared<'_>,
        negatives: &[u32],
        (hidden, d_hidden): (&[f32], &mut [f32]),
    ) -> f64 {
        let dim = shared.dim;
        let places: Vec<u32> = negatives.iter().map(|&item| shared.place[item as usize]).collect();
        let rows = |places: &[u32]| -> Vec<f32> {
            let row = |&at: &u32| &shared.vectors[at as usize * dim..][..dim];
            places.iter().flat_map(row).copied().collect()
        };
        let n = negatives.len();
        let (loss, shift) = if shared.loss == Loss::Gbce {
            // β of gSASRec at full calibration: the sampling rate.
            let beta = (n as f32 / (shared.n_known.max(2) - 1) as f32).min(1.0);
            (SampledLoss::GBce { beta }, Vec::new())
        } else {
            let shift = negatives.iter().map(|&item| shared.draws.shift(item, n)).collect();
            (SampledLoss::Softmax, shift)
        };
        let (targets, vectors) = (rows(&self.wanted), rows(&places));
        let (mut d_targets, mut d_negatives) = (vec![0.0; targets.len()], vec![0.0; vectors.len()]);
        let sampled = Sampled {
            loss,
            targets: &targets,
            negatives: &vectors,
            target_ids: &self.wanted,
            negative_ids: &places,
            target_shift: &[],
            negative_shift: &shift,
            weight: shared.weight,
        };
        let gradients = SampledGradients {
            hidden: d_hidden,
            targets: &mut d_targets,
            negatives: &mut d_negatives,
        };
        let loss = sampled.step(hidden, gradients, &mut self.sampled);
        let all = self.wanted.iter().zip(d_targets.chunks_exact(dim));
        for (&at, d) in all.chain(places.iter().zip(d_negatives.chunks_exact(dim))) {
            axpy(1.0, d, &mut self.d_vectors[at as usize * dim..][..dim]);
        }
        loss
    }
}
