//! The examples of a step: some events in a row of some users, each event but the first to be found from those before it.
//!
//! Items come once in a batch, however many of its events they are: each text is encoded once and serves both sides.

use std::cmp::Reverse;
use std::ops::Range;

use rand::RngExt;
use rand::seq::SliceRandom;
use tastemaker_core::{Histories, seed};
use tastemaker_text::BertTokens;

use super::settings::TuneSettings;

/// Events whose items have a text, of the users that have two of them or more.
pub(super) struct Sequences {
    items: Vec<u32>,
    ranges: Vec<Range<usize>>,
}

/// One event and what came before it, as places among all events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Example {
    /// Number of the user.
    pub(super) user: u32,
    /// The events that make up the user's side.
    pub(super) before: Range<usize>,
    /// The event that is to be found.
    pub(super) target: usize,
}

/// What a step learns from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// Items of all events, each once, those with long texts first.
    pub(super) items: Vec<u32>,
    pub(super) examples: Vec<Example>,
}

impl Sequences {
    pub(super) fn new(histories: &Histories, texts: &[BertTokens]) -> Self {
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

    pub(super) const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Returns the item of an event.
    pub(super) fn item(&self, event: usize) -> u32 {
        self.items[event]
    }

    /// Counts the events of every item.
    pub(super) fn counts(&self, n_items: usize) -> Vec<u32> {
        let mut counts = vec![0; n_items];
        self.items.iter().for_each(|&item| counts[item as usize] += 1);
        counts
    }

    pub(super) const fn n_events(&self) -> usize {
        self.items.len()
    }

    /// Counts the batches that go once through all users.
    pub(super) const fn batches(&self, settings: &TuneSettings) -> usize {
        self.ranges.len().div_ceil(settings.users)
    }

    /// Returns the batch of a number, which follows from it and the seed alone.
    pub(super) fn batch(
        &self,
        number: usize,
        (settings, texts): (&TuneSettings, &[BertTokens]),
        seed: u64,
    ) -> Batch {
        let per_pass = self.batches(settings).max(1);
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
