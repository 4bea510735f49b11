//! What users did, in order of time: one user's history, and the histories of all.

use crate::{ItemId, UserId};

/// Unix seconds below which times are positions rather than dates: March 1973.
pub const EARLIEST_CLOCK: i64 = 100_000_000;

/// Borrows the events of one user, oldest first. The three slices have equal length.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct History<'a> {
    /// The items, one per event; an item may occur more than once.
    pub items: &'a [ItemId],
    /// Rating or strength of each event; 1 where the source gave none.
    pub values: &'a [f32],
    /// Unix seconds of each event, or its position where the source has no clock.
    pub times: &'a [i64],
}

impl<'a> History<'a> {
    /// Counts the events.
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// Tells whether nothing has happened yet.
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the most recent `n` events, still oldest first.
    #[must_use]
    pub fn last(&self, n: usize) -> Self {
        let from = self.len().saturating_sub(n);
        History {
            items: &self.items[from..],
            values: &self.values[from..],
            times: &self.times[from..],
        }
    }
}

/// Holds the events of every user, grouped by user and oldest first (compressed rows).
#[derive(Clone, Debug, PartialEq)]
pub struct Histories {
    offsets: Vec<usize>,
    items: Vec<ItemId>,
    values: Vec<f32>,
    times: Vec<i64>,
}

impl Default for Histories {
    fn default() -> Self {
        HistoriesBuilder::default().build()
    }
}

impl Histories {
    /// Builds from compressed rows, or returns `None` when the parts do not fit together.
    ///
    /// `offsets` has `n_users + 1` non-decreasing entries from 0 to the number of events.
    pub fn from_parts(
        offsets: Vec<usize>,
        items: Vec<ItemId>,
        values: Vec<f32>,
        times: Vec<i64>,
    ) -> Option<Self> {
        let fits = offsets.first() == Some(&0)
            && offsets.last() == Some(&items.len())
            && offsets.is_sorted()
            && values.len() == items.len()
            && times.len() == items.len();
        fits.then_some(Self { offsets, items, values, times })
    }

    /// Counts the users, those without events included.
    pub fn n_users(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Counts the events of all users.
    pub fn n_events(&self) -> usize {
        self.items.len()
    }

    /// Returns the events of one user, oldest first; empty for a user beyond the end.
    pub fn of(&self, user: UserId) -> History<'_> {
        self.row(user.index())
    }

    /// Returns the events of row `row`, oldest first; empty beyond the end.
    pub fn row(&self, row: usize) -> History<'_> {
        if row >= self.n_users() {
            return History::default();
        }
        let range = self.offsets[row]..self.offsets[row + 1];
        History {
            items: &self.items[range.clone()],
            values: &self.values[range.clone()],
            times: &self.times[range],
        }
    }

    /// Visits the history of every user in order of their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = History<'_>> {
        (0..self.n_users()).map(|row| self.row(row))
    }

    /// Returns the row boundaries: `n_users + 1` offsets into the events.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Returns all events as one run, user after user.
    pub fn events(&self) -> History<'_> {
        History { items: &self.items, values: &self.values, times: &self.times }
    }

    /// Counts how often each of `n_items` items occurs.
    pub fn item_counts(&self, n_items: usize) -> Vec<u32> {
        let mut counts = vec![0; n_items];
        for item in &self.items {
            counts[item.index()] += 1;
        }
        counts
    }
}

/// Grows [`Histories`] user by user.
#[derive(Clone, Debug)]
pub struct HistoriesBuilder {
    offsets: Vec<usize>,
    items: Vec<ItemId>,
    values: Vec<f32>,
    times: Vec<i64>,
}

impl Default for HistoriesBuilder {
    fn default() -> Self {
        Self { offsets: vec![0], items: Vec::new(), values: Vec::new(), times: Vec::new() }
    }
}

impl HistoriesBuilder {
    /// Adds one event to the user being built.
    pub fn push(&mut self, item: ItemId, value: f32, time: i64) {
        self.items.push(item);
        self.values.push(value);
        self.times.push(time);
    }

    /// Adds all events of `history` to the user being built.
    pub fn extend(&mut self, history: History<'_>) {
        self.items.extend_from_slice(history.items);
        self.values.extend_from_slice(history.values);
        self.times.extend_from_slice(history.times);
    }

    /// Closes the current user; what follows belongs to the next one.
    pub fn end_user(&mut self) {
        self.offsets.push(self.items.len());
    }

    /// Returns the finished histories. Events after the last `end_user` are dropped.
    pub fn build(mut self) -> Histories {
        let end = self.offsets[self.offsets.len() - 1];
        self.items.truncate(end);
        self.values.truncate(end);
        self.times.truncate(end);
        Histories {
            offsets: self.offsets,
            items: self.items,
            values: self.values,
            times: self.times,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_went_in() {
        let mut builder = HistoriesBuilder::default();
        builder.push(ItemId(3), 1.0, 10);
        builder.push(ItemId(1), 2.0, 20);
        builder.end_user();
        builder.end_user();
        let histories = builder.build();
        assert_eq!(histories.n_users(), 2);
        assert_eq!(histories.of(UserId(0)).items, [ItemId(3), ItemId(1)]);
        assert_eq!(histories.of(UserId(0)).last(1).times, [20]);
        assert!(histories.of(UserId(1)).is_empty());
        assert!(histories.of(UserId(9)).is_empty());
        assert_eq!(histories.item_counts(4), [0, 1, 0, 1]);
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        assert!(Histories::from_parts(vec![0, 2], vec![ItemId(0)], vec![1.0], vec![0]).is_none());
        assert!(Histories::from_parts(vec![], vec![], vec![], vec![]).is_none());
        assert!(Histories::from_parts(vec![0, 1], vec![ItemId(0)], vec![1.0], vec![0]).is_some());
    }
}
