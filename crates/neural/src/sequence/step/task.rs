//! What is asked of a window in training: every next item, or the items behind masks.

use crate::draws::chance;
use crate::sequence::windows::Window;

/// What a model learns to tell of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Task {
    /// After every event, the next one.
    Next,
    /// The items behind masks, each with what stands before and after it (BERT4Rec: Sun et al. 2019).
    Masked {
        /// Share of the events that are masked.
        share: f32,
        /// Share of the windows in which the newest event alone is masked, as when the model is used.
        last: f32,
    },
}

impl Task {
    /// Lists, rising, the events of a window that are masked, at least one; none when the next one is asked.
    pub(in crate::sequence) fn masked(self, window: Window, key: u64) -> Vec<usize> {
        let Self::Masked { share, last } = self else { return Vec::new() };
        let newest = window.len();
        let key = key ^ window.key().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if chance(key, u32::MAX) < last {
            return vec![newest];
        }
        let drawn: Vec<usize> = (0..=newest).filter(|&at| chance(key, at as u32) < share).collect();
        if drawn.is_empty() { vec![newest] } else { drawn }
    }

    /// Counts the predictions asked of a batch.
    pub(in crate::sequence) fn asked(self, batch: &[Window], key: u64) -> usize {
        let of = |window: &Window| match self {
            Self::Next => window.len(),
            Self::Masked { .. } => self.masked(*window, key).len(),
        };
        batch.iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{HistoriesBuilder, ItemId};

    use super::*;
    use crate::sequence::windows::windows;

    #[test]
    fn as_many_events_are_masked_as_told_and_at_least_one() {
        let mut builder = HistoriesBuilder::default();
        for user in 0..400 {
            (0..2 + user % 40).for_each(|at| builder.push(ItemId(at), 1.0, 0));
            builder.end_user();
        }
        let histories = builder.build();
        let all = windows(&histories, 100, 1, 0);
        let events: usize = all.iter().map(|window| window.len() + 1).sum();
        let random = Task::Masked { share: 0.3, last: 0.0 };
        let n = random.asked(&all, 7) as f32 / events as f32;
        assert!((0.29..0.33).contains(&n), "{n}");
        for &window in &all {
            let masked = random.masked(window, 7);
            assert!(
                !masked.is_empty()
                    && masked.is_sorted()
                    && masked[masked.len() - 1] <= window.len()
            );
            assert!(masked == random.masked(window, 7), "the same key masks the same events");
            let newest = Task::Masked { share: 0.3, last: 1.0 }.masked(window, 7);
            assert_eq!(newest, [window.len()]);
            assert!(Task::Next.masked(window, 7).is_empty());
        }
        let newest = Task::Masked { share: 0.9, last: 0.5 };
        let alone = all.iter().filter(|w| w.len() > 8 && newest.masked(**w, 7).len() == 1).count();
        let long = all.iter().filter(|w| w.len() > 8).count();
        assert!((0.4..0.6).contains(&(alone as f32 / long as f32)));
    }
}
