//! What can be chosen of LightGCN, and the rules by which what is left out follows from the data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Checked, Fault, Fit, FitError, TrainData};

use super::adjacency::Graph;
use super::fit::fit;
use super::model::LightGcn;

/// Steps of an epoch: each passes vectors on along the whole graph and back, whatever its events.
const STEPS: usize = 16;

/// What is minimised, for a user and an item they took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GraphLoss {
    /// Softmax over the item and `negatives` others, drawn by the root of their counts and corrected for how often they are.
    SampledSoftmax,
    /// Pairwise ranking of the item against `negatives` others, drawn alike: the loss of the paper.
    Bpr,
    /// Softmax over all items that were ever taken.
    CrossEntropy,
}

/// Settings of [`LightGcn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LightGcnSettings {
    /// Length of the vectors.
    pub dim: usize,
    /// How often vectors are passed on along the graph.
    pub layers: usize,
    /// Share of each layer in the final vectors, the learnt vectors first: `layers + 1` numbers; left out: all alike.
    pub layer_weights: Option<Vec<f32>>,
    /// What is minimised; left out: `cross-entropy` where it costs at most twice as much as the draws would, `sampled-softmax`
    /// elsewhere.
    pub loss: Option<GraphLoss>,
    /// Items drawn for every 256 events, for the losses that draw.
    pub negatives: usize,
    /// Length of a step.
    pub learning_rate: f32,
    /// How strongly vectors are drawn towards 0.
    pub regularization: f32,
    /// Events in a step, all of a user's together; left out: a sixteenth of all, 1024 to 131072.
    pub batch: Option<usize>,
    /// Epochs at most; without validation events, exactly.
    pub epochs: usize,
    /// Epochs without a better validation before training ends.
    pub patience: usize,
    /// How fast an event of the history loses weight as newer ones follow, when a user's vector is made for an answer: its
    /// weight is `(1 + age)^-recency`, with age 0 for the newest. Left out: chosen on validation events, 0.7 without them.
    pub recency: Option<f32>,
    /// Memory for training; a fit that would need more is refused.
    pub max_memory_mb: usize,
}

impl Default for LightGcnSettings {
    fn default() -> Self {
        Self {
            dim: 64,
            layers: 3,
            layer_weights: None,
            loss: None,
            negatives: 256,
            learning_rate: 0.02,
            regularization: 1e-4,
            batch: None,
            epochs: 200,
            patience: 8,
            recency: None,
            max_memory_mb: 16_384,
        }
    }
}

/// What was left out, filled in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Resolved {
    pub(super) loss: GraphLoss,
    pub(super) batch: usize,
}

impl LightGcnSettings {
    /// Fills in what was left out, by the shape of the graph.
    pub(super) fn resolve(&self, graph: &Graph) -> Resolved {
        // Logits of an epoch: of every user with all items, or of every event with those drawn.
        let whole = graph.n_users() * graph.n_items();
        let drawn = graph.n_pairs() * self.negatives;
        let cheapest =
            if whole <= 2 * drawn { GraphLoss::CrossEntropy } else { GraphLoss::SampledSoftmax };
        Resolved {
            loss: self.loss.unwrap_or(cheapest),
            batch: self.batch.unwrap_or((graph.n_pairs() / STEPS).clamp(1 << 10, 1 << 17)),
        }
    }

    /// Returns the share of every layer, their sum being 1.
    pub(super) fn shares(&self) -> Vec<f32> {
        let weights = self.layer_weights.clone().unwrap_or_else(|| vec![1.0; self.layers + 1]);
        let sum: f32 = weights.iter().sum();
        weights.iter().map(|weight| weight / sum).collect()
    }
}

impl Fit for LightGcnSettings {
    type Model = LightGcn;

    const SETTLES: bool = true;

    const SPACE: &'static [(&'static str, &'static str)] = &[
        ("dim", "32,64,128"),
        ("layers", "1,2,3,4"),
        ("learning_rate", "log(5e-3, 5e-2)"),
        ("regularization", "log(1e-6, 1e-3)"),
    ];

    fn faults(&self) -> Vec<Fault> {
        let count = |field, n: usize, most: usize| {
            Fault::unless((1..=most).contains(&n), field, || format!("must be 1 to {most}, is {n}"))
        };
        let within = |field, x: f32, most: f32| {
            Fault::unless((0.0..=most).contains(&x), field, || {
                format!("must be from 0 to {most}, is {x}")
            })
        };
        let rate = || format!("must be above 0 and at most 1, is {}", self.learning_rate);
        let rate_holds = self.learning_rate > 0.0 && self.learning_rate <= 1.0;
        let weights = self.layer_weights.as_ref().and_then(|weights| {
            let positive = weights.iter().all(|x| (0.0..=1e6).contains(x));
            // What is passed on is all that is known of a stranger.
            let passed_on = weights.iter().skip(1).any(|x| *x > 0.0);
            let holds = weights.len() == self.layers + 1 && positive && passed_on;
            Fault::unless(holds, "layer_weights", || {
                let n = self.layers + 1;
                format!(
                    "must be {n} numbers, one more than `layers`, each from 0 to 1000000 and one after the first above 0, is {weights:?}"
                )
            })
        });
        [
            count("dim", self.dim, 4096),
            count("layers", self.layers, 16),
            weights,
            count("negatives", self.negatives, 1 << 20),
            Fault::unless(rate_holds, "learning_rate", rate),
            within("regularization", self.regularization, 1e6),
            self.batch.and_then(|n| count("batch", n, 1 << 30)),
            count("epochs", self.epochs, 100_000),
            count("patience", self.patience, 100_000),
            self.recency.and_then(|x| within("recency", x, 100.0)),
            count("max_memory_mb", self.max_memory_mb, 1 << 30),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn settled(&self, model: &LightGcn) -> Self {
        model.settings().clone()
    }

    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<LightGcn, FitError> {
        fit(settings, data)
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::contract;

    use super::*;

    fn small() -> LightGcnSettings {
        LightGcnSettings {
            dim: 16,
            learning_rate: 2e-2,
            batch: Some(64),
            epochs: 60,
            ..LightGcnSettings::default()
        }
    }

    #[test]
    fn keeps_the_contracts_and_learns_the_checkerboard_with_every_loss() {
        for loss in [GraphLoss::SampledSoftmax, GraphLoss::Bpr, GraphLoss::CrossEntropy] {
            let settings = || LightGcnSettings { loss: Some(loss), ..small() };
            contract::recommender(settings);
            contract::learns_the_checkerboard(settings);
        }
        contract::similar(small);
        contract::embed(small);
        contract::evidence(small);
    }

    #[test]
    fn impossible_settings_are_all_named() {
        let bad = LightGcnSettings {
            dim: 0,
            layers: 17,
            layer_weights: Some(vec![1.0, 0.0]),
            negatives: 0,
            learning_rate: f32::NAN,
            regularization: -1.0,
            batch: Some(0),
            epochs: 0,
            patience: 0,
            recency: Some(-1.0),
            max_memory_mb: 0,
            ..LightGcnSettings::default()
        };
        let fields: Vec<_> = bad.faults().iter().map(|fault| fault.field).collect();
        let all = [
            "dim",
            "layers",
            "layer_weights",
            "negatives",
            "learning_rate",
            "regularization",
            "batch",
            "epochs",
            "patience",
            "recency",
            "max_memory_mb",
        ];
        assert_eq!(fields, all);
    }

    #[test]
    fn layers_count_alike_unless_told_otherwise_and_add_up_to_one() {
        let shares = |layer_weights| {
            LightGcnSettings { layers: 1, layer_weights, ..LightGcnSettings::default() }.shares()
        };
        tastemaker_testkit::assert_all_close(&shares(None), &[0.5, 0.5], 1e-6);
        tastemaker_testkit::assert_all_close(&shares(Some(vec![1.0, 3.0])), &[0.25, 0.75], 1e-6);
    }
}
