//! How models are fused: what is added, on which scale, and how the weights are found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::Fault;

use crate::{BoostSettings, Normalise};

/// How the parts' scores become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Weighted sum of normalised scores, weights found on validation.
    Weighted,
    /// The same, and the head of the list ordered anew by gradient-boosted trees (`LambdaMART`, Burges 2010), where that proves better on
    /// validation lists they were not grown on.
    #[default]
    Boosted,
    /// Weighted sum with the weights of a logistic regression of what came next (stacking, Wolpert 1992).
    Stacked,
    /// Reciprocal-rank voting (Cormack et al. 2009): every part has the same say, nothing is learnt.
    Vote,
}

/// Settings of the fused model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FusionSettings {
    /// Models that are added up; one that cannot be fitted on the data (text-knn without texts) is left out.
    pub parts: Vec<String>,
    /// `weighted`: weights found on validation; `boosted`: the same, and trees that order the head of the list anew; `stacked`: weights
    /// by logistic regression on validation; `vote`: reciprocal-rank voting, nothing learnt.
    pub method: Method,
    /// Scale on which scores are added: `z-score`, `log-z-score` or `rank`; left out: one of the first two, whichever is
    /// better on validation.
    pub normalise: Option<Normalise>,
    /// Weights may differ by length of the user's history: upper ends of the buckets; empty = the same for all.
    pub gate: Vec<usize>,
    /// Validation users whose events choose the weights.
    pub users: usize,
    /// Items nobody has touched borrow the behaviour scores of this many items with the nearest texts; 0 = off.
    pub cold_neighbours: usize,
    /// How much of the borrowed score a cold item is given, 0 to 1.
    pub cold_trust: f32,
    /// For `method = "boosted"`: the trees.
    pub boost: BoostSettings,
}

impl Default for FusionSettings {
    fn default() -> Self {
        Self {
            parts: ["markov", "ials", "ease", "item-knn", "text-knn"].map(String::from).to_vec(),
            method: Method::default(),
            normalise: None,
            gate: vec![5, 10, 20, 50],
            users: 4000,
            cold_neighbours: 10,
            cold_trust: 0.85,
            boost: BoostSettings::default(),
        }
    }
}

impl FusionSettings {
    /// Lists the scales to choose from.
    pub(crate) fn scales(&self) -> Vec<Normalise> {
        match (self.method, self.normalise) {
            (Method::Vote, _) => vec![Normalise::Rank],
            (_, Some(scale)) => vec![scale],
            (_, None) => vec![Normalise::ZScore, Normalise::LogZScore],
        }
    }

    /// Lists every impossible value.
    pub fn faults(&self) -> Vec<Fault> {
        let sorted = self.gate.is_sorted_by(|a, b| a < b);
        [
            Fault::unless(!self.parts.is_empty(), "parts", || {
                "must name at least one model".into()
            }),
            Fault::unless(sorted, "gate", || format!("must rise, is {:?}", self.gate)),
            Fault::unless(self.gate.len() <= 16, "gate", || "must have at most 16 buckets".into()),
            Fault::unless(self.users >= 1, "users", || "must be at least 1".into()),
            Fault::unless(self.cold_neighbours <= 1000, "cold_neighbours", || {
                format!("must be at most 1000, is {}", self.cold_neighbours)
            }),
            Fault::unless((0.0..=1.0).contains(&self.cold_trust), "cold_trust", || {
                format!("must be between 0 and 1, is {}", self.cold_trust)
            }),
        ]
        .into_iter()
        .flatten()
        .chain(self.boost.faults())
        .collect()
    }
}
