//! AdamW (Kingma and Ba 2015; Loshchilov and Hutter 2019) on rows of parameters, on all cores.
//!
//! `m = β₁ m + (1 - β₁) g`, `v = β₂ v + (1 - β₂) g²`, `x = (1 - η λ) x - η m̂ / (sqrt(v̂) + ε)`. Rows that had no gradient are
//! not touched: neither they nor their momentum move, which makes a step as cheap as the rows that take part in it.

use multiversion::multiversion;
use rayon::prelude::*;
use tastemaker_core::{PersistError, Saved};

/// Parameters updated by one task; fixed, so that nothing depends on the number of threads.
pub(crate) const CHUNK: usize = 1 << 14;

/// Settings of [`Adam`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSettings {
    /// Decay of the mean, β₁.
    pub beta1: f32,
    /// Decay of the mean square, β₂.
    pub beta2: f32,
    /// Keeps the denominator from 0.
    pub epsilon: f32,
    /// Decoupled weight decay, λ.
    pub weight_decay: f32,
}

impl Default for AdamSettings {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// The momentum of a block of parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adam {
    settings: AdamSettings,
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: u32,
}

/// What a step multiplies with.
#[derive(Clone, Copy)]
struct Rates {
    settings: AdamSettings,
    rate: f32,
    /// `1 / sqrt(1 - β₂^t)`.
    square: f32,
    /// What every gradient is multiplied with, for clipping.
    shrink: f32,
}

impl Adam {
    /// Starts without momentum.
    pub fn new(n_parameters: usize, settings: AdamSettings) -> Self {
        Self { settings, mean: vec![0.0; n_parameters], square: vec![0.0; n_parameters], steps: 0 }
    }

    /// Updates all parameters; gradients are multiplied with `shrink` first.
    ///
    /// # Panics
    /// When parameters and gradients are not as many as the momentum.
    pub fn step(&mut self, parameters: &mut [f32], gradients: &[f32], rate: f32, shrink: f32) {
        assert!(parameters.len() == self.mean.len() && gradients.len() == parameters.len());
        let rates = self.next(rate, shrink);
        let state = self.mean.par_chunks_mut(CHUNK).zip(self.square.par_chunks_mut(CHUNK));
        let all = parameters.par_chunks_mut(CHUNK).zip(gradients.par_chunks(CHUNK)).zip(state);
        all.for_each(|((x, g), (m, v))| update(rates, (x, g), (m, v)));
    }

    /// Updates the rows `ids` (distinct, rising) of `width` parameters each; `gradients` holds theirs, in that order.
    ///
    /// # Panics
    /// When a row lies outside the parameters.
    pub fn step_rows(
        &mut self,
        parameters: &mut [f32],
        (ids, width): (&[u32], usize),
        gradients: &[f32],
        (rate, shrink): (f32, f32),
    ) {
        if ids.len() * width == parameters.len() {
            return self.step(parameters, gradients, rate, shrink);
        }
        let rates = self.next(rate, shrink);
        let rows = pick(parameters, ids, width).into_par_iter().zip(gradients.par_chunks(width));
        let state = pick(&mut self.mean, ids, width).into_par_iter();
        let state = state.zip(pick(&mut self.square, ids, width));
        let rows = rows.zip(state).with_min_len((CHUNK / width.max(1)).max(1));
        rows.for_each(|((x, g), (m, v))| update(rates, (x, g), (m, v)));
    }

    /// Counts the steps so far.
    pub fn steps(&self) -> u64 {
        u64::from(self.steps)
    }

    fn next(&mut self, rate: f32, shrink: f32) -> Rates {
        let settings = self.settings;
        self.steps = self.steps.saturating_add(1);
        let left =
            |beta: f32| 1.0 - f64::from(beta).powi(i32::try_from(self.steps).unwrap_or(i32::MAX));
        let rate = (f64::from(rate) / left(settings.beta1)) as f32;
        Rates { settings, rate, square: (1.0 / left(settings.beta2).sqrt()) as f32, shrink }
    }

    /// Puts the momentum under `name` into a saved state.
    pub fn put(&self, name: &str, saved: &mut Saved) {
        saved.put_f32(&format!("{name}.mean"), &[self.mean.len()], self.mean.clone());
        saved.put_f32(&format!("{name}.square"), &[self.square.len()], self.square.clone());
        saved.put_u32(&format!("{name}.steps"), &[1], vec![self.steps]);
    }

    /// Takes the momentum under `name` out of a saved state.
    pub fn take(&mut self, name: &str, saved: &mut Saved) -> Result<(), PersistError> {
        let (_, mean) = saved.take_f32(&format!("{name}.mean"))?;
        let (_, square) = saved.take_f32(&format!("{name}.square"))?;
        let (_, steps) = saved.take_u32(&format!("{name}.steps"))?;
        if mean.len() != self.mean.len() || square.len() != mean.len() || steps.len() != 1 {
            return Err(PersistError::Shape { name: name.into() });
        }
        (self.mean, self.square, self.steps) = (mean, square, steps[0]);
        Ok(())
    }
}

/// Borrows the rows `ids` (distinct, rising) of a table.
pub(crate) fn pick<'a>(mut table: &'a mut [f32], ids: &[u32], width: usize) -> Vec<&'a mut [f32]> {
    let mut passed = 0;
    ids.iter()
        .map(|&id| {
            let (_, rest) = std::mem::take(&mut table).split_at_mut((id as usize - passed) * width);
            let (row, rest) = rest.split_at_mut(width);
            (table, passed) = (rest, id as usize + 1);
            row
        })
        .collect()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn update(rates: Rates, (x, g): (&mut [f32], &[f32]), (m, v): (&mut [f32], &mut [f32])) {
    let Rates { settings: AdamSettings { beta1, beta2, epsilon, weight_decay }, rate, .. } = rates;
    // The bias correction of the mean is part of `rate`; decay goes by the plain learning rate, nearly the same after
    // the first steps.
    let keep = 1.0 - rate * weight_decay;
    for (((x, g), m), v) in x.iter_mut().zip(g).zip(m).zip(v) {
        let g = g * rates.shrink;
        *m = beta1 * *m + (1.0 - beta1) * g;
        *v = beta2 * *v + (1.0 - beta2) * g * g;
        *x = keep * *x - rate * *m / (v.sqrt() * rates.square + epsilon);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn two_steps_by_hand() {
        let settings = AdamSettings { beta1: 0.5, beta2: 0.75, epsilon: 0.0, weight_decay: 0.0 };
        let (mut adam, mut x) = (Adam::new(1, settings), [1.0]);
        // First step: m̂ = g, v̂ = g²: one learning rate down, whatever the gradient.
        adam.step(&mut x, &[4.0], 0.1, 1.0);
        assert!(close(x[0], 0.9), "{x:?}");
        // m = .5·2 + .5·2 = 2, m̂ = 2 / .75; v = .75·4 + .25·4 = 4, v̂ = 4 / .4375: step .1 · 2.666667 / 3.023716.
        adam.step(&mut x, &[2.0], 0.1, 1.0);
        assert!(close(x[0], 0.9 - 0.1 * 2.666_666_7 / 3.023_716), "{x:?}");
    }

    #[test]
    fn rows_without_a_gradient_stay_and_rows_with_one_go_as_in_a_whole_step() {
        let settings = AdamSettings { weight_decay: 0.1, ..AdamSettings::default() };
        let start: Vec<f32> = (0..6).map(|i| i as f32).collect();
        let (mut whole, mut x) = (Adam::new(6, settings), start.clone());
        whole.step(&mut x, &[0.0, 0.0, 1.0, -1.0, 0.0, 0.0], 0.01, 0.5);
        let (mut sparse, mut y) = (Adam::new(6, settings), start.clone());
        sparse.step_rows(&mut y, (&[1], 2), &[1.0, -1.0], (0.01, 0.5));
        assert!(close(x[2], y[2]) && close(x[3], y[3]));
        assert!(close(y[0], start[0]) && close(y[5], start[5]));
    }

    #[test]
    fn momentum_comes_back_as_it_was() {
        let mut adam = Adam::new(3, AdamSettings::default());
        adam.step(&mut [1.0; 3], &[0.1, 0.2, 0.3], 0.1, 1.0);
        let mut saved = Saved::default();
        adam.put("table", &mut saved);
        let mut again = Adam::new(3, AdamSettings::default());
        assert!(again.take("table", &mut saved.clone()).is_ok() && again == adam);
        assert!(Adam::new(4, AdamSettings::default()).take("table", &mut saved).is_err());
    }
}
