//! Regression trees and their sum.

use serde::{Deserialize, Serialize};

/// A question at a fork: is `x[feature] <= threshold`?
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Fork {
    pub(super) feature: u32,
    pub(super) threshold: f32,
    /// Where `yes` and `no` lead: a fork from 0 up, or the leaf `!n`.
    pub(super) next: [i32; 2],
}

/// One tree; without forks, its only leaf.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tree {
    pub(super) forks: Vec<Fork>,
    pub(super) leaves: Vec<f32>,
}

impl Tree {
    /// Returns the value of the leaf that `row` falls into.
    pub(super) fn value(&self, row: &[f32]) -> f32 {
        let mut at = if self.forks.is_empty() { !0 } else { 0 };
        while at >= 0 {
            let fork = &self.forks[at as usize];
            at = fork.next[usize::from(row[fork.feature as usize] > fork.threshold)];
        }
        self.leaves[!at as usize]
    }

    /// Tells whether every fork leads on to something that exists, never back, and reads one of `features`.
    fn is_sound(&self, features: usize) -> bool {
        let leads_on = |from: usize, next: i32| {
            if next >= 0 {
                (next as usize) > from && (next as usize) < self.forks.len()
            } else {
                (!next as usize) < self.leaves.len()
            }
        };
        let fork = |(place, fork): (usize, &Fork)| {
            (fork.feature as usize) < features
                && fork.threshold.is_finite()
                && fork.next.iter().all(|&next| leads_on(place, next))
        };
        self.forks.iter().enumerate().all(fork)
            && !self.leaves.is_empty()
            && self.leaves.iter().all(|leaf| leaf.is_finite())
    }
}

/// Trees whose values are added to a starting score.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Forest {
    /// What a feature is called.
    pub(super) features: Vec<String>,
    /// Multiplies the score a list is ordered by before.
    pub(super) start: f32,
    pub(super) trees: Vec<Tree>,
    /// How much each feature's forks have lowered the loss, as a share of all.
    pub(super) importance: Vec<f32>,
}

impl Forest {
    /// Adds up the trees for one row, `row: [features]`, beside the score the list was ordered by.
    pub fn margin(&self, before: f32, row: &[f32]) -> f32 {
        self.start * before + self.trees.iter().map(|tree| tree.value(row)).sum::<f32>()
    }

    /// Tells whether there is no tree: lists then stay as they are.
    pub const fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    /// Counts the trees.
    pub const fn n_trees(&self) -> usize {
        self.trees.len()
    }

    /// Names the features with their importance, their share in what all forks have lowered the loss by; the greatest first.
    pub fn importance(&self) -> Vec<(&str, f32)> {
        let names = self.features.iter().map(String::as_str);
        let mut named: Vec<(&str, f32)> = names.zip(self.importance.iter().copied()).collect();
        named.sort_by(|a, b| b.1.total_cmp(&a.1));
        named
    }

    /// Tells whether it reads these features and nothing in it leads astray; a saved one may have been changed.
    pub fn fits(&self, features: &[String]) -> bool {
        self.features == features
            && self.importance.len() == features.len()
            && self.start.is_finite()
            && self.trees.iter().all(|tree| tree.is_sound(features.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stump(next: [i32; 2]) -> Forest {
        let tree = Tree {
            forks: vec![Fork { feature: 1, threshold: 0.5, next }],
            leaves: vec![-1.0, 2.0],
        };
        Forest {
            features: vec!["a".into(), "b".into()],
            start: 10.0,
            trees: vec![tree],
            importance: vec![0.25, 0.75],
        }
    }

    #[test]
    fn a_row_gets_the_value_of_its_leaf_beside_its_start() {
        let forest = stump([!0, !1]);
        let margin = |b: f32| forest.margin(0.1, &[9.0, b]);
        assert!((margin(0.5) - 0.0).abs() < 1e-6 && (margin(0.6) - 3.0).abs() < 1e-6);
        assert_eq!(forest.importance()[0], ("b", 0.75));
    }

    #[test]
    fn trees_that_lead_astray_are_found() {
        let names = ["a".to_owned(), "b".to_owned()];
        assert!(stump([!0, !1]).fits(&names));
        assert!(!stump([0, !1]).fits(&names), "a circle");
        assert!(!stump([!0, !2]).fits(&names), "no such leaf");
        assert!(!stump([1, !1]).fits(&names), "no such fork");
        assert!(!stump([!0, !1]).fits(&names[..1]), "other features");
    }
}
