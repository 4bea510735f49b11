//! The examples of a step: some events in a row of some users, each event but the first to be found from those before it.
//!
//! Items come once in a batch, however many of its events they are: each text is encoded once and serves both sides.

use std::cmp::Reverse;
use std::ops::Range;

use rand::RngExt;
use rand::seq::SliceRandom;
use tastemaker_core::{Histories, seed};
use tastemaker_text::BertTokens;

use crate::tuning::settings::TuneSettings;

/// Events whose items have a text, of the users that have two of them or more.
pub(in crate::tuning) struct Sequences {
    items: Vec<u32>,
    ranges: Vec<Range<usize>>,
}

/// One event and what came before it, as places among all events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tuning) struct Example {
    /// Number of the user.
    pub(in crate::tuning) user: u32,
    /// The events that make up the user's side.
    pub(in crate::tuning) before: Range<usize>,
    /// The event that is to be found.
    pub(in crate::tuning) target: usize,
}

/// What a step learns from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::tuning) struct Batch {
    /// Items of all events, each once, those with long texts first.
    pub(in crate::tuning) items: Vec<u32>,
    pub(in crate::tuning) examples: Vec<Example>,
}

impl Sequences {
    pub(in crate::tuning) fn new(histories: &Histories, texts: &[BertTokens]) -> Self {
        let (mut items, mut ranges) = (Vec::new(), Vec::new());
        for history in histories.iter() {
            let start = items.len();
            let has_text = |item: &usize| texts.get(*item).is_some_and(|text| !text.is_empty());
            let known = history.items.iter().map(|item| item.index()).filter(has_text);
            items.extend(known.map(|item| item as u32));
            if items.len() - start >= 2 {
                ranges.push(start..items.len());
            } else {
                items.truncate(start);
            }
        }
        Self { items, ranges }
    }

    pub(in crate::tuning) const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Returns the item of an event.
    pub(in crate::tuning) fn item(&self, event: usize) -> u32 {
        self.items[event]
    }

    /// Counts the events of every item.
    pub(in crate::tuning) fn counts(&self, n_items: usize) -> Vec<u32> {
        let mut counts = vec![0; n_items];
        self.items.iter().for_each(|&item| counts[item as usize] += 1);
        counts
    }

    pub(in crate::tuning) const fn n_events(&self) -> usize {
        self.items.len()
    }

    pub(in crate::tuning) const fn n_users(&self) -> usize {
        self.ranges.len()
    }

    /// Returns the batch of a number, which follows from it and the seed alone.
    pub(in crate::tuning) fn batch(
        &self,
        number: usize,
        (settings, texts): (&TuneSettings, &[BertTokens]),
        seed: u64,
    ) -> Batch {
        let per_pass = self.ranges.len().div_ceil(settings.users).max(1);
        let mut order: Vec<u32> = (0..self.ranges.len() as u32).collect();
        order.shuffle(&mut seed::stream(seed, &format!("tune/users{}", number / per_pass)));
        let users = order.chunks(settings.users).nth(number % per_pass).unwrap_or_default();
        let mut stream = seed::stream(seed, &format!("tune/batch{number}"));
        let mut batch = Batch::default();
        for &user in users {
            let all = self.ranges[user as usize].clone();
            let n = all.len().min(settings.events);
            let start = all.start + stream.random_range(0..=all.len() - n);
            batch.items.extend(&self.items[start..start + n]);
            for target in start + 1..start + n {
                let before = start.max(target.saturating_sub(settings.history))..target;
                // Who took an item again gives nothing away.
                if !self.items[before.clone()].contains(&self.items[target]) {
                    batch.examples.push(Example { user, before, target });
                }
            }
        }
        batch.items.sort_unstable_by_key(|&item| (Reverse(texts[item as usize].len()), item));
        batch.items.dedup();
        batch
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tastemaker_core::{HistoriesBuilder, ItemId};

    use super::*;

    /// Texts of 1, 3, 2, 0 and 5 tokens.
    pub(in crate::tuning) fn texts() -> Vec<BertTokens> {
        [1, 3, 2, 0, 5].map(|n| BertTokens::of_ids(vec![7; n])).to_vec()
    }

    pub(in crate::tuning) fn histories(rows: &[&[u32]]) -> Histories {
        let mut builder = HistoriesBuilder::default();
        for row in rows {
            row.iter().for_each(|&item| builder.push(ItemId(item), 1.0, 0));
            builder.end_user();
        }
        builder.build()
    }

    #[test]
    fn each_event_is_found_from_those_before_it_and_each_item_comes_once() {
        let sequences = Sequences::new(&histories(&[&[0, 3, 1, 2, 1], &[3, 0], &[4, 0]]), &texts());
        let settings = TuneSettings { history: 2, users: 2, events: 9, ..TuneSettings::default() };
        let batch = sequences.batch(0, (&settings, &texts()), 1);
        // The item without a text is passed over, and with it the user who took one other; one who takes 1 again gives nothing away.
        assert_eq!(batch.items, [4, 1, 2, 0], "long texts first");
        let mut found: Vec<(Vec<u32>, u32)> = batch
            .examples
            .iter()
            .map(|example| {
                let before = example.before.clone().map(|event| sequences.item(event));
                (before.collect(), sequences.item(example.target))
            })
            .collect();
        found.sort();
        assert_eq!(found, [(vec![0], 1), (vec![0, 1], 2), (vec![4], 0)]);
        assert_eq!((sequences.n_events(), sequences.counts(5)), (6, vec![2, 2, 1, 0, 1]));
    }

    #[test]
    fn a_pass_goes_through_all_users_and_batches_repeat() {
        let rows: Vec<Vec<u32>> = (0..7).map(|user| vec![user % 3, 4, (user + 1) % 3]).collect();
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let sequences = Sequences::new(&histories(&rows), &texts());
        let settings = TuneSettings { users: 2, events: 2, ..TuneSettings::default() };
        assert_eq!(sequences.n_users(), 7);
        let batch = |number| sequences.batch(number, (&settings, &texts()), 5);
        for pass in 0..2 {
            let numbers = pass * 4..(pass + 1) * 4;
            let mut users: Vec<u32> =
                numbers.flat_map(|n| batch(n).examples).map(|example| example.user).collect();
            users.sort_unstable();
            assert_eq!(users, [0, 1, 2, 3, 4, 5, 6]);
        }
        assert!(batch(3) == batch(3) && batch(0) != batch(4));
    }
}
