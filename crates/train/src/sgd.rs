//! SGD with momentum (Sutskever et al. 2013) on rows of parameters, on all cores.
//!
//! `v = μ v + g`, `x = (1 - η λ) x - η v`, with the decay decoupled as in AdamW (Loshchilov and Hutter 2019). Rows that had no
//! gradient are not touched: neither they nor their momentum move.

use multiversion::multiversion;
use rayon::prelude::*;
use tastemaker_core::{PersistError, Saved};

use crate::adam::{CHUNK, pick};

/// Settings of [`Sgd`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdSettings {
    /// Share of the last step that is kept, μ.
    pub momentum: f32,
    /// Decoupled weight decay, λ.
    pub weight_decay: f32,
}

/// The momentum of a block of parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Sgd {
    settings: SgdSettings,
    velocity: Vec<f32>,
    steps: u32,
}

impl Sgd {
    /// Starts without momentum.
    pub fn new(n_parameters: usize, settings: SgdSettings) -> Self {
        Self { settings, velocity: vec![0.0; n_parameters], steps: 0 }
    }

    /// Updates all parameters; gradients are multiplied with `shrink` first.
    ///
    /// # Panics
    /// When parameters and gradients are not as many as the momentum.
    pub fn step(&mut self, parameters: &mut [f32], gradients: &[f32], rate: f32, shrink: f32) {
        assert!(parameters.len() == self.velocity.len() && gradients.len() == parameters.len());
        self.steps = self.steps.saturating_add(1);
        let settings = self.settings;
        let all = parameters.par_chunks_mut(CHUNK).zip(gradients.par_chunks(CHUNK));
        let all = all.zip(self.velocity.par_chunks_mut(CHUNK));
        all.for_each(|((x, g), v)| update(settings, (rate, shrink), (x, g), v));
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
        self.steps = self.steps.saturating_add(1);
        let settings = self.settings;
        let rows = pick(parameters, ids, width).into_par_iter().zip(gradients.par_chunks(width));
        let rows = rows.zip(pick(&mut self.velocity, ids, width));
        let rows = rows.with_min_len((CHUNK / width.max(1)).max(1));
        rows.for_each(|((x, g), v)| update(settings, (rate, shrink), (x, g), v));
    }

    /// Counts the steps so far.
    pub fn steps(&self) -> u64 {
        u64::from(self.steps)
    }

    /// Puts the momentum under `name` into a saved state.
    pub fn put(&self, name: &str, saved: &mut Saved) {
        saved.put_f32(&format!("{name}.velocity"), &[self.velocity.len()], self.velocity.clone());
        saved.put_u32(&format!("{name}.steps"), &[1], vec![self.steps]);
    }

    /// Takes the momentum under `name` out of a saved state.
    pub fn take(&mut self, name: &str, saved: &mut Saved) -> Result<(), PersistError> {
        let (_, velocity) = saved.take_f32(&format!("{name}.velocity"))?;
        let (_, steps) = saved.take_u32(&format!("{name}.steps"))?;
        if velocity.len() != self.velocity.len() || steps.len() != 1 {
            return Err(PersistError::Shape { name: name.into() });
        }
        (self.velocity, self.steps) = (velocity, steps[0]);
        Ok(())
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn update(
    settings: SgdSettings,
    (rate, shrink): (f32, f32),
    (x, g): (&mut [f32], &[f32]),
    v: &mut [f32],
) {
    let SgdSettings { momentum, weight_decay } = settings;
    let keep = 1.0 - rate * weight_decay;
    for ((x, g), v) in x.iter_mut().zip(g).zip(v) {
        *v = momentum * *v + g * shrink;
        *x = keep * *x - rate * *v;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() < 1e-6
    }

    const SETTINGS: SgdSettings = SgdSettings { momentum: 0.5, weight_decay: 0.1 };

    #[test]
    fn two_steps_by_hand() {
        let (mut sgd, mut x) = (Sgd::new(1, SETTINGS), [1.0]);
        // v = 4·.5 = 2; x = (1 - .1·.1)·1 - .1·2 = .79.
        sgd.step(&mut x, &[4.0], 0.1, 0.5);
        assert!(close(x[0], 0.79), "{x:?}");
        // v = .5·2 + 3 = 4; x = .99·.79 - .1·4 = .3821.
        sgd.step(&mut x, &[3.0], 0.1, 1.0);
        assert!(close(x[0], 0.3821), "{x:?}");
        assert_eq!(sgd.steps(), 2);
    }

    #[test]
    fn rows_without_a_gradient_stay_and_rows_with_one_go_as_in_a_whole_step() {
        let start: Vec<f32> = (0..6).map(|i| i as f32).collect();
        let (mut whole, mut x) = (Sgd::new(6, SETTINGS), start.clone());
        let (mut sparse, mut y) = (Sgd::new(6, SETTINGS), start.clone());
        for _ in 0..2 {
            whole.step(&mut x, &[0.0, 0.0, 1.0, -1.0, 0.0, 0.0], 0.01, 0.5);
            sparse.step_rows(&mut y, (&[1], 2), &[1.0, -1.0], (0.01, 0.5));
        }
        assert!(close(x[2], y[2]) && close(x[3], y[3]));
        assert!(close(y[0], start[0]) && close(y[5], start[5]));
    }

    #[test]
    fn momentum_comes_back_as_it_was() {
        let mut sgd = Sgd::new(3, SETTINGS);
        sgd.step(&mut [1.0; 3], &[0.1, 0.2, 0.3], 0.1, 1.0);
        let mut saved = Saved::default();
        sgd.put("table", &mut saved);
        let mut again = Sgd::new(3, SETTINGS);
        assert!(again.take("table", &mut saved.clone()).is_ok() && again == sgd);
        assert!(Sgd::new(4, SETTINGS).take("table", &mut saved).is_err());
    }
}
