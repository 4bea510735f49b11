//! What is asked and answered.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tastemaker_engine::Listed;

use crate::live::Which;

/// Items when nothing else is said.
pub(crate) const N: usize = 10;
/// Longest description of a taste, in bytes.
pub(crate) const MAX_WORDS: usize = 8192;
/// Most items of a list in a request.
pub(super) const MAX_LIST: usize = 10_000;

/// For whom items are wanted: a user, the items of a session, or words; for everybody when none is given.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RecommendRequest {
    /// A user. One nobody knows yet gets what suits everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<String>,
    /// Items taken in this session, oldest first; instead of a user's history.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) history: Vec<String>,
    /// A taste in words; items are ordered by how much their texts are like it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) words: Option<String>,
    /// How many items, at most 1000; 10 when it is left out.
    pub(crate) n: Option<usize>,
    /// An expression that every item must fulfil, such as `year >= 1990`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<String>,
    /// What variants of the pipeline look at: device, page.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) context: BTreeMap<String, String>,
    /// Where the list is shown, such as `home` or `cart`: the same as `scenario` in `context`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scenario: Option<String>,
    /// Items that must not be listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) exclude: Vec<String>,
    /// Adds a reason to every item.
    pub(crate) explain: bool,
    /// Which model is asked, where an experiment is not to choose it. Lists of `previous` are for comparison: they are not kept and have no
    /// `recommendation_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<Which>,
}

/// What made a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// The model.
    Model,
    /// The likeness of texts to words.
    Words,
    /// What most took and what is new, where there is no model.
    Popular,
}

/// A list, best first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RecommendAnswer<'a> {
    /// Names this list in events and in `explain`; absent when too much waits to be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recommendation_id: Option<String>,
    /// The model that answered; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<&'a str>,
    /// What made the list.
    pub(crate) source: Source,
    /// The experiment that the user takes part in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) experiment: Option<&'a str>,
    /// The arm of it that made the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) arm: Option<&'a str>,
    /// The items.
    pub(crate) items: &'a [RecommendedItem],
}

/// An item of a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RecommendedItem {
    /// Place, from 1.
    pub(crate) rank: usize,
    /// Its id.
    pub(crate) item_id: String,
    /// Its title, or its id where it has none.
    pub(crate) title: String,
    /// Its score, on the scale of what made the list.
    pub(crate) score: f32,
    /// The expected rating, where the model learnt ratings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rating: Option<f32>,
    /// The probability of a yes, where the model learnt to tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) probability: Option<f32>,
    /// The chance with which it was shown at its place, where the pipeline explores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chance: Option<f32>,
    /// Why it is there: a sentence and the evidence it cites.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Value>,
}

impl RecommendedItem {
    /// Returns about how many bytes it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let reason = self.reason.as_ref().map_or(0, |reason| 4 * reason.to_string().len());
        size_of::<Self>() + self.item_id.len() + self.title.len() + reason
    }
}

impl From<Listed> for RecommendedItem {
    fn from(listed: Listed) -> Self {
        Self {
            rank: listed.rank,
            item_id: listed.item_id,
            title: listed.title,
            score: listed.score,
            rating: listed.rating,
            probability: listed.probability,
            chance: listed.chance,
            reason: listed.reason.and_then(|reason| serde_json::to_value(reason).ok()),
        }
    }
}
