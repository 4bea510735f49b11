//! Which items are ranked for whom: settings, cases and context of an evaluation, and their checks.
//!
//! Every item of the catalogue is a candidate unless negatives are sampled; items of the user's history never are,
//! so that a target which repeats the history counts as a miss.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Fault, Histories, ItemId, Labels, UserId, Vectors};

use crate::Error;

const MAX_CUTOFF: usize = 1000;
const MAX_CUTOFFS: usize = 16;
const MAX_NEGATIVES: usize = 1000;
const MAX_BOOTSTRAP: usize = 100_000;

/// How models are measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Lengths of the lists that are judged.
    pub cutoffs: Vec<usize>,
    /// Which items compete with the targets.
    pub candidates: Candidates,
    /// Test users that are drawn and measured; 0 = all.
    pub users: usize,
    /// Items drawn for each held-out event where clicks are predicted, uniformly among those the user never took.
    pub negatives: usize,
    /// Rating from which on a held-out event counts as liked, where ratings are predicted.
    pub positive_at: f32,
    /// Resamples behind every interval.
    pub bootstrap: usize,
    /// Root of the random streams of resampling, tests and sampled negatives.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cutoffs: vec![10, 20],
            candidates: Candidates::Full,
            users: 0,
            negatives: 4,
            positive_at: 4.0,
            bootstrap: 1000,
            seed: 42,
        }
    }
}

impl Settings {
    /// Lists every impossible value; empty when all is well.
    pub fn faults(&self) -> Vec<Fault> {
        let cutoffs = &self.cutoffs;
        let allowed = |k: &usize| (1..=MAX_CUTOFF).contains(k);
        let sampled = match self.candidates {
            Candidates::Full => 1,
            Candidates::Sampled { negatives } => negatives,
        };
        [
            Fault::unless((1..=MAX_CUTOFFS).contains(&cutoffs.len()), "cutoffs", || {
                format!("must list 1 to {MAX_CUTOFFS} numbers, lists {}", cutoffs.len())
            }),
            Fault::unless(cutoffs.iter().all(allowed), "cutoffs", || {
                format!("must lie between 1 and {MAX_CUTOFF}, are {cutoffs:?}")
            }),
            Fault::unless(sampled > 0, "candidates", || {
                "must sample at least 1 negative, or be \"full\"".to_owned()
            }),
            Fault::unless((1..=MAX_NEGATIVES).contains(&self.negatives), "negatives", || {
                format!("must lie between 1 and {MAX_NEGATIVES}, is {}", self.negatives)
            }),
            Fault::unless(self.positive_at.is_finite(), "positive_at", || {
                format!("must be a number, is {}", self.positive_at)
            }),
            Fault::unless((10..=MAX_BOOTSTRAP).contains(&self.bootstrap), "bootstrap", || {
                format!("must lie between 10 and {MAX_BOOTSTRAP}, is {}", self.bootstrap)
            }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Returns the cutoffs in rising order, each once.
    pub(crate) fn sorted_cutoffs(&self) -> Vec<usize> {
        let mut cutoffs = self.cutoffs.clone();
        cutoffs.sort_unstable();
        cutoffs.dedup();
        cutoffs
    }
}

/// Which items compete with the targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Candidates {
    /// Every item of the catalogue, minus the user's history.
    #[default]
    Full,
    /// The targets and some items drawn at random, the same for every model. Not comparable with full ranking.
    Sampled {
        /// Items drawn per user.
        negatives: usize,
    },
}

impl fmt::Display for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Sampled { negatives } => write!(f, "sampled ({negatives} negatives)"),
        }
    }
}

/// Whom to evaluate: row by row a user, what is known of them, and what they should be shown.
#[derive(Clone, Copy, Debug)]
pub struct Cases<'a> {
    /// The user of each row.
    pub users: &'a [UserId],
    /// What the model is told.
    pub histories: &'a Histories,
    /// What happened next.
    pub targets: &'a Histories,
}

/// What is known beside the cases.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Size of the catalogue.
    pub n_items: usize,
    /// What the models learned from: the source of popularity.
    pub train: &'a Histories,
    /// Text vectors of the items, for the diversity of lists.
    pub vectors: Option<&'a Vectors>,
    /// Labels of the items, such as genres, for the calibration of lists.
    pub labels: Option<&'a Labels>,
    /// Restricts the candidates, for instance to cold items: one entry per item.
    pub allowed: Option<&'a [bool]>,
}

impl Cases<'_> {
    /// Refuses cases that do not fit together or name items outside the catalogue.
    pub(crate) fn check(&self, n_items: usize) -> Result<(), Error> {
        let (users, histories, targets) =
            (self.users.len(), self.histories.n_users(), self.targets.n_users());
        if users != histories || users != targets {
            return Err(Error::UnevenCases { users, histories, targets });
        }
        if users == 0 {
            return Err(Error::NoCases);
        }
        if let Some((user, _)) =
            self.users.iter().zip(self.targets.iter()).find(|(_, t)| t.is_empty())
        {
            return Err(Error::NoTarget { user: user.0 });
        }
        check_items("a target", self.targets.events().items, n_items)
    }
}

impl Context<'_> {
    /// Refuses tables of another catalogue.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let n_items = self.n_items;
        let tables = [
            ("item vectors", self.vectors.map_or(n_items, Vectors::rows)),
            ("allowed candidates", self.allowed.map_or(n_items, <[bool]>::len)),
        ];
        for (what, rows) in tables {
            if rows != n_items {
                return Err(Error::WrongCatalogue { what, rows, n_items });
            }
        }
        check_items("a training event", self.train.events().items, n_items)
    }
}

fn check_items(what: &'static str, items: &[ItemId], n_items: usize) -> Result<(), Error> {
    match items.iter().find(|item| item.index() >= n_items) {
        Some(item) => Err(Error::WrongItem { what, item: item.0, n_items }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_impossible_settings_are_reported_at_once() {
        assert!(Settings::default().faults().is_empty());
        let wrong = Settings {
            cutoffs: vec![0],
            candidates: Candidates::Sampled { negatives: 0 },
            users: 0,
            negatives: 0,
            positive_at: f32::NAN,
            bootstrap: 1,
            seed: 0,
        };
        let fields: Vec<&str> = wrong.faults().iter().map(|f| f.field).collect();
        assert_eq!(fields, ["cutoffs", "candidates", "negatives", "positive_at", "bootstrap"]);
    }

    #[test]
    fn settings_travel_through_json_and_refuse_unknown_keys() {
        let sampled =
            Settings { candidates: Candidates::Sampled { negatives: 99 }, ..Settings::default() };
        let json = serde_json::to_string(&sampled).unwrap();
        assert!(json.contains(r#""candidates":{"sampled":{"negatives":99}}"#), "{json}");
        assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), sampled);
        assert!(serde_json::from_str::<Settings>(r#"{"cutofs":[10]}"#).is_err());
        assert_eq!(
            serde_json::from_str::<Settings>(r#"{"candidates":"full"}"#).unwrap(),
            Settings::default()
        );
    }
}
