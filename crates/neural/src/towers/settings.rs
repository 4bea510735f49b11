//! What can be chosen of the two towers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Checked, Fault, Fit, FitError, TrainData};

use super::fit::fit;
use super::model::TwoTower;

/// Settings of [`TwoTower`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TwoTowerSettings {
    /// Length of the vectors.
    pub dim: usize,
    /// Widths of the hidden layers of both towers; none: a side's vector is the sum of its parts.
    pub hidden: Vec<usize>,
    /// Newest events of a history that are read.
    pub history: usize,
    /// How fast an event of the history loses weight as newer ones follow: `(1 + age)^-recency`, with age 0 for the newest.
    pub recency: f32,
    /// Principal components of the item texts that are read; 0 = none.
    pub text_dim: usize,
    /// Brings all vectors to length 1, so that products are cosines.
    pub normalise: bool,
    /// What products are divided by; the smaller, the more the hardest of the other items count.
    pub temperature: f32,
    /// Share of the log-Q correction: 1 learns what is taken next, 0 what is taken more than its popularity lets expect.
    pub correction: f32,
    /// Share of items and users in a step that are known by their texts and columns alone.
    pub unknown: f32,
    /// Share of values dropped at the entry of the towers and in their hidden layers.
    pub dropout: f32,
    /// Length of a step.
    pub learning_rate: f32,
    /// How strongly vectors and weights are drawn towards 0.
    pub weight_decay: f32,
    /// Events that compete with one another; a step takes four times as many. Left out: by the number of events, 256 to 1024.
    pub batch: Option<usize>,
    /// Epochs at most; without validation events, exactly.
    pub epochs: usize,
    /// Epochs without a better validation before training ends.
    pub patience: usize,
    /// Memory for training; a fit that would need more is refused.
    pub max_memory_mb: usize,
}

impl Default for TwoTowerSettings {
    fn default() -> Self {
        Self {
            dim: 64,
            hidden: Vec::new(),
            history: 50,
            recency: 0.7,
            text_dim: 256,
            normalise: true,
            temperature: 0.1,
            correction: 1.0,
            unknown: 0.1,
            dropout: 0.2,
            learning_rate: 2e-3,
            weight_decay: 0.0,
            batch: None,
            epochs: 100,
            patience: 5,
            max_memory_mb: 16_384,
        }
    }
}

impl TwoTowerSettings {
    /// Returns the events that compete with one another, of `n` in all.
    pub(super) fn batch(&self, n: usize) -> usize {
        self.batch.unwrap_or((n / 800).next_power_of_two().clamp(256, 1024))
    }
}

impl Fit for TwoTowerSettings {
    type Model = TwoTower;

    const SETTLES: bool = true;
    const READS_COLUMNS: bool = true;

    fn faults(&self) -> Vec<Fault> {
        let count = |field, n: usize, most: usize| {
            Fault::unless((1..=most).contains(&n), field, || format!("must be 1 to {most}, is {n}"))
        };
        let within = |field, x: f32, most: f32| {
            Fault::unless((0.0..=most).contains(&x), field, || {
                format!("must be from 0 to {most}, is {x}")
            })
        };
        let share = |field, x: f32| {
            Fault::unless((0.0..1.0).contains(&x), field, || {
                format!("must be 0 or more and below 1, is {x}")
            })
        };
        let above_zero = |field, x: f32, most: f32| {
            Fault::unless(x > 0.0 && x <= most, field, || {
                format!("must be above 0 and at most {most}, is {x}")
            })
        };
        let widths = || format!("must be at most 8 widths of 1 to 4096, is {:?}", self.hidden);
        let fits =
            self.hidden.len() <= 8 && self.hidden.iter().all(|width| (1..=4096).contains(width));
        [
            count("dim", self.dim, 4096),
            Fault::unless(fits, "hidden", widths),
            count("history", self.history, 4096),
            within("recency", self.recency, 100.0),
            Fault::unless(self.text_dim <= 256, "text_dim", || {
                format!("must be 0 to 256, is {}", self.text_dim)
            }),
            above_zero("temperature", self.temperature, 100.0),
            within("correction", self.correction, 1.0),
            share("unknown", self.unknown),
            share("dropout", self.dropout),
            above_zero("learning_rate", self.learning_rate, 1.0),
            within("weight_decay", self.weight_decay, 10.0),
            self.batch.and_then(|n| count("batch", n, 1 << 15)),
            count("epochs", self.epochs, 100_000),
            count("patience", self.patience, 100_000),
            count("max_memory_mb", self.max_memory_mb, 1 << 30),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn reads_text(&self) -> bool {
        self.text_dim > 0
    }

    fn settled(&self, model: &TwoTower) -> Self {
        model.settings().clone()
    }

    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<TwoTower, FitError> {
        fit(settings, data)
    }
}
