//! The examples of an epoch: events in random order, each with the items drawn beside it.

use rand::RngExt;
use rand::seq::SliceRandom;
use tastemaker_core::{Histories, seed};

/// Draws before an item is given up for a user who has taken nearly everything.
const TRIES: usize = 50;

/// An event by user and place in their history; its rows share all that is known of the user.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub(super) user: u32,
    pub(super) at: u32,
    /// Rows of the batch.
    pub(super) rows: std::ops::Range<usize>,
}

/// Rows of one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Batch {
    pub(super) groups: Vec<Group>,
    pub(super) items: Vec<u32>,
    /// What happened: 1 and 0 for events and drawn items, or ratings.
    pub(super) labels: Vec<f32>,
}

/// All events, and what each user has taken.
#[derive(Clone, Debug)]
pub(super) struct Examples<'a> {
    histories: &'a Histories,
    n_items: usize,
    /// Items drawn for each event; `None` where ratings are learnt.
    negatives: Option<usize>,
    /// Distinct items of every user, rising.
    taken: Vec<Vec<u32>>,
    events: Vec<(u32, u32)>,
}

impl<'a> Examples<'a> {
    pub(super) fn new(histories: &'a Histories, n_items: usize, negatives: Option<usize>) -> Self {
        let distinct = |row: usize| {
            let mut items: Vec<u32> = histories.row(row).items.iter().map(|item| item.0).collect();
            items.sort_unstable();
            items.dedup();
            items
        };
        let users = 0..histories.n_users();
        let taken =
            if negatives.is_some() { users.clone().map(distinct).collect() } else { Vec::new() };
        let events = users
            .flat_map(|user| (0..histories.row(user).len()).map(move |at| (user as u32, at as u32)))
            .collect();
        Self { histories, n_items, negatives, taken, events }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.events.len() * (1 + self.negatives.unwrap_or(0))
    }

    /// Returns the events of an epoch, shuffled and cut into steps of about `batch` rows.
    pub(super) fn steps(&self, batch: usize, (seed, epoch): (u64, usize)) -> Vec<Vec<(u32, u32)>> {
        let mut events = self.events.clone();
        events.shuffle(&mut seed::stream(seed, &format!("rankers/epoch{epoch}")));
        let groups = (batch / (1 + self.negatives.unwrap_or(0))).max(1);
        events.chunks(groups).map(<[_]>::to_vec).collect()
    }

    /// Puts the rows of a step together.
    pub(super) fn batch(&self, events: &[(u32, u32)], key: u64) -> Batch {
        let mut rng = seed::stream(key, "rankers/negatives");
        let mut batch = Batch::default();
        for &(user, at) in events {
            let history = self.histories.row(user as usize);
            let start = batch.items.len();
            batch.items.push(history.items[at as usize].0);
            batch.labels.push(if self.negatives.is_some() {
                1.0
            } else {
                history.values[at as usize]
            });
            for _ in 0..self.negatives.unwrap_or(0) {
                let taken = &self.taken[user as usize];
                let mut draw = || rng.random_range(0..self.n_items as u32);
                let free = |item: &u32| taken.binary_search(item).is_err();
                let drawn = (0..TRIES).map(|_| draw()).find(free);
                batch.items.extend(drawn);
                batch.labels.resize(batch.items.len(), 0.0);
            }
            batch.groups.push(Group { user, at, rows: start..batch.items.len() });
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{HistoriesBuilder, ItemId};

    use super::*;

    fn histories() -> Histories {
        let mut builder = HistoriesBuilder::default();
        for items in [&[0u32, 1, 0][..], &[2], &[0, 1, 2, 3]] {
            items.iter().for_each(|&item| builder.push(ItemId(item), 2.0, 0));
            builder.end_user();
        }
        builder.build()
    }

    #[test]
    fn drawn_items_were_never_taken_and_nothing_is_drawn_for_who_took_all() {
        let histories = histories();
        let examples = Examples::new(&histories, 4, Some(3));
        let steps = examples.steps(8, (1, 0));
        assert_eq!(steps.iter().map(Vec::len).sum::<usize>(), 8);
        for (key, events) in (0..).zip(&steps) {
            let batch = examples.batch(events, key);
            assert_eq!(batch.items.len(), batch.labels.len());
            for group in &batch.groups {
                let taken = histories.row(group.user as usize).items;
                let rows = group.rows.clone();
                assert_eq!(rows.len(), if group.user == 2 { 1 } else { 4 });
                assert_eq!(batch.items[rows.start], taken[group.at as usize].0);
                for row in rows.clone().skip(1) {
                    assert!(!taken.contains(&ItemId(batch.items[row])));
                    assert!(batch.labels[row].abs() < 1e-9);
                }
            }
        }
    }

    #[test]
    fn ratings_are_the_labels_where_nothing_is_drawn() {
        let histories = histories();
        let examples = Examples::new(&histories, 4, None);
        let steps = examples.steps(100, (1, 0));
        let batch = examples.batch(&steps[0], 0);
        assert!(batch.labels.iter().all(|label| (label - 2.0).abs() < 1e-9));
        assert_eq!((batch.items.len(), steps.len()), (8, 1));
        assert_ne!(steps, examples.steps(100, (1, 1)), "every epoch has its own order");
    }
}
