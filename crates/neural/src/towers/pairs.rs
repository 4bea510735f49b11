//! The examples of an epoch, each an event and what its user took before, and the weights of a fading history.

use rand::seq::SliceRandom;
use tastemaker_core::{Histories, seed};

/// An event by user and place in their history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) user: u32,
    pub(super) at: u32,
}

/// Lists all events that something is known before; with `has_columns` that is the case of first events too.
pub(super) fn pairs(histories: &Histories, has_columns: bool) -> Vec<Pair> {
    let first = u32::from(!has_columns);
    (0..histories.n_users() as u32)
        .flat_map(|user| {
            let n = histories.row(user as usize).len() as u32;
            (first..n).map(move |at| Pair { user, at })
        })
        .collect()
}

/// Returns the pairs of an epoch, shuffled.
pub(super) fn shuffled(pairs: &[Pair], (seed, epoch): (u64, usize)) -> Vec<Pair> {
    let mut all = pairs.to_vec();
    all.shuffle(&mut seed::stream(seed, &format!("two-tower/epoch{epoch}")));
    all
}

/// Weights `(1 + age)^-recency` of the events of a history, and their running sums.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fading {
    weights: Vec<f32>,
    sums: Vec<f32>,
}

impl Fading {
    pub(super) fn new(most: usize, recency: f32) -> Self {
        let weights: Vec<f32> = (0..most).map(|age| (1.0 + age as f32).powf(-recency)).collect();
        let mut sum = 0.0;
        let sums = weights.iter().map(|weight| {
            sum += weight;
            sum
        });
        Self { sums: sums.collect(), weights }
    }

    /// Counts the events that are read at most.
    pub(super) const fn most(&self) -> usize {
        self.weights.len()
    }

    /// Visits the newest of some events, newest first, each with its share; the shares add up to 1.
    pub(super) fn of<'a, T: Copy>(&'a self, events: &'a [T]) -> impl Iterator<Item = (T, f32)> {
        let n = events.len().min(self.most());
        let sum = n.checked_sub(1).map_or(1.0, |last| self.sums[last]);
        events.iter().rev().zip(&self.weights).map(move |(event, weight)| (*event, weight / sum))
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{HistoriesBuilder, ItemId};

    use super::*;

    #[test]
    fn shares_fade_and_add_up_to_one() {
        let fading = Fading::new(3, 1.0);
        // 1 + 1/2 = 3/2; with a third event 11/6.
        let two: Vec<(u8, f32)> = fading.of(&[7, 9]).collect();
        assert_eq!(two.iter().map(|(event, _)| *event).collect::<Vec<_>>(), [9, 7]);
        let shares = |events: &[u8]| fading.of(events).map(|(_, share)| share).collect::<Vec<_>>();
        tastemaker_testkit::assert_all_close(&shares(&[7, 9]), &[2.0 / 3.0, 1.0 / 3.0], 1e-6);
        let three = [6.0 / 11.0, 3.0 / 11.0, 2.0 / 11.0];
        tastemaker_testkit::assert_all_close(&shares(&[1, 2, 3, 4, 5]), &three, 1e-6);
        assert!(shares(&[]).is_empty());
    }

    #[test]
    fn first_events_are_examples_only_where_columns_speak_for_the_user() {
        let mut builder = HistoriesBuilder::default();
        for len in [3, 0, 1] {
            (0..len).for_each(|item| builder.push(ItemId(item), 1.0, 0));
            builder.end_user();
        }
        let histories = builder.build();
        assert_eq!(pairs(&histories, false), [Pair { user: 0, at: 1 }, Pair { user: 0, at: 2 }]);
        let all = pairs(&histories, true);
        assert_eq!((all.len(), all[3]), (4, Pair { user: 2, at: 0 }));
        let (one, again) = (shuffled(&all, (1, 0)), shuffled(&all, (1, 0)));
        assert!(one == again && all.iter().all(|pair| one.contains(pair)));
    }
}
