//! From the gradients of a batch to a step: added up over batches, cut to a length, and taken at the rate of the hour.
//!
//! A model has dense parameters and a table of rows, of which a batch touches some; both are one vector when its length is
//! cut: `g ← g · min(1, c / ‖g‖)` (Pascanu et al. 2013).

use rayon::prelude::*;
use tastemaker_core::{PersistError, Saved};

use crate::adam::CHUNK;
use crate::{Optimizer, OptimizerSettings, Schedule};

/// Gradients of a batch.
#[derive(Clone, Copy)]
pub struct Gradients<'a> {
    /// Those of all dense parameters.
    pub dense: &'a [f32],
    /// Rows of the table that have one, distinct and rising.
    pub ids: &'a [u32],
    /// Those of these rows.
    pub rows: &'a [f32],
    /// What the batch weighs beside others whose gradients it is added to: its samples.
    pub samples: usize,
}

/// Moves the parameters of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Updates {
    settings: OptimizerSettings,
    schedule: Schedule,
    learning_rate: f32,
    width: usize,
    dense: Optimizer,
    rows: Optimizer,
    sum: Sum,
}

/// Gradients that wait for a step.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sum {
    dense: Vec<f32>,
    table: Vec<f32>,
    /// Rows of the table that have a gradient.
    touched: Vec<bool>,
    batches: usize,
    samples: usize,
}

impl Updates {
    /// Starts without momentum, for so many dense parameters and a table of so many numbers in rows of `width`.
    pub fn new(
        settings: &OptimizerSettings,
        (learning_rate, weight_decay): (f32, f32),
        dense: usize,
        (table, width): (usize, usize),
    ) -> Self {
        Self {
            settings: *settings,
            schedule: Schedule::Constant,
            learning_rate,
            width,
            dense: Optimizer::new(dense, settings, weight_decay),
            rows: Optimizer::new(table, settings, weight_decay),
            sum: Sum::default(),
        }
    }

    /// Takes the learning rate along `schedule`.
    pub const fn follow(&mut self, schedule: Schedule) {
        self.schedule = schedule;
    }

    /// Takes the gradients of a batch in, and takes a step when enough of them are together.
    pub fn add(&mut self, parameters: &mut [f32], table: &mut [f32], batch: Gradients<'_>) {
        if self.settings.accumulate == 1 {
            return self.step(parameters, table, batch, 1.0);
        }
        self.sum.add(batch, table.len(), self.width);
        if self.sum.batches >= self.settings.accumulate {
            self.flush(parameters, table);
        }
    }

    /// Takes a step with what is left over at the end of an epoch.
    pub fn flush(&mut self, parameters: &mut [f32], table: &mut [f32]) {
        if self.sum.batches == 0 {
            return;
        }
        let mut sum = std::mem::take(&mut self.sum);
        let ids: Vec<u32> =
            (0..).zip(&sum.touched).filter(|(_, has)| **has).map(|(id, _)| id).collect();
        let width = self.width;
        let row = |&id: &u32| &sum.table[id as usize * width..][..width];
        let rows: Vec<f32> = ids.iter().flat_map(row).copied().collect();
        let all = Gradients { dense: &sum.dense, ids: &ids, rows: &rows, samples: sum.samples };
        self.step(parameters, table, all, 1.0 / sum.samples.max(1) as f32);
        sum.clear(&ids, width);
        self.sum = sum;
    }

    fn step(
        &mut self,
        parameters: &mut [f32],
        table: &mut [f32],
        batch: Gradients<'_>,
        scale: f32,
    ) {
        let steps = self.dense.steps();
        let rate = self.learning_rate * self.schedule.at(steps, self.settings.warm_up);
        let shrink = match self.settings.clip {
            None => scale,
            Some(clip) => {
                let length = f64::from(scale) * norm([batch.dense, batch.rows]);
                scale * (f64::from(clip) / length).min(1.0) as f32
            }
        };
        self.dense.step(parameters, batch.dense, rate, shrink);
        if !table.is_empty() {
            self.rows.step_rows(table, (batch.ids, self.width), batch.rows, (rate, shrink));
        }
    }

    /// Returns what has been gathered. Between two epochs no gradient waits.
    pub fn momentum(&self) -> Saved {
        let mut saved = Saved::default();
        self.dense.put("parameters", &mut saved);
        self.rows.put("own", &mut saved);
        saved
    }

    /// Takes back what had been gathered.
    pub fn set_momentum(&mut self, mut momentum: Saved) -> Result<(), PersistError> {
        self.dense.take("parameters", &mut momentum)?;
        self.rows.take("own", &mut momentum)
    }
}

impl Sum {
    fn add(&mut self, batch: Gradients<'_>, table: usize, width: usize) {
        self.dense.resize(batch.dense.len(), 0.0);
        let weight = batch.samples as f32;
        let all = self.dense.par_chunks_mut(CHUNK).zip(batch.dense.par_chunks(CHUNK));
        all.for_each(|(sum, g)| sum.iter_mut().zip(g).for_each(|(sum, g)| *sum += weight * g));
        if table > 0 {
            self.table.resize(table, 0.0);
            self.touched.resize(table / width, false);
            for (&id, g) in batch.ids.iter().zip(batch.rows.chunks_exact(width)) {
                self.touched[id as usize] = true;
                let sum = &mut self.table[id as usize * width..][..width];
                sum.iter_mut().zip(g).for_each(|(sum, g)| *sum += weight * g);
            }
        }
        self.batches += 1;
        self.samples += batch.samples;
    }

    /// Leaves all at 0; `ids` are the rows that are not.
    fn clear(&mut self, ids: &[u32], width: usize) {
        self.dense.fill(0.0);
        for &id in ids {
            self.table[id as usize * width..][..width].fill(0.0);
            self.touched[id as usize] = false;
        }
        (self.batches, self.samples) = (0, 0);
    }
}

/// Returns the length of vectors taken as one, summed over fixed chunks in their order: the same for any number of threads.
pub fn norm<const N: usize>(parts: [&[f32]; N]) -> f64 {
    let square = |chunk: &[f32]| chunk.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
    let of = |part: &[f32]| part.par_chunks(CHUNK).map(square).collect::<Vec<_>>();
    parts.into_iter().flat_map(of).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decay, Method};

    /// Plain descent: what a step does is the gradient times the rate.
    fn plain() -> OptimizerSettings {
        let (method, momentum, warm_up) = (Method::Sgd, 0.0, 0);
        OptimizerSettings { method, momentum, warm_up, ..OptimizerSettings::default() }
    }

    fn updates(settings: OptimizerSettings) -> Updates {
        Updates::new(&settings, (0.1, 0.0), 2, (4, 2))
    }

    fn close(a: &[f32], b: &[f32]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6)
    }

    const ONE: Gradients<'static> =
        Gradients { dense: &[3.0, 0.0], ids: &[1], rows: &[0.0, 4.0], samples: 1 };

    #[test]
    fn the_length_of_all_gradients_together_is_cut() {
        assert!((norm([ONE.dense, ONE.rows]) - 5.0).abs() < 1e-12);
        let (mut x, mut table) = ([0.0; 2], [0.0; 4]);
        // ‖(3, 4)‖ = 5 is cut to 1: (.6, .8), a tenth of it is gone.
        updates(OptimizerSettings { clip: Some(1.0), ..plain() }).add(&mut x, &mut table, ONE);
        assert!(close(&x, &[-0.06, 0.0]) && close(&table, &[0.0, 0.0, 0.0, -0.08]), "{x:?}");
        // What is short enough stays.
        let (mut y, mut other) = ([0.0; 2], [0.0; 4]);
        updates(OptimizerSettings { clip: Some(5.5), ..plain() }).add(&mut y, &mut other, ONE);
        assert!(close(&y, &[-0.3, 0.0]) && close(&other, &[0.0, 0.0, 0.0, -0.4]));
    }

    #[test]
    fn the_length_does_not_depend_on_threads() {
        let long: Vec<f32> = (0..100_000).map(|i| ((i * 37 % 101) as f32).sin()).collect();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| norm([&long, &long[..777]])).to_bits()
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn batches_are_weighed_by_their_samples_and_the_rest_is_not_lost() {
        let mut both = updates(OptimizerSettings { accumulate: 2, ..plain() });
        let (mut x, mut table) = ([0.0; 2], [0.0; 4]);
        both.add(&mut x, &mut table, ONE);
        assert!(close(&x, &[0.0; 2]), "waits for a second batch");
        let two = Gradients { dense: &[0.0, 2.0], ids: &[0], rows: &[1.0, 0.0], samples: 3 };
        both.add(&mut x, &mut table, two);
        // (1·(3, 0) + 3·(0, 2)) / 4 = (.75, 1.5); rows 3·(1, 0) / 4 and 1·(0, 4) / 4.
        assert!(close(&x, &[-0.075, -0.15]), "{x:?}");
        assert!(close(&table, &[-0.075, 0.0, 0.0, -0.1]), "{table:?}");
        both.add(&mut x, &mut table, ONE);
        both.flush(&mut x, &mut table);
        assert!(close(&x, &[-0.375, -0.15]) && close(&table, &[-0.075, 0.0, 0.0, -0.5]));
        both.flush(&mut x, &mut table);
        assert!(close(&x, &[-0.375, -0.15]), "nothing waits any more");
    }

    #[test]
    fn the_rate_follows_the_schedule_after_its_warm_up() {
        let settings = OptimizerSettings { warm_up: 2, schedule: Decay::Linear, ..plain() };
        let mut falling = updates(settings);
        falling.follow(settings.in_steps(4, 1));
        let (mut x, mut table) = ([0.0; 2], [0.0; 4]);
        let mut taken = Vec::new();
        for _ in 0..4 {
            let before = x[0];
            falling.add(&mut x, &mut table, ONE);
            taken.push((before - x[0]) / 0.3);
        }
        assert!(close(&taken, &[0.5, 1.0, 1.0, 0.5]), "{taken:?}");
    }
}
