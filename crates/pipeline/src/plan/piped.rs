//! A pipeline as a recommender, so that it is measured like a model.

use tastemaker_core::{Clock, Recommender, Request, Scored, SystemClock};

use super::compile::Plan;
use super::run::Asked;
use crate::Blend;

/// A model with a pipeline before it.
#[derive(Debug)]
pub struct Piped<'a, M> {
    model: M,
    plan: &'a Plan,
    depth: usize,
    clock: SystemClock,
}

impl<'a, M: Blend> Piped<'a, M> {
    /// Puts a pipeline before a model; lists have `depth` items.
    pub fn new(model: M, plan: &'a Plan, depth: usize) -> Self {
        Self { model, plan, depth, clock: SystemClock::default() }
    }

    fn list(&self, request: &Request<'_>, n: usize) -> Vec<Scored> {
        let asked = Asked { request: *request, context: &[], n, traced: false, draw: 0 };
        let clock: &dyn Clock = &self.clock;
        self.plan.run(&self.model, &asked, clock).0
    }
}

impl<M: Blend> Recommender for Piped<'_, M> {
    fn n_items(&self) -> usize {
        self.model.n_items()
    }

    /// Items that are not listed all stand behind those that are.
    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        let list = self.list(request, self.depth.min(scores.len()));
        let lowest = list.last().map_or(0.0, |scored| scored.score);
        scores.fill(lowest - 1.0 - lowest.abs());
        list.iter().for_each(|scored| scores[scored.item.index()] = scored.score);
    }

    fn recommend(&self, request: &Request<'_>, n: usize) -> Vec<Scored> {
        self.list(request, n)
    }
}
