//! What an experiment is, as it is asked for and kept.

use std::collections::{BTreeMap, HashSet};

use rand::Rng as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_engine::core::seed::stream;
use tastemaker_engine::pipeline::PipelineSettings;
use tastemaker_store::{IMPRESSION, is_id};

use crate::Error;

/// Most arms of an experiment.
const MAX_ARMS: usize = 10;
/// Most kinds of events, and pairs of a context.
const MAX_PARTS: usize = 32;
/// Longest window: 60 days.
const MAX_HOURS: f64 = 1440.0;
pub(super) const HOUR_MS: f64 = 3_600_000.0;

/// What serves, and what came before it; no folder of an arm's model is named so.
pub(super) const SERVING: &str = "serving";
pub(super) const PREVIOUS: &str = "previous";

/// How lists are made; whatever is left out is as for everybody.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PolicyIn {
    /// `serving`, `previous`, or the name of a folder among the tenant's models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// Added to the context of every request, so that a variant of the pipeline is chosen.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) context: BTreeMap<String, String>,
    /// A pipeline in the place of the model's own, as in `[pipeline]` of the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pipeline: Option<PipelineSettings>,
}

impl PolicyIn {
    /// Returns the folder of its model; `None` where what serves answers.
    pub(super) fn folder(&self) -> Option<&str> {
        self.model.as_deref().filter(|model| *model != SERVING)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let is_short = |text: &String| (1..=256).contains(&text.len());
        if self.context.len() > MAX_PARTS
            || !self.context.iter().all(|(key, value)| is_short(key) && is_short(value))
        {
            return wrong(format!(
                "`context` holds at most {MAX_PARTS} pairs of 1 to 256 bytes each"
            ));
        }
        if self.pipeline.as_ref().is_some_and(|pipeline| pipeline.preset.is_some()) {
            return wrong("`preset` is for training: leave it out of `pipeline`".into());
        }
        Ok(())
    }
}

/// A way to answer, with how many users it is for.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArmIn {
    /// Its name: up to 64 small letters, digits, `-` and `_`.
    pub(crate) name: String,
    /// How many users it is for, beside the weights of the others.
    #[serde(default = "one")]
    pub(crate) weight: f64,
    /// How its lists are made.
    #[serde(default)]
    pub(crate) policy: PolicyIn,
}

/// An experiment that is wanted. The first arm is what the others are compared with.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Definition {
    /// Its name: up to 64 small letters, digits, `-` and `_`. Users are drawn by it, and it is used once.
    pub(crate) name: String,
    /// The arms, 1 to 10.
    pub(crate) arms: Vec<ArmIn>,
    /// Per cent of the users that take part.
    #[serde(default = "all")]
    pub(crate) share: f64,
    /// The kinds of events that count as a success; all but impressions where none is named.
    #[serde(default)]
    pub(crate) success: Vec<String>,
    /// Hours from the first list of a user on, within which their lists and events count.
    #[serde(default = "day")]
    pub(crate) window_hours: f64,
    /// Users in all arms together for whom the intervals are to be tightest.
    #[serde(default = "planned")]
    pub(crate) planned_users: u64,
}

const fn one() -> f64 {
    1.0
}

const fn all() -> f64 {
    100.0
}

pub(super) const fn day() -> f64 {
    24.0
}

const fn planned() -> u64 {
    10_000
}

fn wrong<T>(why: String) -> Result<T, Error> {
    Err(Error::Body { why })
}

fn is_name(text: &str) -> bool {
    tastemaker_store::is_tenant(text)
}

/// Refuses kinds of events that cannot be a success.
pub(super) fn check_success(kinds: &[String]) -> Result<(), Error> {
    if kinds.len() > MAX_PARTS || kinds.iter().any(|kind| !is_id(kind) || kind == IMPRESSION) {
        return wrong(format!(
            "`success` names at most {MAX_PARTS} kinds of events, and `{IMPRESSION}` is none of them"
        ));
    }
    Ok(())
}

/// Refuses times that cannot be waited for.
pub(super) fn check_hours(hours: f64) -> Result<(), Error> {
    if hours > 0.0 && hours <= MAX_HOURS {
        return Ok(());
    }
    wrong(format!("`window_hours` must be more than 0 and at most {MAX_HOURS}"))
}

impl Definition {
    pub(super) fn check(&self) -> Result<(), Error> {
        let names: HashSet<&str> = self.arms.iter().map(|arm| arm.name.as_str()).collect();
        if !is_name(&self.name) || !names.iter().all(|name| is_name(name)) {
            return wrong("names have 1 to 64 small letters, digits, `-` and `_`".into());
        }
        if !(1..=MAX_ARMS).contains(&self.arms.len()) || names.len() < self.arms.len() {
            return wrong(format!("`arms` must be 1 to {MAX_ARMS}, each with a name of its own"));
        }
        if !self.arms.iter().all(|arm| (0.001..=1000.0).contains(&arm.weight)) {
            return wrong("the `weight` of an arm must be .001 to 1000".into());
        }
        if !(self.share > 0.0 && self.share <= 100.0) {
            return wrong("`share` must be more than 0 and at most 100".into());
        }
        if !(10..=1_000_000_000).contains(&self.planned_users) {
            return wrong("`planned_users` must be 10 to 1000000000".into());
        }
        check_hours(self.window_hours)?;
        check_success(&self.success)?;
        self.arms.iter().try_for_each(|arm| arm.policy.check())
    }

    /// Returns the milliseconds of the window.
    pub(super) fn lasts(&self) -> i64 {
        (self.window_hours * HOUR_MS) as i64
    }

    /// Draws the arm of a user: the same one always and everywhere. `None` for who takes no part.
    pub(super) fn arm_of(&self, user: &str) -> Option<usize> {
        let bits = stream(0, &format!("experiment/{}/{user}", self.name)).next_u64() >> 11;
        let place = bits as f64 / (1u64 << 53) as f64 * 100.0 / self.share;
        let weights: f64 = self.arms.iter().map(|arm| arm.weight).sum();
        let mut until = 0.0;
        let is_there = |arm: &ArmIn| {
            until += arm.weight / weights;
            place < until
        };
        let found = self.arms.iter().position(is_there);
        // Weights may add up to a little less than 1.
        found.or_else(|| (place < 1.0).then(|| self.arms.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn definition(value: Value) -> Result<Definition, Error> {
        let definition: Definition = serde_json::from_value(value)
            .map_err(|error| Error::Body { why: error.to_string() })?;
        definition.check().map(|()| definition)
    }

    #[test]
    fn users_come_to_arms_by_weights_and_stay_there() {
        let of = |name: &str, share: f64| {
            let arms = json!([{ "name": "a", "weight": 3 }, { "name": "b", "weight": 1 }]);
            definition(json!({ "name": name, "arms": arms, "share": share })).unwrap()
        };
        let (one, same, other) = (of("one", 50.0), of("one", 50.0), of("other", 50.0));
        let mut arms = [0usize; 3];
        let mut both = [[0usize; 3]; 3];
        for user in 0..8000 {
            let user = format!("u{user}");
            let place = |definition: &Definition| definition.arm_of(&user).unwrap_or(2);
            assert_eq!(place(&one), place(&same));
            arms[place(&one)] += 1;
            both[place(&one)][place(&other)] += 1;
        }
        // 3000, 1000 and 4000 are expected.
        assert!(arms[0].abs_diff(3000) < 150 && arms[1].abs_diff(1000) < 100, "{arms:?}");
        // An arm of one says nothing of the arm of another: an eighth of an eighth are in both second ones.
        assert!(both[1][1].abs_diff(125) < 35 && both[0][0].abs_diff(1125) < 100, "{both:?}");
        let whole = of("one", 100.0);
        assert!((0..2000).all(|user| whole.arm_of(&user.to_string()).is_some()));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let arm = json!({ "name": "a" });
        assert!(definition(json!({ "name": "x", "arms": [arm] })).is_ok());
        let named = |name: &str| json!({ "name": name });
        let many: Vec<Value> = (0..11).map(|n| named(&n.to_string())).collect();
        for wrong in [
            json!({ "name": "x/y", "arms": [arm] }),
            json!({ "name": "", "arms": [arm] }),
            json!({ "name": "x", "arms": [] }),
            json!({ "name": "x", "arms": many }),
            json!({ "name": "x", "arms": [arm, arm] }),
            json!({ "name": "x", "arms": [named("Ä")] }),
            json!({ "name": "x", "arms": [{ "name": "a", "weight": 0 }] }),
            json!({ "name": "x", "arms": [{ "name": "a", "policy": { "pipeline": { "preset": "fast" } } }] }),
            json!({ "name": "x", "arms": [{ "name": "a", "policy": { "context": { "": "x" } } }] }),
            json!({ "name": "x", "arms": [arm], "share": 0 }),
            json!({ "name": "x", "arms": [arm], "share": 101 }),
            json!({ "name": "x", "arms": [arm], "window_hours": 0 }),
            json!({ "name": "x", "arms": [arm], "window_hours": 2000 }),
            json!({ "name": "x", "arms": [arm], "success": ["impression"] }),
            json!({ "name": "x", "arms": [arm], "planned_users": 1 }),
            json!({ "name": "x", "arms": [arm], "unknown": 1 }),
        ] {
            assert!(definition(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
