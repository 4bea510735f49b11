//! What is learnt from and what is held back, and the batches of the former.

use rand::seq::SliceRandom;
use tastemaker_core::seed;

/// Share of items that are not learnt from but judged by.
const HELD: usize = 20;
/// Most of them.
const MOST_HELD: usize = 1000;

/// Things to learn from, in batches, in a new order each time round.
pub(super) struct Batches {
    all: Vec<u32>,
    size: usize,
    /// The time round whose order `all` is in.
    round: Option<usize>,
}

impl Batches {
    pub(super) const fn new(all: Vec<u32>, size: usize) -> Self {
        Self { all, size, round: None }
    }

    /// Counts the batches that go once round.
    pub(super) fn len(&self) -> usize {
        self.all.len().div_ceil(self.size)
    }

    /// Returns the batch of a step, which follows from its number and the seed alone.
    pub(super) fn of(&mut self, step: usize, seed: u64) -> Vec<u32> {
        let round = step / self.len().max(1);
        if self.round != Some(round) {
            self.all.sort_unstable();
            self.all.shuffle(&mut seed::stream(seed, &format!("tune/round{round}")));
            self.round = Some(round);
        }
        let chunk = self.all.chunks(self.size).nth(step % self.len().max(1));
        chunk.unwrap_or_default().to_vec()
    }
}

/// Returns items to learn from and items to judge by: one in twenty, at least one and at most a thousand; `None` with fewer than two.
pub(super) fn apart(mut items: Vec<u32>, seed: u64) -> Option<(Vec<u32>, Vec<u32>)> {
    if items.len() < 2 {
        return None;
    }
    items.shuffle(&mut seed::stream(seed, "tune/held-items"));
    let n = (items.len() / HELD).clamp(1, MOST_HELD);
    let learnt = items.split_off(n);
    Some((learnt, items))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_takes_everything_once_and_batches_repeat() {
        let mut batches = Batches::new((0..7).collect(), 3);
        assert_eq!(batches.len(), 3);
        let mut all: Vec<u32> = (3..6).flat_map(|step| batches.of(step, 1)).collect();
        let later = batches.of(4, 1);
        let mut again = Batches::new((0..7).collect(), 3);
        assert!(again.of(0, 1) != again.of(3, 1) && again.of(4, 1) == later);
        all.sort_unstable();
        assert!(all.into_iter().eq(0..7));
    }

    #[test]
    fn one_in_twenty_is_held_back() {
        let (learnt, held) = apart((0..100).collect(), 1).unwrap();
        assert_eq!((learnt.len(), held.len()), (95, 5));
        assert!(held.iter().all(|item| !learnt.contains(item)));
        let (learnt, held) = apart(vec![3, 4], 1).unwrap();
        assert_eq!((learnt.len(), held.len()), (1, 1));
        assert!(apart(vec![3], 1).is_none());
    }
}
