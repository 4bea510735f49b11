//! What can be chosen of tasks, and of the noise that texts get while tuning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::Fault;

/// What an encoder is tuned on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TuneTask {
    /// The texts of what a user took should lead to the text of what they took next.
    #[default]
    TwoTower,
    /// Words that are hidden are told from the rest of the text (Devlin et al. 2019).
    MaskedWords,
    /// Whether a user takes an item, from both texts together; or the label of an item, from its text.
    Classify,
    /// How a user rates an item, from both texts together.
    Rate,
    /// The next item among all of the catalogue.
    Sequence,
}

impl TuneTask {
    /// Tells whether it learns from what users did.
    pub(in crate::tuning) const fn reads_events(self) -> bool {
        !matches!(self, Self::MaskedWords)
    }

    /// Returns what it is judged by; what is better when lower stands with a minus.
    pub const fn measure(self, has_labels: bool) -> &'static str {
        match self {
            Self::TwoTower | Self::Sequence => "NDCG@10",
            Self::MaskedWords => "-masked loss",
            Self::Classify if has_labels => "accuracy",
            Self::Classify => "AUC",
            Self::Rate => "-RMSE",
        }
    }

    /// Returns its name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TwoTower => "two-tower",
            Self::MaskedWords => "masked-words",
            Self::Classify => "classify",
            Self::Rate => "rate",
            Self::Sequence => "sequence",
        }
    }
}

/// Noise that texts get while tuning; none by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentSettings {
    /// Share of words that are left out, 0 to 0.9.
    pub drop: f32,
    /// Share of words that are cut off at the ends, 0 to 0.9: what is read is a run of the others.
    pub crop: f32,
    /// Share of words that give way to one of their `neighbours` in the encoder's table of words, 0 to 0.9.
    pub synonyms: f32,
    /// Neighbours of a word that may take its place, 1 to 100.
    pub neighbours: usize,
}

impl Default for AugmentSettings {
    fn default() -> Self {
        Self { drop: 0.0, crop: 0.0, synonyms: 0.0, neighbours: 5 }
    }
}

impl AugmentSettings {
    /// Lists every impossible value.
    pub(in crate::tuning) fn faults(&self) -> impl Iterator<Item = Fault> {
        let share = |field, x: f32| {
            Fault::unless((0.0..=0.9).contains(&x), field, || format!("must be 0 to 0.9, is {x}"))
        };
        let n = self.neighbours;
        let faults = [
            share("augment.drop", self.drop),
            share("augment.crop", self.crop),
            share("augment.synonyms", self.synonyms),
            Fault::unless((1..=100).contains(&n), "augment.neighbours", || {
                format!("must be 1 to 100, is {n}")
            }),
        ];
        faults.into_iter().flatten()
    }
}
