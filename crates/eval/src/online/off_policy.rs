//! What a policy would have been worth that was not shown, from lists of another one that drew what it showed.
//!
//! With `w = [the policy chooses what was shown] / chance`, `r` what came of it and `q` the mean of an item, shrunk to the mean of all:
//! inverse propensities `Σ w r / n` (Horvitz and Thompson 1952), self-normalised `Σ w r / Σ w` (Swaminathan and Joachims 2015), doubly robust
//! `Σ (q(chosen) + w (r - q(shown))) / n` (Dudík, Langford and Li 2011). Weights are clipped, which takes variance and adds bias.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Stat;
use crate::significance::resampled_sums;

/// Lists of average worth that every item has beside its own.
const PRIOR: f64 = 20.0;
const ROUNDS: usize = 1000;
const SEED: u64 = 0;

/// One place that was shown, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logged {
    /// Whose it was, from 0.
    pub user: usize,
    /// What was shown, from 0.
    pub shown: usize,
    /// What the policy would have shown, by the same numbers.
    pub chosen: usize,
    /// The chance with which it was shown.
    pub chance: f64,
    /// What came of it.
    pub reward: f64,
}

/// What a policy would have been worth. Intervals hold 95 % of a bootstrap over users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OffPolicy {
    /// Lists that it rests on.
    pub lists: usize,
    /// Users whose they are.
    pub users: usize,
    /// Lists that show what the policy would have shown.
    pub agreeing: usize,
    /// As many lists of the policy itself would tell as much: `(Σ w)² / Σ w²`.
    pub effective_lists: f64,
    /// Mean of the weights: 1 but for chance and clipping. Less where some choices of the policy had no chance to be shown.
    pub mean_weight: f64,
    /// Lists whose weight was clipped.
    pub clipped: usize,
    /// What the lists that were shown were worth.
    pub logged: Stat,
    /// By inverse propensities.
    pub ips: Stat,
    /// By inverse propensities, self-normalised; absent where no list shows what the policy would have shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snips: Option<Stat>,
    /// By means of items alone.
    pub direct: Stat,
    /// By both: doubly robust.
    pub doubly_robust: Stat,
}

/// Sums of a user, in the order of their columns.
const COLUMNS: usize = 6;
const LISTS: usize = 0;
const WEIGHTS: usize = 1;
const REWARDS: usize = 2;
const WEIGHTED: usize = 3;
const DIRECT: usize = 4;
const ROBUST: usize = 5;

/// Estimates what a policy would have been worth; weights are at most `clip`. `None` without lists.
pub fn off_policy(lists: &[Logged], clip: f64) -> Option<OffPolicy> {
    let users = 1 + lists.iter().map(|one| one.user).max()?;
    let means = Means::of(lists);
    let mut columns = vec![vec![0.0; users]; COLUMNS];
    let (mut squares, mut agreeing, mut clipped) = (0.0, 0, 0);
    for one in lists {
        let agrees = one.shown == one.chosen;
        let weight = if agrees { 1.0 / one.chance } else { 0.0 };
        agreeing += usize::from(agrees);
        clipped += usize::from(weight > clip);
        let weight = weight.min(clip);
        squares += weight * weight;
        let (shown, chosen) = (means.without(one, one.shown), means.without(one, one.chosen));
        let sums = [
            1.0,
            weight,
            one.reward,
            weight * one.reward,
            chosen,
            chosen + weight * (one.reward - shown),
        ];
        columns.iter_mut().zip(sums).for_each(|(column, sum)| column[one.user] += sum);
    }
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let sums: Vec<f64> = columns.iter().map(|column| column.iter().sum()).collect();
    let rounds = resampled_sums(&columns, ROUNDS, SEED);
    let ratio = |above: usize, below: usize| {
        let of =
            |sums: &Vec<f64>| Some(sums[above] / sums[below]).filter(|ratio| ratio.is_finite());
        Some(Stat::around(of(&sums)?, rounds.iter().filter_map(of).collect()))
    };
    Some(OffPolicy {
        lists: lists.len(),
        users: columns[LISTS].iter().filter(|lists| **lists > 0.0).count(),
        agreeing,
        effective_lists: if squares > 0.0 { sums[WEIGHTS].powi(2) / squares } else { 0.0 },
        mean_weight: sums[WEIGHTS] / sums[LISTS],
        clipped,
        logged: ratio(REWARDS, LISTS)?,
        ips: ratio(WEIGHTED, LISTS)?,
        snips: ratio(WEIGHTED, WEIGHTS),
        direct: ratio(DIRECT, LISTS)?,
        doubly_robust: ratio(ROBUST, LISTS)?,
    })
}

/// Sums of what came of each item.
struct Means {
    items: Vec<(f64, f64)>,
    all: f64,
}

impl Means {
    fn of(lists: &[Logged]) -> Self {
        let n_items =
            lists.iter().map(|one| one.shown.max(one.chosen) + 1).max().unwrap_or_default();
        let mut items = vec![(0.0, 0.0); n_items];
        for one in lists {
            items[one.shown].0 += one.reward;
            items[one.shown].1 += 1.0;
        }
        let all = lists.iter().map(|one| one.reward).sum::<f64>() / lists.len().max(1) as f64;
        Self { items, all }
    }

    /// Returns the mean of an item without the list for which it is asked: that one must not foretell itself.
    fn without(&self, list: &Logged, item: usize) -> f64 {
        let own = if list.shown == item { (list.reward, 1.0) } else { (0.0, 0.0) };
        let (sum, n) = self.items[item];
        (sum - own.0 + PRIOR * self.all) / (n - own.1 + PRIOR)
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;
    use tastemaker_core::seed::stream;

    use super::*;

    fn logged(user: usize, (shown, chosen): (usize, usize), chance: f64, reward: f64) -> Logged {
        Logged { user, shown, chosen, chance, reward }
    }

    #[test]
    fn four_lists_by_hand() {
        let lists = [
            logged(0, (0, 0), 0.5, 1.0),
            logged(1, (0, 1), 0.5, 0.0),
            logged(2, (1, 1), 0.25, 1.0),
            logged(3, (1, 0), 0.25, 0.0),
        ];
        // Weights 2, 0, 4, 0. Means without the list itself: (1 - 1 + 10) / 21 where it shows the item, (1 + 10) / 22 else.
        let got = off_policy(&lists, 100.0).unwrap();
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        close(got.logged.mean, 0.5);
        close(got.ips.mean, 6.0 / 4.0);
        close(got.snips.unwrap().mean, 6.0 / 6.0);
        close(got.direct.mean, (10.0 / 21.0 + 0.5 + 10.0 / 21.0 + 0.5) / 4.0);
        // 10/21 + 2 · 11/21, ½, 10/21 + 4 · 11/21, ½
        close(got.doubly_robust.mean, (32.0 / 21.0 + 0.5 + 54.0 / 21.0 + 0.5) / 4.0);
        close(got.effective_lists, 36.0 / 20.0);
        close(got.mean_weight, 1.5);
        assert_eq!((got.lists, got.users, got.agreeing, got.clipped), (4, 4, 2, 0));
        let clipped = off_policy(&lists, 3.0).unwrap();
        close(clipped.ips.mean, 5.0 / 4.0);
        assert_eq!(clipped.clipped, 1);
        let other = lists.map(|one| Logged { chosen: 2, ..one });
        assert_eq!(off_policy(&other, 9.0).unwrap().snips, None);
        assert_eq!(off_policy(&[], 9.0), None);
    }

    #[test]
    fn what_was_hardly_shown_is_worth_what_it_is_worth() {
        // Item 0 is shown in 8 of 10 lists; the policy shows item 2, which 6 of 10 take.
        let (chances, worth) = ([0.8, 0.1, 0.1], [0.1, 0.3, 0.6]);
        let mut rng = stream(3, "lists");
        let list = |user: usize| {
            let drawn = rng.random::<f64>();
            let shown = if drawn < 0.8 { 0 } else { 1 + usize::from(drawn < 0.9) };
            let reward = f64::from(u8::from(rng.random::<f64>() < worth[shown]));
            logged(user / 3, (shown, 2), chances[shown], reward)
        };
        let lists: Vec<Logged> = (0..9000).map(list).collect();
        let got = off_policy(&lists, 100.0).unwrap();
        for stat in [got.ips, got.snips.unwrap(), got.doubly_robust] {
            assert!(stat.low < 0.6 && 0.6 < stat.high && stat.high - stat.low < 0.15, "{stat:?}");
        }
        assert!(
            (got.logged.mean - 0.17).abs() < 0.02 && (got.mean_weight - 1.0).abs() < 0.1,
            "{got:?}"
        );
        assert!((700.0..1100.0).contains(&got.effective_lists), "one in ten: {got:?}");
    }
}
