//! A step of a sequence model: item vectors, the network over chunks of the batch, the loss, and all the way back.
//!
//! A batch is spread over a fixed number of lanes, each with its own gradients, which are added up in order: the result does
//! not depend on the number of threads.

use rayon::prelude::*;
use tastemaker_core::{FitError, PersistError, Saved, TrainData, seed};
use tastemaker_kernels::{ItemTable, LossScratch};
use tastemaker_train::{Gradients, Learner, Step, Updates};

use super::model::Sequence;
use super::network::Network;
use super::newcomers::Newcomers;
use super::settings::{Architecture, Loss, Resolved, Settled, TextUse, Training};
use super::step::{Contrast, Lane, Shared};
use super::times::usual_gap;
use super::tower::{Align, LONGEST, Tower, features, first_own};
use super::windows::{Window, batches, lanes, windows};
use crate::draws::{Draws, chance};
use crate::layers::Dropout;
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
    /// Median of the seconds between events, for networks that read times.
    usual_gap: u32,
    tower: Tower,
    newcomers: Newcomers,
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
    contrast: Contrast,
    align: Align,
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
        let parts = training.parts();
        let own = first_own(data.n_items, parts.own, first, data.seed);
        let text = text.unwrap_or_default();
        let newcomers = Newcomers::new(&text, |item| counts[item] > 0);
        let active: Vec<u32> =
            (0..data.n_items as u32).filter(|&item| counts[item as usize] > 0).collect();
        let tower = Tower::new(&mut layout, parts, training.experts, (&text, &active));
        let parameters = layout.start(data.seed);
        let mut place = vec![ABSENT; data.n_items];
        (0..).zip(&active).for_each(|(at, &item)| place[item as usize] = at);
        let Training { optimizer, learning_rate, weight_decay, .. } = training;
        let rates = (learning_rate, weight_decay);
        let table = (own.len(), parts.own.max(1));
        let mut updates = Updates::new(&optimizer, rates, parameters.len(), table);
        let all = windows(data.histories, resolved.max_length, data.seed, 0);
        let batches = batches(&all, resolved.batch).len();
        let steps = batches.div_ceil(optimizer.accumulate.max(1)) as u64;
        updates.follow(optimizer.in_steps(steps, training.epochs));
        Ok(Self {
            updates,
            lanes: (0..LANES).map(|_| Lane::default()).collect(),
            table: ItemTable::default(),
            contrast: Contrast::default(),
            align: Align::default(),
            vectors: Vec::new(),
            draws: Draws::new(&counts, training.loss == Loss::Gbce),
            known: active.clone(),
            data,
            settings,
            training,
            resolved,
            usual_gap: if network.reads_times() { usual_gap(data.histories) } else { 0 },
            network,
            tower,
            newcomers,
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
        // Two views of all windows of a lane, and what is set against one another.
        let apart = self.settings.views().contrast > 0.0;
        let viewed = if apart { batch.div_ceil(LANES).max(max_length) } else { 0 };
        let pairs = if apart { 2 * batch * batch } else { 0 };
        let network = self.network.floats(positions) + 2 * self.network.floats(viewed);
        let lane = network + logits + active * dim + self.parameters.len();
        // Own vectors, what goes into a step, two momenta, the best and a copy to save; gradients that wait for others.
        let copies = 6 + usize::from(optimizer.accumulate > 1);
        let aligned = if self.training.align > 0.0 { 4 * batch * (LONGEST + dim) } else { 0 };
        let texts = self.tower.floats() + aligned;
        let weights = copies * (self.own.len() + self.parameters.len());
        let shared = weights + 3 * active * dim + pairs + texts;
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

    /// Tells whether the times of events are learnt from.
    pub(super) fn reads_times(&self) -> bool {
        self.network.reads_times()
    }

    /// Hands out the newcomers, and the items that were ever taken.
    pub(super) fn newcomers(&mut self) -> (Newcomers, &[u32]) {
        (std::mem::take(&mut self.newcomers), &self.known)
    }

    /// Returns the model as it stands, which says nothing of newcomers.
    pub(super) fn model(&self) -> Sequence<S> {
        let all: Vec<u32> = (0..self.data.n_items as u32).collect();
        let counts = self.data.histories.item_counts(self.data.n_items);
        let mut vectors = Vec::new();
        let unknown = |item: u32| counts[item as usize] == 0;
        self.tower.vectors((&self.parameters, &self.own), &all, unknown, &mut vectors);
        let Resolved { max_length, dropout, batch } = self.resolved;
        let mut settings = self.settings.clone();
        settings.settle(Settled {
            epochs: self.training.epochs,
            max_length,
            dropout,
            batch,
            newcomer_shift: self.training.newcomer_shift,
        });
        Sequence::assemble(
            settings,
            (self.network.clone(), self.tower.n_features(), self.parameters.clone()),
            self.usual_gap,
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
            self.active.extend(window.items(self.data.histories).iter().map(|item| item.0));
        }
        self.active.extend(negatives.iter().flatten());
        self.active.sort_unstable();
        self.active.dedup();
        (0..).zip(&self.active).for_each(|(at, &item)| self.place[item as usize] = at);
        negatives
    }

    fn step(&mut self, batch: &[Window], key: u64) -> f64 {
        let dim = self.training.dim;
        let share = if self.training.text.is_both() { self.training.text_alone } else { 0.0 };
        let alone = |item: u32| chance(key, item) < share;
        let negatives = match self.training.loss {
            Loss::CrossEntropy => vec![Vec::new(); LANES],
            Loss::SampledSoftmax | Loss::Gbce => self.draw(batch, key),
        };
        self.tower.vectors((&self.parameters, &self.own), &self.active, alone, &mut self.vectors);
        if self.training.loss == Loss::CrossEntropy {
            self.table.refill(&self.vectors, dim);
        }
        let task = self.settings.task();
        let asked = task.asked(batch, key);
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
            usual_gap: self.usual_gap,
            task: (task, key),
            weight: 1.0 / asked as f32,
            views: self.settings.views(),
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
        let contrast = (&mut self.contrast, rate, key);
        contrast_views(&mut self.lanes, &shared, &work, contrast);
        let Some((first, rest)) = self.lanes.split_first_mut() else { return 0.0 };
        for lane in rest {
            gather(&mut first.gradients, &mut lane.gradients);
            gather(&mut first.d_vectors, &mut lane.d_vectors);
        }
        let Lane { gradients, d_vectors, .. } = first;
        let active = (&self.active[..], alone);
        let rows = self.tower.backward(&self.parameters, active, d_vectors, gradients);

        if self.training.align > 0.0 {
            let items = batch.iter().flat_map(|window| window.items(self.data.histories));
            let items = items.map(|item| item.0).collect();
            let into = (&self.place[..], &mut *rows, &mut gradients[..]);
            let weights = (&self.parameters[..], &self.own[..]);
            let drawn = (items, self.training.align, key);
            self.align.step(&mut self.tower, weights, drawn, into);
        }
        let all = Gradients { dense: &*gradients, ids: &self.active, rows: &*rows, samples: asked };
        self.updates.add(&mut self.parameters, &mut self.own, all);
        gradients.fill(0.0);
        d_vectors.fill(0.0);
        losses.iter().sum()
    }
}

/// Adds the gradients of the contrast between two views of every window to those of the lanes. Its loss is not told: the curve of a
/// training is that of the items, with a contrast or without.
fn contrast_views(
    lanes: &mut [Lane],
    shared: &Shared<'_>,
    work: &[Vec<Vec<Window>>],
    (contrast, rate, key): (&mut Contrast, f32, u64),
) {
    let weight = shared.views.contrast;
    if weight <= 0.0 {
        return;
    }
    let dropout = |number: usize| Dropout { rate, key: key.wrapping_add((number as u64) << 16) };
    lanes.par_iter_mut().zip(work).enumerate().for_each(|(number, (lane, chunks))| {
        lane.read_views(shared, chunks.iter().flatten(), dropout(number));
    });
    contrast.views.iter_mut().for_each(Vec::clear);
    lanes.iter().for_each(|lane| lane.put_views(shared.dim, contrast));
    contrast.step(shared.dim, weight);
    let contrast = &*contrast;
    let mut n = 0;
    let firsts: Vec<usize> = work
        .iter()
        .map(|chunks| {
            let first = n;
            n += chunks.iter().map(Vec::len).sum::<usize>();
            first
        })
        .collect();
    let lanes = lanes.par_iter_mut().zip(firsts).enumerate();
    lanes.for_each(|(number, (lane, first))| {
        lane.contrast(shared, (contrast, first), dropout(number));
    });
}

/// Adds `other` to `sum` and leaves it at 0.
fn gather(sum: &mut [f32], other: &mut [f32]) {
    sum.par_chunks_mut(1 << 14).zip(other.par_chunks_mut(1 << 14)).for_each(|(sum, other)| {
        sum.iter_mut().zip(other.iter()).for_each(|(a, b)| *a += b);
        other.fill(0.0);
    });
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
        let aligned = f64::from(self.training.align) * (LONGEST as f64).ln();
        Some(match self.training.loss {
            Loss::CrossEntropy | Loss::SampledSoftmax => aligned + (self.known.len() as f64).ln(),
            // The mean over a target and its negatives, each of which is a toss-up.
            Loss::Gbce => aligned + std::f64::consts::LN_2,
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
