//! How gradients move parameters: settings that all models trained by epochs share, and the two ways of moving.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Fault, PersistError, Saved};

use crate::sgd::{Sgd, SgdSettings};
use crate::{Adam, AdamSettings, Schedule};

/// How gradients move parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Every parameter by its own step length (Loshchilov and Hutter 2019).
    #[default]
    Adamw,
    /// Stochastic gradient descent with momentum; wants a learning rate some ten to a hundred times higher.
    Sgd,
}

/// How the learning rate goes on after its warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Stays as it is.
    #[default]
    Constant,
    /// Is multiplied with `factor` every `every` epochs.
    Step,
    /// Falls along half a cosine until `horizon` (Loshchilov and Hutter 2017).
    Cosine,
    /// Falls along a line to 0 until `horizon`.
    Linear,
}

/// The optimiser of a model that learns by epochs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerSettings {
    /// `adamw` or `sgd`.
    pub method: Method,
    /// Share of the last step that SGD keeps, 0 to below 1.
    pub momentum: f32,
    /// Largest length of all gradients together, above 0; longer ones are cut to it. Left out: none is cut.
    pub clip: Option<f32>,
    /// Steps over which the learning rate rises to its height, 0 to 1,000,000.
    pub warm_up: u64,
    /// `constant`, `step`, `cosine` or `linear`: how the learning rate goes on after its warm-up.
    pub schedule: Decay,
    /// Epochs between two cuts of `step`, 1 to 100,000.
    pub every: usize,
    /// What is left of the learning rate after a cut of `step`, and at the end of `cosine`; 0 to 1.
    pub factor: f32,
    /// Epochs until `cosine` and `linear` reach their end, 1 to 100,000; left out: `epochs`.
    pub horizon: Option<usize>,
    /// Batches whose gradients are added up for one step, 1 to 1024.
    pub accumulate: usize,
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        Self {
            method: Method::Adamw,
            momentum: 0.9,
            clip: None,
            warm_up: 100,
            schedule: Decay::Constant,
            every: 10,
            factor: 0.1,
            horizon: None,
            accumulate: 1,
        }
    }
}

impl OptimizerSettings {
    /// Lists every impossible value.
    pub fn faults(&self) -> Vec<Fault> {
        let Self { momentum, clip, warm_up, every, factor, horizon, accumulate, .. } = *self;
        let count = |field, n: usize, most: usize| {
            Fault::unless((1..=most).contains(&n), field, || format!("must be 1 to {most}, is {n}"))
        };
        let clips = clip.is_none_or(|clip| clip > 0.0 && clip.is_finite());
        [
            Fault::unless((0.0..1.0).contains(&momentum), "optimizer.momentum", || {
                format!("must be 0 or more and below 1, is {momentum}")
            }),
            Fault::unless(clips, "optimizer.clip", || {
                format!("must be above 0, is {}", clip.unwrap_or_default())
            }),
            Fault::unless(warm_up <= 1_000_000, "optimizer.warm_up", || {
                format!("must be at most 1000000, is {warm_up}")
            }),
            count("optimizer.every", every, 100_000),
            Fault::unless((0.0..=1.0).contains(&factor), "optimizer.factor", || {
                format!("must be 0 to 1, is {factor}")
            }),
            horizon.and_then(|n| count("optimizer.horizon", n, 100_000)),
            count("optimizer.accumulate", accumulate, 1024),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Returns them with the horizon that `epochs` mean, so that a fit that takes fewer epochs takes the same steps.
    #[must_use]
    pub fn settled(self, epochs: usize) -> Self {
        let falls = matches!(self.schedule, Decay::Cosine | Decay::Linear);
        Self { horizon: self.horizon.or(falls.then_some(epochs)), ..self }
    }

    /// Returns the schedule in steps, of which an epoch has `steps`; a run has at most `epochs`.
    pub fn in_steps(&self, steps: u64, epochs: usize) -> Schedule {
        let total = steps.saturating_mul(self.horizon.unwrap_or(epochs) as u64);
        match self.schedule {
            Decay::Constant => Schedule::Constant,
            Decay::Step => Schedule::Step {
                every: steps.saturating_mul(self.every as u64),
                factor: self.factor,
            },
            Decay::Cosine => Schedule::Cosine { total, floor: self.factor },
            Decay::Linear => Schedule::Linear { total },
        }
    }
}

/// Moves a block of parameters; see [`Adam`] and [`Sgd`].
#[derive(Clone, Debug, PartialEq)]
pub enum Optimizer {
    /// AdamW.
    Adam(Adam),
    /// SGD with momentum.
    Sgd(Sgd),
}

impl Optimizer {
    /// Starts without momentum.
    pub fn new(n_parameters: usize, settings: &OptimizerSettings, weight_decay: f32) -> Self {
        match settings.method {
            Method::Adamw => {
                let settings = AdamSettings { weight_decay, ..AdamSettings::default() };
                Self::Adam(Adam::new(n_parameters, settings))
            }
            Method::Sgd => {
                let settings = SgdSettings { momentum: settings.momentum, weight_decay };
                Self::Sgd(Sgd::new(n_parameters, settings))
            }
        }
    }

    /// Updates all parameters; gradients are multiplied with `shrink` first.
    pub fn step(&mut self, parameters: &mut [f32], gradients: &[f32], rate: f32, shrink: f32) {
        match self {
            Self::Adam(adam) => adam.step(parameters, gradients, rate, shrink),
            Self::Sgd(sgd) => sgd.step(parameters, gradients, rate, shrink),
        }
    }

    /// Updates the rows `ids` (distinct, rising) of some width; `gradients` holds theirs, in that order.
    pub fn step_rows(
        &mut self,
        parameters: &mut [f32],
        rows: (&[u32], usize),
        gradients: &[f32],
        rate: (f32, f32),
    ) {
        match self {
            Self::Adam(adam) => adam.step_rows(parameters, rows, gradients, rate),
            Self::Sgd(sgd) => sgd.step_rows(parameters, rows, gradients, rate),
        }
    }

    /// Counts the steps so far.
    pub fn steps(&self) -> u64 {
        match self {
            Self::Adam(adam) => adam.steps(),
            Self::Sgd(sgd) => sgd.steps(),
        }
    }

    /// Puts the momentum under `name` into a saved state.
    pub fn put(&self, name: &str, saved: &mut Saved) {
        match self {
            Self::Adam(adam) => adam.put(name, saved),
            Self::Sgd(sgd) => sgd.put(name, saved),
        }
    }

    /// Takes the momentum under `name` out of a saved state.
    pub fn take(&mut self, name: &str, saved: &mut Saved) -> Result<(), PersistError> {
        match self {
            Self::Adam(adam) => adam.take(name, saved),
            Self::Sgd(sgd) => sgd.take(name, saved),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_in_epochs_becomes_one_in_steps_and_keeps_its_horizon() {
        let of = |schedule| OptimizerSettings { schedule, ..OptimizerSettings::default() };
        assert_eq!(of(Decay::Constant).in_steps(7, 3), Schedule::Constant);
        let step = Schedule::Step { every: 70, factor: 0.1 };
        assert_eq!(of(Decay::Step).in_steps(7, 3), step);
        let cosine = of(Decay::Cosine);
        assert_eq!(cosine.in_steps(7, 3), Schedule::Cosine { total: 21, floor: 0.1 });
        assert_eq!(cosine.settled(3).in_steps(7, 2), cosine.in_steps(7, 3), "two epochs of three");
        assert_eq!(of(Decay::Linear).settled(9).in_steps(7, 2), Schedule::Linear { total: 63 });
        assert_eq!(of(Decay::Constant).settled(9), OptimizerSettings::default());
    }

    #[test]
    fn impossible_values_are_all_named() {
        let bad = OptimizerSettings {
            momentum: 1.0,
            clip: Some(0.0),
            warm_up: u64::MAX,
            every: 0,
            factor: f32::NAN,
            horizon: Some(0),
            accumulate: 0,
            ..OptimizerSettings::default()
        };
        let fields: Vec<_> = bad.faults().iter().map(|fault| fault.field).collect();
        let all = ["momentum", "clip", "warm_up", "every", "factor", "horizon", "accumulate"];
        assert_eq!(fields, all.map(|field| format!("optimizer.{field}")));
        assert!(OptimizerSettings::default().faults().is_empty());
    }
}
