//! Who touched what, each pair once: what the linear and the factor models are fitted on and asked with.

use tastemaker_core::{Histories, History};

use crate::sparse::Csr;

/// Makes a row of distinct items, rising, for every user: the value of an item is what `weigh` makes of the sum of the
/// values of its events.
///
/// Items from `n_items` up are passed over.
pub(crate) fn interactions(
    histories: &Histories,
    n_items: usize,
    weigh: impl Fn(f32) -> f32 + Sync + Send,
) -> Csr {
    Csr::build((histories.n_users(), n_items), Vec::new, |events, user, sink| {
        let history = histories.row(user);
        let all = history.items.iter().zip(history.values);
        events.extend(all.filter(|(item, _)| item.index() < n_items).map(|(item, v)| (item.0, *v)));
        events.sort_by_key(|(item, _)| *item);
        for same in events.chunk_by(|a, b| a.0 == b.0) {
            sink.push(same[0].0, weigh(same.iter().map(|(_, value)| value).sum()));
        }
        events.clear();
    })
}

/// Items of a history, each once, with the share in which it counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Known {
    pub(crate) items: Vec<u32>,
    /// Sum of the values of its events.
    pub(crate) values: Vec<f32>,
    /// `(1 + age)^-recency`, where the age of an item is the number of events after its newest one.
    pub(crate) shares: Vec<f32>,
}

impl Known {
    /// Reads a history. Items from `n_items` up are passed over, but age those before them.
    pub(crate) fn new(history: History<'_>, n_items: usize, recency: f32) -> Self {
        let events = history.items.iter().zip(history.values).rev().enumerate();
        let mut events: Vec<(u32, usize, f32)> = events
            .filter(|(_, (item, _))| item.index() < n_items)
            .map(|(age, (item, value))| (item.0, age, *value))
            .collect();
        events.sort_by_key(|(item, age, _)| (*item, *age));
        let mut known = Self::default();
        for same in events.chunk_by(|a, b| a.0 == b.0) {
            known.items.push(same[0].0);
            known.values.push(same.iter().map(|(_, _, value)| value).sum());
            known.shares.push((1.0 + same[0].1 as f32).powf(-recency));
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{HistoriesBuilder, ItemId};
    use tastemaker_testkit::assert_all_close;

    use super::*;

    #[test]
    fn a_pair_counts_once_with_the_sum_of_its_values() {
        let mut builder = HistoriesBuilder::default();
        for (item, value) in [(2, 1.0), (0, 5.0), (2, 3.0), (9, 1.0)] {
            builder.push(ItemId(item), value, 0);
        }
        builder.end_user();
        let pairs = interactions(&builder.build(), 3, |value| 2.0 * value);
        assert_eq!(pairs.row(0), (&[0, 2][..], &[10.0, 8.0][..]));
    }

    #[test]
    fn an_item_is_as_old_as_its_newest_event() {
        let items = [3, 1, 3, 9, 2].map(ItemId);
        let history = History { items: &items, values: &[1.0, 1.0, 4.0, 1.0, 1.0], times: &[0; 5] };
        let known = Known::new(history, 9, 1.0);
        assert_eq!(known.items, [1, 2, 3]);
        assert_all_close(&known.values, &[1.0, 1.0, 5.0], 1e-6);
        // Ages 3, 0 and 2.
        assert_all_close(&known.shares, &[0.25, 1.0, 1.0 / 3.0], 1e-6);
        assert_all_close(&Known::new(history, 9, 0.0).shares, &[1.0; 3], 1e-6);
    }
}
