//! What came of an experiment, user by user first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_engine::eval::online::{Contrast, PerList, SUSPICIOUS, Share, mismatch};
use tastemaker_engine::eval::{Stat, holm};
use tastemaker_store::{Participant, Participants, Store};

use super::definition::Definition;
use crate::Error;
use crate::api::events::iso;

/// Participants read at once.
const ROWS: usize = 2000;
/// The chance of a difference where there is none.
const ALPHA: f64 = 0.05;

/// What came of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Results {
    /// Lists and events up to this time.
    until: String,
    /// The arms, in the order of the definition.
    arms: Vec<ArmResults>,
    /// Each other arm against the first.
    comparisons: Vec<Comparison>,
    /// Whether users came to the arms by their weights.
    assignment: Assignment,
}

/// What users of an arm did, each within the window that begins with their first list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct ArmResults {
    name: String,
    /// Users who were shown a list.
    users: u64,
    /// Users whose window is over. They alone make up the rates and the comparisons.
    finished: u64,
    /// Of those, users who took something.
    takers: u64,
    /// Lists of all users.
    lists: u64,
    /// Items that clients said were seen.
    impressions: u64,
    /// Events that count.
    successes: u64,
    /// The share of finished users who took something, with its 95 % interval.
    rate: Option<Stat>,
    /// The share of finished users' lists from which something was taken, with its 95 % interval.
    list_rate: Option<Stat>,
}

/// What the numbers say of an arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// More of its users take something.
    Higher,
    /// Fewer of its users do.
    Lower,
    /// Nothing is shown yet.
    Open,
}

/// One arm against the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Comparison {
    arm: String,
    against: String,
    /// What the numbers say, whenever one looks.
    verdict: Verdict,
    /// The difference of their rates; absent as long as one of them has less than five users who took something, or who did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    contrast: Option<Contrast>,
    /// The p-value that holds at every look, corrected for the number of arms (Holm).
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<f64>,
}

/// Whether users came to the arms by their weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Assignment {
    /// The chance of numbers so uneven; absent where there are too few.
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<f64>,
    /// It is so small that users of some arm must have been lost: do not trust the results.
    is_suspicious: bool,
}

/// Sums of an arm.
#[derive(Clone, Default)]
struct Sums {
    users: u64,
    finished: Share,
    lists: u64,
    impressions: u64,
    successes: u64,
    per_list: PerList,
}

impl Sums {
    fn add(&mut self, one: &Participant, is_over: bool) {
        let count = |n: i64| u64::try_from(n).unwrap_or_default();
        self.users += 1;
        self.lists += count(one.lists);
        self.impressions += count(one.impressions);
        self.successes += count(one.successes);
        if is_over {
            self.finished.users += 1;
            self.finished.takers += u64::from(one.taken > 0);
            self.per_list.add(count(one.lists), count(one.taken));
        }
    }

    fn told(&self, name: &str) -> ArmResults {
        ArmResults {
            name: name.to_owned(),
            users: self.users,
            finished: self.finished.users,
            takers: self.finished.takers,
            lists: self.lists,
            impressions: self.impressions,
            successes: self.successes,
            rate: self.finished.stat(),
            list_rate: self.per_list.stat(),
        }
    }
}

/// Reads what came of an experiment up to a time.
pub(super) async fn results(
    store: &Store,
    tenant: &str,
    definition: &Definition,
    until: i64,
) -> Result<Results, Error> {
    let lasts = definition.lasts();
    let of = Participants {
        tenant,
        experiment: &definition.name,
        lasts,
        kinds: &definition.success,
        until,
    };
    let mut sums = vec![Sums::default(); definition.arms.len()];
    let mut cursor = String::new();
    loop {
        let page = store.participants(&of, &cursor, ROWS).await?;
        for one in &page.rows {
            if let Some(arm) = definition.arms.iter().position(|arm| arm.name == one.arm) {
                sums[arm].add(one, one.began.saturating_add(lasts) <= until);
            }
        }
        cursor = page.cursor;
        if cursor.is_empty() {
            return Ok(told(definition, &sums, until));
        }
    }
}

fn told(definition: &Definition, sums: &[Sums], until: i64) -> Results {
    let arms = &definition.arms;
    // A pair's part of the users that were planned.
    let planned = definition.planned_users as f64 * 2.0 / arms.len().max(2) as f64;
    let contrast = |other: &Sums| Contrast::new(&other.finished, &sums[0].finished, planned);
    let contrasts: Vec<Option<Contrast>> = sums.iter().skip(1).map(contrast).collect();
    // An arm that says nothing yet counts among those that may.
    let p: Vec<f64> = contrasts.iter().map(|contrast| contrast.map_or(1.0, |one| one.p)).collect();
    let others = arms.iter().skip(1).zip(contrasts).zip(holm(&p));
    let comparisons = others.map(|((arm, contrast), p)| Comparison {
        arm: arm.name.clone(),
        against: arms[0].name.clone(),
        verdict: match contrast.filter(|_| p < ALPHA) {
            None => Verdict::Open,
            Some(contrast) if contrast.difference > 0.0 => Verdict::Higher,
            Some(_) => Verdict::Lower,
        },
        p: contrast.map(|_| p),
        contrast,
    });
    let came: Vec<(u64, f64)> =
        sums.iter().zip(arms).map(|(sums, arm)| (sums.users, arm.weight)).collect();
    let p = mismatch(&came);
    Results {
        until: iso(until),
        arms: sums.iter().zip(arms).map(|(sums, arm)| sums.told(&arm.name)).collect(),
        comparisons: comparisons.collect(),
        assignment: Assignment { p, is_suspicious: p.is_some_and(|p| p < SUSPICIOUS) },
    }
}
