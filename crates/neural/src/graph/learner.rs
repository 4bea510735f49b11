//! LightGCN in training: vectors are passed on along the graph, compared, and the gradient goes the same way back.

use std::mem::take;

use rand::seq::SliceRandom;
use tastemaker_core::{FitError, PersistError, Saved, TrainData, seed};
use tastemaker_kernels::axpy;
use tastemaker_train::{Adam, AdamSettings, Learner, Step};

use super::adjacency::Graph;
use super::fit::NAME;
use super::model::{LightGcn, Vectors};
use super::objective::{Lanes, Objective};
use super::settings::{GraphLoss, LightGcnSettings, Resolved};
use crate::draws::Draws;
use crate::params::normal;

/// Deviation of the vectors in the beginning.
const SPREAD: f32 = 0.1;

/// A model in training.
pub(super) struct GraphLearner<'a> {
    data: &'a TrainData<'a>,
    settings: LightGcnSettings,
    resolved: Resolved,
    pub(super) graph: Graph,
    pub(super) shares: Vec<f32>,
    draws: Draws,
    /// Strength of the pull towards 0, `[users + items]`.
    pub(super) pulls: Vec<f32>,
    /// What is learnt, `[users + items, dim]`.
    pub(super) own: Vec<f32>,
    adam: Adam,
    pub(super) vectors: Vec<f32>,
    gradient: Vec<f32>,
    spare: Vec<f32>,
    lanes: Lanes,
}

impl<'a> GraphLearner<'a> {
    pub(super) fn new(
        data: &'a TrainData<'a>,
        settings: &LightGcnSettings,
    ) -> Result<Self, FitError> {
        let graph = Graph::new(data.histories, data.n_items);
        let resolved = settings.resolve(&graph);
        check_memory(settings, &graph, resolved, data.n_items)?;
        let dim = settings.dim;
        let mut own = vec![0.0; (graph.n_users() + graph.n_items()) * dim];
        normal(&mut own, SPREAD, data.seed, "lightgcn");
        let takers: Vec<u32> = (0..graph.n_items()).map(|item| graph.takers(item) as u32).collect();
        let strength = settings.regularization / graph.n_pairs() as f32;
        Ok(Self {
            resolved,
            shares: settings.shares(),
            draws: Draws::new(&takers, resolved.loss == GraphLoss::Bpr),
            pulls: graph.degrees().map(|n| strength * n as f32).collect(),
            adam: Adam::new(own.len(), AdamSettings::default()),
            settings: settings.clone(),
            vectors: Vec::new(),
            gradient: Vec::new(),
            spare: Vec::new(),
            lanes: Lanes::default(),
            data,
            graph,
            own,
        })
    }

    /// Returns the model as it stands.
    pub(super) fn model(&self) -> LightGcn {
        let (mut vectors, mut spare) = (Vec::new(), Vec::new());
        let dim = self.settings.dim;
        let own = (&self.own[..], dim);
        self.graph.propagate(&self.shares, own, (&mut vectors, &mut spare));
        let items = vectors.split_off(users_len(&self.graph, dim));
        // What a user gathers from an item: the layers but the last, each with the share of the one it is passed on to.
        self.graph.propagate(&self.shares[1..], own, (&mut vectors, &mut spare));
        let mut sources = vectors.split_off(users_len(&self.graph, dim));
        for (item, row) in sources.chunks_exact_mut(dim).enumerate() {
            let scale = 1.0 / (self.graph.takers(item) as f32).sqrt();
            row.iter_mut().for_each(|x| *x *= scale);
        }
        let counts = self.data.histories.item_counts(self.data.n_items);
        let spread = |rows: &[f32]| {
            let mut all = vec![0.0; counts.len() * dim];
            for (&item, row) in self.graph.known.iter().zip(rows.chunks_exact(dim)) {
                all[item as usize * dim..][..dim].copy_from_slice(row);
            }
            all
        };
        let mut settings = self.settings.clone();
        settings.batch = Some(self.resolved.batch);
        settings.loss = Some(self.resolved.loss);
        let vectors = Vectors { items: spread(&items), sources: spread(&sources) };
        LightGcn::new(settings, vectors, counts.iter().map(|&n| (n as f32).ln_1p()).collect())
    }

    /// Returns what the events of `users` are compared by, with the vectors as they were last passed on.
    pub(super) fn objective(&self, events: usize, key: u64) -> Objective<'_> {
        Objective {
            graph: &self.graph,
            loss: self.resolved.loss,
            draws: &self.draws,
            negatives: self.settings.negatives,
            vectors: &self.vectors,
            dim: self.settings.dim,
            weight: 1.0 / events as f32,
            key,
        }
    }

    /// Returns the mean loss of the events of `users`; leaves the gradient by what is learnt where the vectors were.
    pub(super) fn backward(&mut self, users: &[u32], events: usize, key: u64) -> f64 {
        let dim = self.settings.dim;
        let buffers = (&mut self.vectors, &mut self.spare);
        self.graph.propagate(&self.shares, (&self.own, dim), buffers);
        let (mut gradient, mut lanes) = (take(&mut self.gradient), take(&mut self.lanes));
        let loss = self.objective(events, key).step(users, &mut gradient, &mut lanes);
        let buffers = (&mut self.vectors, &mut self.spare);
        self.graph.propagate(&self.shares, (&gradient, dim), buffers);
        (self.gradient, self.lanes) = (gradient, lanes);
        let rows = self.vectors.chunks_exact_mut(dim).zip(self.own.chunks_exact(dim));
        for ((d, own), &pull) in rows.zip(&self.pulls) {
            axpy(pull, own, d);
        }
        loss
    }

    fn step(&mut self, users: &[u32], events: usize, key: u64) -> f64 {
        let loss = self.backward(users, events, key);
        let rate = self.settings.learning_rate;
        self.adam.step(&mut self.own, &self.vectors, rate, 1.0);
        loss
    }
}

fn users_len(graph: &Graph, dim: usize) -> usize {
    graph.n_users() * dim
}

/// Returns an error when a training would take more memory than it may.
fn check_memory(
    settings: &LightGcnSettings,
    graph: &Graph,
    resolved: Resolved,
    n_items: usize,
) -> Result<(), FitError> {
    let LightGcnSettings { dim, negatives, max_memory_mb: limit_mb, .. } = *settings;
    let (users, items) = (graph.n_users(), graph.n_items());
    let lanes = Lanes::floats((users, items, dim), negatives, resolved.loss);
    // What is learnt, two momenta, vectors, gradient and spare, the best and a copy to save, the model that is judged; pairs with weights, both ways.
    let needed = 4 * (12 * (users + items) * dim + 4 * graph.n_pairs() + lanes);
    let needed_mb = needed >> 20;
    if needed_mb <= limit_mb {
        return Ok(());
    }
    Err(FitError::TooLarge { model: NAME, needed_mb, limit_mb, n_items })
}

impl Learner for GraphLearner<'_> {
    fn epoch(&mut self, epoch: usize) -> Step {
        let seed = self.data.seed;
        let mut users: Vec<u32> = (0..self.graph.n_users() as u32).collect();
        users.shuffle(&mut seed::stream(seed, &format!("lightgcn/users/{epoch}")));
        let (mut sum, mut samples) = (0.0, 0);
        let (mut from, mut events, mut number) = (0, 0, 0u64);
        for at in 0..users.len() {
            if self.data.progress.is_cancelled() {
                break;
            }
            events += self.graph.items_of(users[at] as usize).len();
            if events < self.resolved.batch && at + 1 < users.len() {
                continue;
            }
            let key = seed ^ ((epoch as u64) << 44 | number << 22);
            sum += self.step(&users[from..=at], events, key) * events as f64;
            samples += events;
            (from, events, number) = (at + 1, 0, number + 1);
        }
        Step { loss: sum / samples.max(1) as f64, samples }
    }

    fn validate(&self) -> Option<f64> {
        self.data.judge.map(|judge| judge.judge(&self.model()))
    }

    fn weights(&self) -> Saved {
        let mut saved = Saved::default();
        saved.put_f32("own", &[self.own.len()], self.own.clone());
        saved
    }

    fn set_weights(&mut self, mut weights: Saved) -> Result<(), PersistError> {
        let (_, own) = weights.take_f32("own")?;
        if own.len() != self.own.len() {
            return Err(PersistError::Shape { name: "weights".into() });
        }
        self.own = own;
        Ok(())
    }

    fn momentum(&self) -> Saved {
        let mut saved = Saved::default();
        self.adam.put("own", &mut saved);
        saved
    }

    fn set_momentum(&mut self, mut momentum: Saved) -> Result<(), PersistError> {
        self.adam.take("own", &mut momentum)
    }
}
