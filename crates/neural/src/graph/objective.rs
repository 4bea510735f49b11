//! The loss of some users' events, and its gradient by the final vectors.
//!
//! Users are spread over a fixed number of lanes, each with its own gradient of the items, which are added up in order: the
//! result does not depend on the number of threads.

use rayon::prelude::*;
use tastemaker_core::seed;
use tastemaker_kernels::{
    Layout, Sampled, SampledGradients, SampledLoss, SampledScratch, axpy, gemm, softmax,
};

use super::adjacency::Graph;
use super::settings::GraphLoss;
use crate::draws::Draws;

/// Tasks of a step.
const LANES: usize = 4;
/// Events that share their negatives.
const EVENTS: usize = 256;
/// Logits of a whole catalogue that a lane holds at a time.
const LOGITS: usize = 1 << 17;
/// Numbers added up by one task.
const CHUNK: usize = 1 << 14;

/// What the tasks of a step share.
#[derive(Clone, Copy)]
pub(super) struct Objective<'a> {
    pub(super) graph: &'a Graph,
    pub(super) loss: GraphLoss,
    pub(super) draws: &'a Draws,
    pub(super) negatives: usize,
    /// Final vectors, `[users + items, dim]`.
    pub(super) vectors: &'a [f32],
    pub(super) dim: usize,
    /// Every event's loss is multiplied by this.
    pub(super) weight: f32,
    /// Root of what is drawn.
    pub(super) key: u64,
}

/// Memory kept from step to step.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// Gradients of the users of the step, `[users, dim]`, in their order.
    d_users: Vec<f32>,
}

#[derive(Debug, Default)]
struct Lane {
    d_items: Vec<f32>,
    hidden: Vec<f32>,
    d_hidden: Vec<f32>,
    targets: Vec<f32>,
    d_targets: Vec<f32>,
    logits: Vec<f32>,
    sampled: SampledScratch,
}

impl Lanes {
    /// Counts the numbers that a step needs at most.
    pub(super) fn floats(
        (n_users, n_items, dim): (usize, usize, usize),
        negatives: usize,
        loss: GraphLoss,
    ) -> usize {
        let work = match loss {
            GraphLoss::CrossEntropy => LOGITS.max(n_items) + EVENTS * dim,
            GraphLoss::SampledSoftmax | GraphLoss::Bpr => {
                EVENTS * negatives + (4 * EVENTS + 2 * negatives) * dim
            }
        };
        n_users * dim + LANES * (n_items * dim + work)
    }
}

impl Objective<'_> {
    /// Returns the loss of all events of `users` and overwrites its gradient by the final vectors, `[users + items, dim]`.
    pub(super) fn step(&self, users: &[u32], gradient: &mut Vec<f32>, memory: &mut Lanes) -> f64 {
        let (dim, n_items) = (self.dim, self.graph.n_items());
        let Lanes { lanes, d_users } = memory;
        lanes.resize_with(LANES, Lane::default);
        d_users.clear();
        d_users.resize(users.len() * dim, 0.0);
        let (mut parts, mut rest) = (Vec::with_capacity(LANES), &mut d_users[..]);
        for users in self.split(users) {
            let (d_users, others) = rest.split_at_mut(users.len() * dim);
            parts.push((users, d_users));
            rest = others;
        }
        let tasks = lanes.par_iter_mut().zip(parts).enumerate();
        let losses: Vec<f64> = tasks
            .map(|(number, (lane, (users, d_users)))| {
                lane.d_items.clear();
                lane.d_items.resize(n_items * dim, 0.0);
                match self.loss {
                    GraphLoss::CrossEntropy => lane.whole(self, users, d_users),
                    _ => lane.drawn(self, users, d_users, number),
                }
            })
            .collect();
        gradient.clear();
        gradient.resize(self.vectors.len(), 0.0);
        let (to_users, to_items) = gradient.split_at_mut(self.graph.n_users() * dim);
        for (&user, d) in users.iter().zip(d_users.chunks_exact(dim)) {
            to_users[user as usize * dim..][..dim].copy_from_slice(d);
        }
        to_items.par_chunks_mut(CHUNK).enumerate().for_each(|(at, to)| {
            for lane in &*lanes {
                axpy(1.0, &lane.d_items[at * CHUNK..][..to.len()], to);
            }
        });
        losses.iter().sum()
    }

    /// Cuts users into a run for every lane, with about as many events each.
    pub(super) fn split<'u>(&self, users: &'u [u32]) -> Vec<&'u [u32]> {
        let events = |user: &u32| self.graph.items_of(*user as usize).len();
        let total: usize = users.iter().map(events).sum();
        let (mut parts, mut from, mut at, mut sum) = (Vec::with_capacity(LANES), 0, 0, 0);
        for lane in 1..=LANES {
            while at < users.len() && (lane == LANES || sum < total * lane / LANES) {
                sum += events(&users[at]);
                at += 1;
            }
            parts.push(&users[from..at]);
            from = at;
        }
        parts
    }

    /// Draws the items that some events of a lane are compared with.
    pub(super) fn draw(&self, lane: usize, number: usize) -> Vec<u32> {
        let key = self.key.wrapping_add(((lane as u64) << 32) + number as u64);
        self.draws.draw(self.negatives, &mut seed::stream(key, "lightgcn/negatives"))
    }

    fn user(&self, user: u32) -> &[f32] {
        &self.vectors[user as usize * self.dim..][..self.dim]
    }

    fn items(&self) -> &[f32] {
        &self.vectors[self.graph.n_users() * self.dim..]
    }

    fn item(&self, item: u32) -> &[f32] {
        &self.items()[item as usize * self.dim..][..self.dim]
    }
}

impl Lane {
    /// Goes through the events of `users` against all items: `n_u ln Σ_j e^(s_uj) - Σ_i s_ui` for each.
    fn whole(&mut self, task: &Objective<'_>, users: &[u32], d_users: &mut [f32]) -> f64 {
        let (dim, n_items) = (task.dim, task.graph.n_items());
        let at_once = (LOGITS / n_items).clamp(1, EVENTS);
        let (plain, turned) = (Layout::Plain, Layout::Transposed);
        let mut loss = 0.0;
        for (users, d_users) in users.chunks(at_once).zip(d_users.chunks_mut(at_once * dim)) {
            let n = users.len();
            self.hidden.clear();
            users.iter().for_each(|&user| self.hidden.extend_from_slice(task.user(user)));
            self.logits.resize(n * n_items, 0.0);
            let (hidden, logits) = (&self.hidden[..], &mut self.logits[..n * n_items]);
            let shape = (n, n_items, dim);
            gemm(shape, 1.0, (hidden, plain), (task.items(), turned), 0.0, logits);
            softmax(logits, n_items, n_items, 1.0);
            for (&user, row) in users.iter().zip(logits.chunks_exact_mut(n_items)) {
                let items = task.graph.items_of(user as usize);
                for &item in items {
                    loss -= f64::from(row[item as usize].max(f32::MIN_POSITIVE).ln());
                }
                let scale = task.weight * items.len() as f32;
                row.iter_mut().for_each(|x| *x *= scale);
                items.iter().for_each(|&item| row[item as usize] -= task.weight);
            }
            let slopes = &*logits;
            gemm((n, dim, n_items), 1.0, (slopes, plain), (task.items(), plain), 0.0, d_users);
            let d_items = &mut self.d_items;
            gemm((n_items, dim, n), 1.0, (slopes, turned), (hidden, plain), 1.0, d_items);
        }
        f64::from(task.weight) * loss
    }

    /// Goes through the events of `users` against items that are drawn anew for every few events.
    fn drawn(
        &mut self,
        task: &Objective<'_>,
        users: &[u32],
        d_users: &mut [f32],
        lane: usize,
    ) -> f64 {
        let items = |(at, user): (usize, &u32)| {
            task.graph.items_of(*user as usize).iter().map(move |&item| (at, item))
        };
        let events: Vec<(usize, u32)> = users.iter().enumerate().flat_map(items).collect();
        let mut loss = 0.0;
        for (number, events) in events.chunks(EVENTS).enumerate() {
            let drawn = task.draw(lane, number);
            loss += self.compare(task, (users, d_users), events, &drawn);
        }
        loss
    }

    /// Compares the items of some events with those drawn.
    fn compare(
        &mut self,
        task: &Objective<'_>,
        (users, d_users): (&[u32], &mut [f32]),
        events: &[(usize, u32)],
        drawn: &[u32],
    ) -> f64 {
        let dim = task.dim;
        let Self { d_items, hidden, d_hidden, targets, d_targets, sampled, .. } = self;
        hidden.clear();
        targets.clear();
        for &(at, item) in events {
            hidden.extend_from_slice(task.user(users[at]));
            targets.extend_from_slice(task.item(item));
        }
        d_hidden.resize(hidden.len(), 0.0);
        d_targets.resize(hidden.len(), 0.0);
        let negatives: Vec<f32> = drawn.iter().flat_map(|&item| task.item(item)).copied().collect();
        let mut d_negatives = vec![0.0; negatives.len()];
        let (loss, shift) = if task.loss == GraphLoss::Bpr {
            (SampledLoss::Bpr, Vec::new())
        } else {
            let shift = drawn.iter().map(|&item| task.draws.shift(item, drawn.len())).collect();
            (SampledLoss::Softmax, shift)
        };
        let wanted: Vec<u32> = events.iter().map(|(_, item)| *item).collect();
        let step = Sampled {
            loss,
            targets,
            negatives: &negatives,
            target_ids: &wanted,
            negative_ids: drawn,
            target_shift: &[],
            negative_shift: &shift,
            weight: task.weight,
        };
        let gradients =
            SampledGradients { hidden: d_hidden, targets: d_targets, negatives: &mut d_negatives };
        let loss = step.step(hidden, gradients, sampled);
        for (&(at, _), d) in events.iter().zip(d_hidden.chunks_exact(dim)) {
            axpy(1.0, d, &mut d_users[at * dim..][..dim]);
        }
        let all = wanted.iter().zip(d_targets.chunks_exact(dim));
        for (&item, d) in all.chain(drawn.iter().zip(d_negatives.chunks_exact(dim))) {
            axpy(1.0, d, &mut d_items[item as usize * dim..][..dim]);
        }
        loss
    }
}
