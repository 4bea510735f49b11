//! What came of a retraining: how two models did on the same events, and what the rule makes of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// When a new model takes the place of the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promote {
    /// When it was judged, and found not worse.
    #[default]
    NotWorse,
    /// Whatever comes out.
    Always,
    /// Never by itself.
    Never,
}

/// Decides whether a new model takes the place of the old one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// When.
    pub promote: Promote,
    /// Share of the old model's NDCG@10 that the new one may lack and not be called worse.
    pub tolerance: f64,
    /// Share of all events, the newest, that both are judged on; at most the newer half of those that the old model has not seen.
    pub holdout: f64,
    /// Fewer users than this judge nothing.
    pub min_users: usize,
}

impl Default for Rule {
    fn default() -> Self {
        Self { promote: Promote::NotWorse, tolerance: 0.01, holdout: 0.1, min_users: 20 }
    }
}

impl Rule {
    /// Decides, and says why.
    pub fn decide(&self, judged: Option<&Judged>) -> (bool, String) {
        let Some(judged) = judged else {
            let why = format!(
                "there are fewer than {} users with events that the serving model has not seen: nothing can be judged",
                self.min_users
            );
            return (self.promote == Promote::Always, why);
        };
        let Judged { serving, candidate, users, .. } = judged;
        let is_worse = *candidate < serving * (1.0 - self.tolerance);
        let word = if is_worse { "worse" } else { "not worse" };
        let why = format!(
            "NDCG@10 of {users} users is {candidate:.4} against {serving:.4} of the serving model: {word}, with a tolerance of {:.1} %",
            self.tolerance * 100.0
        );
        let promote = match self.promote {
            Promote::NotWorse => !is_worse,
            Promote::Always => true,
            Promote::Never => false,
        };
        (promote, why)
    }
}

/// Where the events came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// Events of the serving model's data.
    pub of_serving: usize,
    /// Events that were heard since.
    pub new: usize,
    /// Events that were heard since and are in the data already.
    pub repeated: usize,
    /// Events whose user or item was erased.
    pub erased: usize,
}

/// How both did on events that neither had seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Users who were asked for: those with a history before, and something new after.
    pub users: usize,
    /// Unix seconds from which on events were held back.
    pub from: i64,
    /// Events that were held back, of all users.
    pub events: usize,
    /// Mean NDCG@10 of the serving model, as it serves.
    pub serving: f64,
    /// Mean NDCG@10 of a model with the same settings that learnt from everything before `from`.
    pub candidate: f64,
    /// Users for whom the candidate did better.
    pub better: usize,
    /// Users for whom it did worse.
    pub worse: usize,
}

/// The whole of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The folder of the serving model.
    pub serving: String,
    /// The kind of model.
    pub model: String,
    /// Parts with the settings of the new model.
    pub parts: Value,
    /// Seed of the fit.
    pub seed: u64,
    /// Name, sizes and the checksum of the events of the new model's data.
    pub data: Value,
    /// Where its events came from.
    pub merged: Merged,
    /// How both did; absent where too little is new.
    pub judged: Option<Judged>,
    /// The rule.
    pub rule: Rule,
    /// What the rule says.
    pub promote: bool,
    /// Why.
    pub why: String,
    /// What should be known beside it.
    pub notes: Vec<String>,
    /// Unix seconds when it was made.
    pub created: i64,
    /// Seconds it took.
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_promoted_when_it_lacks_no_more_than_the_tolerance() {
        let judged = |candidate| Judged {
            users: 30,
            from: 0,
            events: 40,
            serving: 0.2,
            candidate,
            better: 1,
            worse: 1,
        };
        let rule = Rule::default();
        // 0.2 * 0.99 = 0.198
        assert!(rule.decide(Some(&judged(0.1981))).0 && !rule.decide(Some(&judged(0.1979))).0);
        assert!(!rule.decide(None).0);
        let always = Rule { promote: Promote::Always, ..rule };
        assert!(always.decide(Some(&judged(0.0))).0 && always.decide(None).0);
        let never = Rule { promote: Promote::Never, ..rule };
        let (promote, why) = never.decide(Some(&judged(0.5)));
        assert!(!promote && why.contains("not worse") && why.contains("0.5000 against 0.2000"));
    }
}
