//! Histories cut into what a step reads: windows, batches of windows, and the chunks of a batch that tasks work on.

use rand::RngExt;
use rand::seq::SliceRandom;
use tastemaker_core::{Histories, ItemId, seed};

/// A run of events of one user: all but the last are read, all but the first are to be predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    user: u32,
    start: u32,
    len: u32,
}

impl Window {
    /// Counts the events to be predicted.
    pub(super) const fn len(self) -> usize {
        self.len as usize
    }

    /// Returns all items, one more than are to be predicted.
    pub(super) fn items(self, histories: &Histories) -> &[ItemId] {
        let (start, len) = (self.start as usize, self.len as usize);
        &histories.row(self.user as usize).items[start..=start + len]
    }

    /// Returns when the events that are read happened.
    pub(super) fn times(self, histories: &Histories) -> &[i64] {
        let (start, len) = (self.start as usize, self.len as usize);
        &histories.row(self.user as usize).times[start..start + len]
    }

    /// Returns the items that are read and those to be predicted.
    pub(super) fn pairs(self, histories: &Histories) -> (&[ItemId], &[ItemId]) {
        let items = self.items(histories);
        (&items[..items.len() - 1], &items[1..])
    }

    /// Returns a number that stands for the window in what is drawn for it.
    pub(super) const fn key(self) -> u64 {
        (self.user as u64) << 32 | self.start as u64
    }
}

/// Cuts every history into windows of at most `max_length` predictions, each event predicted once. Long histories are
/// cut at other places in every epoch. The order is random.
pub(super) fn windows(
    histories: &Histories,
    max_length: usize,
    seed: u64,
    epoch: usize,
) -> Vec<Window> {
    let mut rng = seed::stream(seed, &format!("windows/{epoch}"));
    let mut all = Vec::new();
    for (user, history) in histories.iter().enumerate() {
        let mut end = history.len().saturating_sub(1);
        let mut room = max_length;
        if end > max_length {
            room = rng.random_range(1..=max_length);
        }
        while end > 0 {
            let len = room.min(end);
            end -= len;
            room = max_length;
            all.push(Window { user: user as u32, start: end as u32, len: len as u32 });
        }
    }
    all.shuffle(&mut rng);
    all
}

/// Groups windows into batches of about `positions` predictions, in order.
pub(super) fn batches(windows: &[Window], positions: usize) -> Vec<&[Window]> {
    let mut all = Vec::new();
    let (mut from, mut sum) = (0, 0);
    for (at, window) in windows.iter().enumerate() {
        if sum > 0 && sum + window.len() > positions {
            all.push(&windows[from..at]);
            (from, sum) = (at, 0);
        }
        sum += window.len();
    }
    if from < windows.len() {
        all.push(&windows[from..]);
    }
    all
}

/// Spreads the windows of a batch over `lanes` of about the same work, in chunks of at most `most` positions or one window.
pub(super) fn lanes(batch: &[Window], lanes: usize, most: usize) -> Vec<Vec<Vec<Window>>> {
    let total: usize = batch.iter().map(|window| window.len()).sum();
    let most = most.min(total.div_ceil(lanes));
    let mut sorted = batch.to_vec();
    sorted.sort_by_key(|window| std::cmp::Reverse(window.len));
    let mut chunks: Vec<(usize, Vec<Window>)> = Vec::new();
    for window in sorted {
        match chunks.iter_mut().find(|(sum, _)| sum + window.len() <= most) {
            Some((sum, chunk)) => {
                *sum += window.len();
                chunk.push(window);
            }
            None => chunks.push((window.len(), vec![window])),
        }
    }
    chunks.sort_by_key(|(sum, _)| std::cmp::Reverse(*sum));
    let mut all = vec![(0, Vec::new()); lanes];
    for (sum, chunk) in chunks {
        if let Some(least) = all.iter_mut().min_by_key(|(work, _)| *work) {
            least.0 += sum;
            least.1.push(chunk);
        }
    }
    all.into_iter().map(|(_, chunks)| chunks).collect()
}

#[cfg(test)]
mod tests {
    use tastemaker_core::HistoriesBuilder;

    use super::*;

    fn histories(lengths: &[usize]) -> Histories {
        let mut builder = HistoriesBuilder::default();
        for &len in lengths {
            (0..len).for_each(|i| builder.push(ItemId::from_index(i), 1.0, 0));
            builder.end_user();
        }
        builder.build()
    }

    #[test]
    fn every_event_but_the_first_is_predicted_once_an_epoch() {
        let histories = histories(&[0, 1, 2, 5, 57, 10_000]);
        for epoch in 0..3 {
            let mut predicted = vec![Vec::new(); histories.n_users()];
            for window in windows(&histories, 16, 1, epoch) {
                assert!(window.len() <= 16);
                let (read, wanted) = window.pairs(&histories);
                assert!(read.iter().zip(wanted).all(|(a, b)| a.0 + 1 == b.0));
                predicted[window.user as usize].extend(wanted.iter().map(|item| item.0));
            }
            for (user, mut items) in predicted.into_iter().enumerate() {
                items.sort_unstable();
                let n = histories.row(user).len() as u32;
                assert!(items.iter().copied().eq(1..n), "user {user}: {items:?}");
            }
        }
        assert!(windows(&histories, 16, 1, 0) == windows(&histories, 16, 1, 0));
        assert!(windows(&histories, 16, 1, 0) != windows(&histories, 16, 1, 1));
    }

    #[test]
    fn batches_and_lanes_lose_nothing() {
        let histories = histories(&[3, 300, 7, 20, 90, 1000, 4]);
        let all = windows(&histories, 300, 1, 0);
        let batches = batches(&all, 400);
        assert!(batches.concat() == all);
        for batch in batches {
            let mut spread: Vec<Window> = lanes(batch, 4, 256).concat().concat();
            let mut wanted = batch.to_vec();
            let key = |w: &Window| (w.user, w.start);
            spread.sort_by_key(key);
            wanted.sort_by_key(key);
            assert!(spread == wanted);
        }
    }
}
