//! What a business wants of a list, whatever the scores: pins, boosts, burials, quotas, shares.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::Fault;

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Puts `items` at `place` and behind it, in their order, wherever else they would stand; seen and filtered ones not.
    Pin,
    /// Adds `by` to their scores: 1 is as much as the best candidate has over the worst.
    Boost,
    /// Puts them behind all others.
    Bury,
    /// Leaves them out.
    Never,
    /// Lets at most `most` of each label of `column` into the first `within` places.
    Quota,
    /// Gives each label of `column` named in `shares` at least such a share of every head of the list (Geyik et al. 2019), as far as
    /// there are candidates.
    Share,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleSettings {
    /// `pin`, `boost`, `bury`, `never`, `quota` or `share`.
    #[serde(rename = "do")]
    pub deed: Deed,
    /// Ids of items it is about.
    #[serde(default)]
    pub items: Vec<String>,
    /// Or an expression that tells them.
    #[serde(default, rename = "where")]
    pub which: Option<String>,
    /// For `pin`: the first place, from 1.
    #[serde(default = "first")]
    pub place: usize,
    /// For `boost`: how much; below 0 counts against them.
    #[serde(default)]
    pub by: f32,
    /// For `quota` and `share`: the column of labels.
    #[serde(default)]
    pub column: Option<String>,
    /// For `quota`: how many.
    #[serde(default = "first")]
    pub most: usize,
    /// For `quota`: among how many places.
    #[serde(default = "within")]
    pub within: usize,
    /// For `share`: labels and their shares.
    #[serde(default)]
    pub shares: BTreeMap<String, f32>,
}

const fn first() -> usize {
    1
}

const fn within() -> usize {
    10
}

/// Lists what is wrong with rules, alone and together.
pub(super) fn faults(rules: &[RuleSettings]) -> Vec<Fault> {
    let mut problems: Vec<String> = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        problems.extend(problem(rule).map(|problem| format!("number {}: {problem}", at + 1)));
    }
    problems.extend(contradictions(rules));
    problems.into_iter().map(|problem| Fault { field: "rules", problem }).collect()
}

fn problem(rule: &RuleSettings) -> Option<String> {
    let names = !rule.items.is_empty();
    let problem = match rule.deed {
        Deed::Pin if !names || rule.which.is_some() => "`pin` needs `items`, and no `where`",
        Deed::Pin if !(1..=1000).contains(&rule.place) => "`place` must be 1 to 1000",
        Deed::Boost if !(-1.0..=1.0).contains(&rule.by) || rule.by == 0.0 => {
            "`by` must be -1 to 1, and not 0"
        }
        Deed::Boost | Deed::Bury | Deed::Never if names == rule.which.is_some() => {
            "needs either `items` or `where`"
        }
        Deed::Quota | Deed::Share if rule.column.is_none() => "needs a `column` of labels",
        Deed::Quota if rule.most < 1 || rule.within < rule.most => {
            "`most` must be at least 1, and `within` no less"
        }
        Deed::Share if rule.shares.is_empty() => "`share` needs `shares`, as in { small = 0.3 }",
        Deed::Share if rule.shares.values().any(|share| !(0.0..=1.0).contains(share)) => {
            "`shares` must be 0 to 1 each"
        }
        Deed::Share if rule.shares.values().sum::<f32>() > 1.0 + 1e-6 => {
            "`shares` add up to more than 1: no list can have that"
        }
        _ => return None,
    };
    Some(problem.into())
}

/// Finds rules of which one undoes another.
fn contradictions(rules: &[RuleSettings]) -> Vec<String> {
    let mut found = Vec::new();
    let (mut places, mut pinned) = (BTreeMap::new(), BTreeSet::new());
    for rule in rules.iter().filter(|rule| rule.deed == Deed::Pin) {
        for (step, item) in rule.items.iter().enumerate() {
            if let Some(other) = places.insert(rule.place.saturating_add(step), item) {
                let place = rule.place + step;
                found.push(format!("`{other}` and `{item}` are both pinned to place {place}"));
            }
            if !pinned.insert(item) {
                found.push(format!("`{item}` is pinned twice"));
            }
        }
    }
    let named = |deed: Deed| -> BTreeSet<&String> {
        rules.iter().filter(|rule| rule.deed == deed).flat_map(|rule| &rule.items).collect()
    };
    let wheres = |deed: Deed| -> BTreeSet<&String> {
        rules
            .iter()
            .filter(|rule| rule.deed == deed)
            .filter_map(|rule| rule.which.as_ref())
            .collect()
    };
    let (never, bury, boost) = (named(Deed::Never), named(Deed::Bury), named(Deed::Boost));
    found.extend(pinned.intersection(&never).map(|id| format!("`{id}` is pinned and never shown")));
    found.extend(pinned.intersection(&bury).map(|id| format!("`{id}` is pinned and buried")));
    found.extend(boost.intersection(&bury).map(|id| format!("`{id}` is boosted and buried")));
    let both = wheres(Deed::Boost)
        .intersection(&wheres(Deed::Bury))
        .map(|w| (*w).clone())
        .collect::<Vec<_>>();
    found.extend(both.into_iter().map(|text| format!("`{text}` is boosted and buried")));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(toml_like: &str) -> Vec<RuleSettings> {
        serde_json::from_str(toml_like).unwrap()
    }

    fn problems(text: &str) -> String {
        faults(&rules(text)).iter().map(|f| f.problem.clone()).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn rules_that_undo_each_other_are_refused() {
        let cases = [
            (
                r#"[{"do":"pin","items":["a"]},{"do":"pin","items":["b"]}]"#,
                "both pinned to place 1",
            ),
            (
                r#"[{"do":"pin","items":["a"]},{"do":"pin","items":["a"],"place":4}]"#,
                "pinned twice",
            ),
            (r#"[{"do":"pin","items":["a"]},{"do":"never","items":["a"]}]"#, "pinned and never"),
            (
                r#"[{"do":"boost","where":"x","by":0.1},{"do":"bury","where":"x"}]"#,
                "boosted and buried",
            ),
            (r#"[{"do":"boost","items":["a"]}]"#, "`by` must be"),
            (r#"[{"do":"bury"}]"#, "either `items` or `where`"),
            (r#"[{"do":"quota","most":2}]"#, "needs a `column`"),
            (r#"[{"do":"share","column":"c","shares":{"a":0.7,"b":0.6}}]"#, "more than 1"),
        ];
        for (text, part) in cases {
            assert!(problems(text).contains(part), "{text}: {}", problems(text));
        }
        let fine = r#"[{"do":"pin","items":["a","b"]},{"do":"pin","items":["c"],"place":3}]"#;
        assert_eq!(problems(fine), "");
    }
}
