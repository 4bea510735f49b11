//! A step of a sequence model: item vectors, the network over chunks of the batch, the loss, and all the way back.
//!
//! A batch is spread over a fixed number of lanes, each with its own gradients, which are added up in order: the result does
//! not depend on the number of threads.

use rayon::prelude::*;
use tastemaker_core::{FitError, Histories, ItemId, PersistError, Saved, TrainData, seed};
use tastemaker_kernels::{
    CrossEntropy, ItemTable, LossScratch, Sampled, SampledGradients, SampledLoss, SampledScratch,
    axpy,
};
use tastemaker_train::{Gradients, Learner, Step, Updates};

use super::draws::Draws;
use super::model::Sequence;
use super::network::{Network, NetworkState};
use super::settings::{Architecture, Loss, Resolved, Settled, TextUse, Training};
use super::tower::{Tower, features, first_own};
use super::windows::{Window, batches, lanes, windows};
use crate::layers::{Dropout, Work};
use crate::params::Layout;

/// Tasks of a batch.
const LANES: usize = 4;
/// Marks an item that takes no part in a step.
const ABSENT: u32 = u32::MAX;

/// A sequence model in training.
pub(super) struct SequenceLearner<'a, S: Architecture> {
    data: &'a TrainData<'a>,
    settings: &'a S,
    training: Training,
    resolved: Resolved,
    draws: Draws,
    network: Network,
    tower: Tower,
    parameters: Vec<f32>,
    own: Vec<f32>,
    updates: Updates,
    /// Items that were ever taken, rising.
    known: Vec<u32>,
    /// Items that take part in a step, rising: all that are known, or those read, wanted and drawn.
    active: Vec<u32>,
    /// Where an item stands among the active ones.
    place: Vec<u32>,
    vectors: Vec<f32>,
    table: ItemTable,
    lanes: Vec<Lane>,
}

/// The memory of one task.
#[derive(Default)]
struct Lane {
    gradients: Vec<f32>,
    d_vectors: Vec<f32>,
    state: NetworkState,
    x: Vec<f32>,
    dx: Vec<f32>,
    d_hidden: Vec<f32>,
    loss: LossScratch,
    sampled: SampledScratch,
    read: Vec<u32>,
    wanted: Vec<u32>,
    offsets: Vec<usize>,
}

/// What the tasks of a step share.
struct Shared<'a> {
    histories: &'a Histories,
    network: &'a Network,
    parameters: &'a [f32],
    vectors: &'a [f32],
    table: &'a ItemTable,
    place: &'a [u32],
    draws: &'a Draws,
    loss: Loss,
    n_known: usize,
    dim: usize,
    weight: f32,
}

impl<'a, S: Architecture> SequenceLearner<'a, S> {
    pub(super) fn new(
        data: &'a TrainData<'a>,
        settings: &'a S,
        resolved: Resolved,
    ) -> Result<Self, FitError> {
        let counts = data.histories.item_counts(data.n_items);
        let training = settings.training();
        let text = match training.text {
            TextUse::None => None,
            _ => Some(features(data.require_vectors()?, &counts)?),
        };
        let mut layout = Layout::default();
        let network = settings.network(&mut layout, resolved.max_length);
        let first = text.as_ref().filter(|_| training.text == TextUse::Init);
        let own = match training.text {
            TextUse::Only => Vec::new(),
            _ => first_own(data.n_items, training.dim, first, data.seed),
        };
        let text = text.unwrap_or_default();
        let tower = Tower::new(&mut layout, training.dim, training.text, text);
        let parameters = layout.start(data.seed);
        let active: Vec<u32> =
            (0..data.n_items as u32).filter(|&item| counts[item as usize] > 0).collect();
        let mut place = vec![ABSENT; data.n_items];
        (0..).zip(&active).for_each(|(at, &item)| place[item as usize] = at);
        let Training { optimizer, learning_rate, weight_decay, .. } = training;
        let rates = (learning_rate, weight_decay);
        let table = (own.len(), training.dim);
        let mut updates = Updates::new(&optimizer, rates, parameters.len(), table);
        let all = windows(data.histories, resolved.max_length, data.seed, 0);
        let batches = batches(&all, resolved.batch).len();
        let steps = batches.div_ceil(optimizer.accumulate.max(1)) as u64;
        updates.follow(optimizer.in_steps(steps, training.epochs));
        Ok(Self {
            updates,
            lanes: (0..LANES).map(|_| Lane::default()).collect(),
            table: ItemTable::default(),
            vectors: Vec::new(),
            draws: Draws::new(&counts, training.loss == Loss::Gbce),
            known: active.clone(),
            data,
            settings,
            training,
            resolved,
            network,
            tower,
            parameters,
            own,
            active,
            place,
        })
    }

    /// Returns about how many bytes the training takes.
    fn memory(&self) -> usize {
        let Training { dim, loss, negatives, optimizer, .. } = self.training;
        let Resolved { max_length, batch, .. } = self.resolved;
        let positions = S::CHUNK.min(batch.div_ceil(LANES)).max(max_length);
        let (logits, active) = match loss {
            Loss::CrossEntropy => (LossScratch::POSITIONS * self.known.len(), self.known.len()),
            Loss::SampledSoftmax | Loss::Gbce => {
                let drawn = LANES * negatives + 2 * batch;
                (positions * negatives, drawn.min(self.known.len()))
            }
        };
        let lane = self.network.floats(positions) + logits + active * dim + self.parameters.len();
        // Own vectors, what goes into a step, two momenta, the best and a copy to save; gradients that wait for others.
        let copies = 6 + usize::from(optimizer.accumulate > 1);
        let shared = copies * (self.own.len() + self.parameters.len()) + 3 * active * dim;
        4 * (LANES * lane + shared)
    }

    /// Returns an error when the training would take more memory than it may.
    pub(super) fn check_memory(&self) -> Result<(), FitError> {
        let (needed_mb, limit_mb) = (self.memory() >> 20, self.training.max_memory_mb);
        if needed_mb <= limit_mb {
            return Ok(());
        }
        Err(FitError::TooLarge { model: S::NAME, needed_mb, limit_mb, n_items: self.data.n_items })
    }

    /// Returns the model as it stands.
    pub(super) fn model(&self) -> Sequence<S> {
        let all: Vec<u32> = (0..self.data.n_items as u32).collect();
        let counts = self.data.histories.item_counts(self.data.n_items);
        let mut vectors = Vec::new();
        let unknown = |item: u32| counts[item as usize] == 0;
        self.tower.vectors((&self.parameters, &self.own), &all, unknown, &mut vectors);
        let Resolved { max_length, dropout, batch } = self.resolved;
        let mut settings = self.settings.clone();
        settings.settle(Settled { epochs: self.training.epochs, max_length, dropout, batch });
        Sequence::assemble(
            settings,
            (self.network.clone(), self.tower.n_features(), self.parameters.clone()),
            vectors,
            counts.iter().map(|&n| (n as f32).ln_1p()).collect(),
        )
    }

    /// Draws the negatives of every lane, and makes those items active that take part in the step.
    fn draw(&mut self, batch: &[Window], key: u64) -> Vec<Vec<u32>> {
        let mut rng = seed::stream(key, "negatives");
        let negatives: Vec<Vec<u32>> =
            (0..LANES).map(|_| self.draws.draw(self.training.negatives, &mut rng)).collect();
        self.active.iter().for_each(|&item| self.place[item as usize] = ABSENT);
        self.active.clear();
        for window in batch {
            let (read, wanted) = window.pairs(self.data.histories);
            self.active.extend(read.iter().chain(wanted).map(|item| item.0));
        }
        self.active.extend(negatives.iter().flatten());
        self.active.sort_unstable();
        self.active.dedup();
        (0..).zip(&self.active).for_each(|(at, &item)| self.place[item as usize] = at);
        negatives
    }

    fn step(&mut self, batch: &[Window], key: u64) -> f64 {
        let dim = self.training.dim;
        let share = if self.training.text == TextUse::Sum { self.training.text_alone } else { 0.0 };
        let alone = |item: u32| chance(key, item) < share;
        let negatives = match self.training.loss {
            Loss::CrossEntropy => vec![Vec::new(); LANES],
            Loss::SampledSoftmax | Loss::Gbce => self.draw(batch, key),
        };
        self.tower.vectors((&self.parameters, &self.own), &self.active, alone, &mut self.vectors);
        if self.training.loss == Loss::CrossEntropy {
            self.table.refill(&self.vectors, dim);
        }
        let positions: usize = batch.iter().map(|window| window.len()).sum();
        let shared = Shared {
            histories: self.data.histories,
            network: &self.network,
            parameters: &self.parameters,
            vectors: &self.vectors,
            table: &self.table,
            place: &self.place,
            draws: &self.draws,
            loss: self.training.loss,
            n_known: self.known.len(),
            dim,
            weight: 1.0 / positions as f32,
        };
        let rate = self.resolved.dropout;
        let sizes = (self.parameters.len(), self.vectors.len());
        let work = lanes(batch, LANES, S::CHUNK);
        let losses: Vec<f64> = self
            .lanes
            .par_iter_mut()
            .zip(&work)
            .zip(&negatives)
            .enumerate()
            .map(|(number, ((lane, chunks), negatives))| {
                lane.gradients.resize(sizes.0, 0.0);
                lane.d_vectors.resize(sizes.1, 0.0);
                let chunks = chunks.iter().enumerate();
                chunks
                    .map(|(at, chunk)| {
                        let key = key.wrapping_add(((number as u64) << 16) + at as u64);
                        lane.chunk(&shared, (chunk, negatives), Dropout { rate, key })
                    })
                    .sum()
            })
            .collect();
        let Some((first, rest)) = self.lanes.split_first_mut() else { return 0.0 };
        for lane in rest {
            gather(&mut first.gradients, &mut lane.gradients);
            gather(&mut first.d_vectors, &mut lane.d_vectors);
        }
        self.tower.backward(&self.active, alone, &mut first.d_vectors, &mut first.gradients);
        let gradients = Gradients {
            dense: &first.gradients,
            ids: &self.active,
            rows: &first.d_vectors,
            samples: positions,
        };
        self.updates.add(&mut self.parameters, &mut self.own, gradients);
        first.gradients.fill(0.0);
        first.d_vectors.fill(0.0);
        losses.iter().sum()
    }
}

/// Returns a number in `0..1` that follows from a key and an item.
fn chance(key: u64, item: u32) -> f32 {
    let mut x = key ^ (u64::from(item) << 32 | u64::from(item));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 40) as f32 / (1u64 << 24) as f32
}

/// Adds `other` to `sum` and leaves it at 0.
fn gather(sum: &mut [f32], other: &mut [f32]) {
    sum.par_chunks_mut(1 << 14).zip(other.par_chunks_mut(1 << 14)).for_each(|(sum, other)| {
        sum.iter_mut().zip(other.iter()).for_each(|(a, b)| *a += b);
        other.fill(0.0);
    });
}

impl Lane {
    fn chunk(
        &mut self,
        shared: &Shared<'_>,
        (chunk, negatives): (&[Window], &[u32]),
        dropout: Dropout,
    ) -> f64 {
        let dim = shared.dim;
        let place = |item: &ItemId| shared.place[item.index()];
        self.read.clear();
        self.wanted.clear();
        self.offsets.clear();
        self.offsets.push(0);
        for window in chunk {
            let (read, wanted) = window.pairs(shared.histories);
            self.read.extend(read.iter().map(place));
            self.wanted.extend(wanted.iter().map(place));
            self.offsets.push(self.read.len());
        }
        let scale = shared.network.scale();
        self.x.clear();
        for &at in &self.read {
            let vector = &shared.vectors[at as usize * dim..][..dim];
            self.x.extend(vector.iter().map(|x| scale * x));
        }
        let offsets = std::mem::take(&mut self.offsets);
        let work = Work { parameters: shared.parameters, offsets: &offsets, dropout };
        shared.network.forward(&work, &mut self.x, &mut self.state);
        self.d_hidden.resize(self.x.len(), 0.0);
        let loss = match shared.loss {
            Loss::CrossEntropy => self.cross_entropy(shared),
            Loss::SampledSoftmax | Loss::Gbce => self.sampled(shared, negatives),
        };
        let into = (&mut self.dx, &mut self.gradients[..]);
        shared.network.backward(&work, &self.d_hidden, into, &mut self.state);
        self.offsets = offsets;
        for (&at, dx) in self.read.iter().zip(self.dx.chunks_exact(dim)) {
            axpy(scale, dx, &mut self.d_vectors[at as usize * dim..][..dim]);
        }
        loss
    }

    fn cross_entropy(&mut self, shared: &Shared<'_>) -> f64 {
        let loss = CrossEntropy {
            table: shared.table,
            vectors: shared.vectors,
            targets: &self.wanted,
            weight: shared.weight,
        };
        let (hidden, d_vectors) = (&self.state.hidden, &mut self.d_vectors);
        loss.step(hidden, &mut self.d_hidden, d_vectors, &mut self.loss)
    }

    fn sampled(&mut self, shared: &Shared<'_>, negatives: &[u32]) -> f64 {
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
            hidden: &mut self.d_hidden,
            targets: &mut d_targets,
            negatives: &mut d_negatives,
        };
        let loss = sampled.step(&self.state.hidden, gradients, &mut self.sampled);
        let all = self.wanted.iter().zip(d_targets.chunks_exact(dim));
        for (&at, d) in all.chain(places.iter().zip(d_negatives.chunks_exact(dim))) {
            axpy(1.0, d, &mut self.d_vectors[at as usize * dim..][..dim]);
        }
        loss
    }
}

impl<S: Architecture> Learner for SequenceLearner<'_, S> {
    fn epoch(&mut self, epoch: usize) -> Step {
        let seed = self.data.seed;
        let windows = windows(self.data.histories, self.resolved.max_length, seed, epoch);
        let (mut sum, mut samples) = (0.0, 0);
        for (number, batch) in batches(&windows, self.resolved.batch).into_iter().enumerate() {
            if self.data.progress.is_cancelled() {
                break;
            }
            let positions: usize = batch.iter().map(|window| window.len()).sum();
            let key = seed ^ ((epoch as u64) << 44 | (number as u64) << 22);
            sum += self.step(batch, key) * positions as f64;
            samples += positions;
        }
        self.updates.flush(&mut self.parameters, &mut self.own);
        Step { loss: sum / samples.max(1) as f64, samples }
    }

    fn validate(&self) -> Option<f64> {
        self.data.judge.map(|judge| judge.judge(&self.model()))
    }

    fn guessing(&self) -> Option<f64> {
        Some(match self.training.loss {
            Loss::CrossEntropy | Loss::SampledSoftmax => (self.known.len() as f64).ln(),
            // The mean over a target and its negatives, each of which is a toss-up.
            Loss::Gbce => std::f64::consts::LN_2,
        })
    }

    fn weights(&self) -> Saved {
        let mut saved = Saved::default();
        saved.put_f32("parameters", &[self.parameters.len()], self.parameters.clone());
        saved.put_f32("own", &[self.own.len()], self.own.clone());
        saved
    }

    fn set_weights(&mut self, mut weights: Saved) -> Result<(), PersistError> {
        let (_, parameters) = weights.take_f32("parameters")?;
        let (_, own) = weights.take_f32("own")?;
        if parameters.len() != self.parameters.len() || own.len() != self.own.len() {
            return Err(PersistError::Shape { name: "weights".into() });
        }
        (self.parameters, self.own) = (parameters, own);
        Ok(())
    }

    fn momentum(&self) -> Saved {
        self.updates.momentum()
    }

    fn set_momentum(&mut self, momentum: Saved) -> Result<(), PersistError> {
        self.updates.set_momentum(momentum)
    }
}
