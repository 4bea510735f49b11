//! Which of the products that make up LoRA stay, where their number is bounded (AdaLoRA, Zhang et al. 2023).
//!
//! A product is a column of `B` times a row of `A`. What a number `w` counts for is `Ī Ū`: `|w ∂L/∂w|` smoothed over steps, and how far it
//! strays, smoothed too; a product counts for the means of its column and its row. All products of all matrices compete: the column of
//! one that does not stay is set to 0, and may grow again. As many stay as the budget and `(1 - t)³` of the rest, with `t` from 0 to 1 in
//! the first epoch.

use tastemaker_core::{PersistError, Saved};

use super::adapt::Pair;

/// How much of what was before stays at a step: β₁ and β₂ of the paper.
const KEEPS: f32 = 0.85;

/// What is known of LoRA's numbers, and how many products may stay.
pub(super) struct Ranks {
    rank: usize,
    /// Products of all matrices, and how many of them stay in the end.
    all: usize,
    budget: usize,
    /// Batches until then, and those that were seen.
    fall: usize,
    taken: usize,
    importance: Vec<f32>,
    strays: Vec<f32>,
}

impl Ranks {
    /// Starts with all products of so many matrices of rank `rank`, of which `budget` a matrix are to stay on average after `fall` batches.
    pub(super) fn new(
        (matrices, rank, budget): (usize, usize, usize),
        n_trained: usize,
        fall: usize,
    ) -> Self {
        let (all, budget) = (matrices * rank, matrices * budget.min(rank));
        let (importance, strays) = (vec![0.0; n_trained], vec![0.0; n_trained]);
        Self { rank, all, budget, fall: fall.max(1), taken: 0, importance, strays }
    }

    /// Counts the products that may stay now.
    fn allowed(&self) -> usize {
        let left = 1.0 - (self.taken.min(self.fall) as f64 / self.fall as f64);
        self.budget + ((self.all - self.budget) as f64 * left.powi(3)).round() as usize
    }

    /// Takes in a batch with this gradient.
    pub(super) fn learn(&mut self, trained: &[f32], gradient: &[f32]) {
        self.taken += 1;
        let known = self.importance.iter_mut().zip(&mut self.strays);
        for ((x, g), (mean, strays)) in trained.iter().zip(gradient).zip(known) {
            let now = (x * g).abs();
            *mean = KEEPS * *mean + (1.0 - KEEPS) * now;
            *strays = KEEPS * *strays + (1.0 - KEEPS) * (now - *mean).abs();
        }
    }

    /// Sets what does not stay to 0.
    pub(super) fn cut(&self, pairs: &[Pair], trained: &mut [f32]) {
        let mut scores = self.scores(pairs);
        scores.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        for (_, (pair, column)) in scores.into_iter().skip(self.allowed()) {
            let b = pairs[pair].b.of_mut(trained);
            b.iter_mut().skip(column).step_by(self.rank).for_each(|x| *x = 0.0);
        }
    }

    /// Returns what every product counts for: a matrix, and the product's place in it.
    fn scores(&self, pairs: &[Pair]) -> Vec<(f64, (usize, usize))> {
        let product = |(a, b): (&f32, &f32)| f64::from(*a) * f64::from(*b);
        let mut scores = Vec::with_capacity(self.all);
        for (at, Pair { a, b, outputs, inputs, .. }) in pairs.iter().enumerate() {
            let of = |span: crate::params::Span| {
                span.of(&self.importance).iter().zip(span.of(&self.strays)).map(product)
            };
            for column in 0..self.rank {
                let of_b: f64 = of(*b).skip(column).step_by(self.rank).sum();
                let of_a: f64 = of(*a).skip(column * inputs).take(*inputs).sum();
                scores.push((of_b / *outputs as f64 + of_a / *inputs as f64, (at, column)));
            }
        }
        scores
    }

    /// Puts what is known beside the momentum.
    pub(super) fn put(&self, saved: &mut Saved) {
        for (name, values) in [("importance", &self.importance), ("strays", &self.strays)] {
            saved.put_f32(&format!("ranks/{name}"), &[values.len()], values.clone());
        }
        saved.put_f32("ranks/taken", &[1], vec![self.taken as f32]);
    }

    pub(super) fn take(&mut self, saved: &mut Saved) -> Result<(), PersistError> {
        for (name, values) in [("importance", &mut self.importance), ("strays", &mut self.strays)] {
            let name = format!("ranks/{name}");
            let (_, found) = saved.take_f32(&name)?;
            if found.len() != values.len() {
                return Err(PersistError::Shape { name });
            }
            *values = found;
        }
        let (_, taken) = saved.take_f32("ranks/taken")?;
        self.taken = taken.first().map_or(0, |taken| *taken as usize);
        Ok(())
    }
}
