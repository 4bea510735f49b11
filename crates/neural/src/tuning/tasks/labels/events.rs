//! Events as pairs: what a user had taken before, as one text, beside the text of an item.

use std::ops::Range;

use rand::Rng;
use tastemaker_core::{Histories, History};
use tastemaker_text::user_text;

use crate::draws::Draws;

/// Draws of an item that the user never took before giving up: the next best is one they did.
const TRIES: usize = 20;

/// Events whose items have a text, user by user, oldest first.
pub(super) struct Events<'a> {
    texts: &'a [String],
    history: usize,
    items: Vec<u32>,
    values: Vec<f32>,
    /// Events of each user.
    users: Vec<Range<usize>>,
    /// User of each event.
    owners: Vec<u32>,
    draws: Draws,
}

impl<'a> Events<'a> {
    pub(super) fn new(
        histories: &Histories,
        (texts, history): (&'a [String], usize),
        n_items: usize,
    ) -> Self {
        let (mut items, mut values, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        let mut users = Vec::new();
        for (user, row) in (0u32..).zip(histories.iter()) {
            let start = items.len();
            for (item, value) in row.items.iter().zip(row.values) {
                if texts.get(item.index()).is_some_and(|text| !text.is_empty()) {
                    items.push(item.index() as u32);
                    values.push(*value);
                    owners.push(user);
                }
            }
            users.push(start..items.len());
        }
        let mut counts = vec![0; n_items];
        items.iter().for_each(|&item: &u32| counts[item as usize] += 1);
        let draws = Draws::new(&counts, false);
        Self { texts, history, items, values, users, owners, draws }
    }

    /// Lists the events that have one of the same user before them.
    pub(super) fn with_a_past(&self) -> Vec<u32> {
        let later = self.users.iter().filter(|range| range.len() > 1);
        later.flat_map(|range| range.start as u32 + 1..range.end as u32).collect()
    }

    pub(super) fn item(&self, event: u32) -> u32 {
        self.items[event as usize]
    }

    pub(super) fn value(&self, event: u32) -> f32 {
        self.values[event as usize]
    }

    /// Returns the text of the user as they were before an event.
    pub(super) fn user_before(&self, event: u32) -> String {
        let event = event as usize;
        let start = self.users[self.owners[event] as usize].start;
        self.user_of(self.items[start..event].iter().rev().copied())
    }

    /// Returns the text of a user who took these items, newest first.
    pub(super) fn user_of(&self, newest_first: impl Iterator<Item = u32>) -> String {
        let text = |item: u32| self.texts.get(item as usize).map_or("", String::as_str);
        user_text(newest_first.map(text).filter(|text| !text.is_empty()).take(self.history))
    }

    pub(super) fn text(&self, item: u32) -> &'a str {
        self.texts.get(item as usize).map_or("", String::as_str)
    }

    /// Draws an item that the user of an event never took.
    pub(super) fn other(&self, event: u32, rng: &mut impl Rng) -> u32 {
        let own = self.users[self.owners[event as usize] as usize].clone();
        self.not_of(&self.items[own], rng)
    }

    /// Draws an item that is not among these.
    pub(super) fn not_of(&self, taken: &[u32], rng: &mut impl Rng) -> u32 {
        let drawn = self.draws.draw(TRIES, rng);
        drawn.iter().copied().find(|item| !taken.contains(item)).unwrap_or(drawn[0])
    }

    /// Returns known items as numbers, newest first.
    pub(super) fn newest_first(known: History<'_>) -> impl Iterator<Item = u32> {
        known.items.iter().rev().map(|item| item.index() as u32)
    }
}
