//! Both models asked for the same users, each as it would be asked when it served: with the events before a moment, for those after it.

use std::collections::HashSet;

use rand::seq::SliceRandom;
use rayon::prelude::*;
use tastemaker_core::{Histories, History, seed};
use tastemaker_data::Dataset;
use tastemaker_eval::ndcg_of;

use crate::{Ask, Engine, Error, Taken};

/// Length of the lists that are judged.
const K: usize = 10;
/// Users that are asked for at most; they are drawn.
const USERS: usize = 5000;

/// One user.
pub(super) struct Case {
    user: String,
    before: Vec<Taken>,
    /// What they took after, and not before.
    targets: Vec<String>,
}

/// Returns the moment from which on events are held back; nothing where the serving model may have seen all of them.
///
/// Among the newest `share` of all events there is none that is as old as `seen`, and half of those that are newer is left to learn from.
pub(super) fn held_from(histories: &Histories, seen: i64, share: f64) -> Option<i64> {
    let mut times = histories.events().times.to_vec();
    times.sort_unstable();
    let newer = &times[times.partition_point(|time| *time <= seen)..];
    let of_new = *newer.get(newer.len().div_ceil(2))?;
    let at = (times.len() as f64 * (1.0 - share)).round() as usize;
    let from = of_new.max(*times.get(at.min(times.len() - 1))?);
    // Equal times stay on one side: what is learnt from must hold something that is new.
    (from > newer[0]).then_some(from)
}

/// Lists the users to ask for.
pub(super) fn cases(data: &Dataset, from: i64, root: u64) -> Vec<Case> {
    let name = |item: u32| data.items.ids().name(item).to_owned();
    let case = |(user, history): (u32, History<'_>)| {
        let end = history.times.partition_point(|time| *time < from);
        let known: HashSet<_> = history.items[..end].iter().collect();
        let mut targets: Vec<u32> = history.items[end..]
            .iter()
            .filter(|item| !known.contains(item))
            .map(|item| item.0)
            .collect();
        targets.sort_unstable();
        targets.dedup();
        if end == 0 || targets.is_empty() {
            return None;
        }
        let taken = |place: usize| Taken {
            item: name(history.items[place].0),
            value: history.values[place],
            time: history.times[place],
        };
        Some(Case {
            user: data.users.ids().name(user).to_owned(),
            before: (0..end).map(taken).collect(),
            targets: targets.into_iter().map(name).collect(),
        })
    };
    let mut all: Vec<Case> = (0u32..).zip(data.histories.iter()).filter_map(case).collect();
    if all.len() > USERS {
        all.shuffle(&mut seed::stream(root, "retrain/users"));
        all.truncate(USERS);
    }
    all
}

/// Returns the NDCG@10 of each user.
pub(super) fn scores(engine: &Engine, cases: &[Case]) -> Result<Vec<f64>, Error> {
    let score = |case: &Case| {
        let user = engine.known_user(&case.user);
        let old = engine.known_events(user);
        let is_new = |taken: &&Taken| !old.contains(&(taken.item.as_str(), taken.time));
        let newer: Vec<Taken> = case.before.iter().filter(is_new).cloned().collect();
        let ask =
            Ask { user: user.map(|_| case.user.as_str()), newer: &newer, n: K, ..Ask::default() };
        let list = engine.recommend(&ask)?;
        let place = |target: &String| list.iter().position(|listed| listed.item_id == *target);
        let mut ranks: Vec<f64> = case
            .targets
            .iter()
            .map(|target| place(target).map_or(f64::INFINITY, |place| place as f64))
            .collect();
        ranks.sort_by(f64::total_cmp);
        Ok(ndcg_of(&ranks, K))
    };
    cases.par_iter().map(score).collect()
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{HistoriesBuilder, ItemId};

    use super::*;

    fn at(times: &[i64]) -> Histories {
        let mut builder = HistoriesBuilder::default();
        times.iter().for_each(|time| builder.push(ItemId(0), 1.0, *time));
        builder.end_user();
        builder.build()
    }

    #[test]
    fn what_is_held_back_is_new_to_the_serving_model_and_leaves_it_something_to_learn() {
        let times: Vec<i64> = (1..=100).collect();
        // All is new: the newest tenth.
        assert_eq!(held_from(&at(&times), 0, 0.1), Some(91));
        // Six are new: half of them.
        assert_eq!(held_from(&at(&times), 94, 0.1), Some(98));
        assert_eq!(held_from(&at(&times), 98, 0.1), Some(100));
        assert_eq!(held_from(&at(&times), 99, 0.1), None);
        assert_eq!(held_from(&at(&times), 100, 0.1), None);
        assert_eq!(held_from(&at(&[5, 5, 5, 5]), 4, 0.1), None);
        assert_eq!(held_from(&at(&[]), 0, 0.1), None);
    }
}
