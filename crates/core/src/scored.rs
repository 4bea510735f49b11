//! A scored item, and the choice of the best few.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::ItemId;

/// Pairs an item with its score; higher is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The item.
    pub item: ItemId,
    /// Its score, on the model's own scale.
    pub score: f32,
}

impl Scored {
    /// Orders better first: by falling score, then by rising item number, so that ties are stable.
    pub fn better_first(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.item.cmp(&other.item))
    }
}

/// Returns the `k` best of `scores` (index = item number), best first.
///
/// Items scored negative infinity or NaN are left out, so the list may be shorter than `k`.
pub fn top_k(scores: &[f32], k: usize) -> Vec<Scored> {
    if k == 0 {
        return Vec::new();
    }
    // A pool of at most 2k candidates above the best known threshold, cut back to k when full:
    // one comparison per item in the common case.
    let capacity = k.saturating_mul(2).min(scores.len()).max(1);
    let mut pool: Vec<Scored> = Vec::with_capacity(capacity);
    let mut threshold = f32::NEG_INFINITY;
    for (index, &score) in scores.iter().enumerate() {
        if score > threshold {
            pool.push(Scored { item: ItemId::from_index(index), score });
            if pool.len() == capacity && capacity > k {
                pool.select_nth_unstable_by(k - 1, Scored::better_first);
                pool.truncate(k);
                threshold = pool[k - 1].score;
            }
        }
    }
    pool.sort_unstable_by(Scored::better_first);
    pool.truncate(k);
    pool
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ties_go_to_the_smaller_number_and_masked_items_stay_out() {
        let best = top_k(&[1.0, f32::NEG_INFINITY, 2.0, 1.0, f32::NAN], 10);
        let items: Vec<u32> = best.iter().map(|s| s.item.0).collect();
        assert_eq!(items, [2, 0, 3]);
        assert!(top_k(&[1.0], 0).is_empty());
        assert!(top_k(&[], 3).is_empty());
    }

    proptest! {
        #[test]
        fn equals_a_full_sort(scores in prop::collection::vec(-5i8..5, 0..200), k in 0usize..50) {
            let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
            let mut all: Vec<Scored> =
                scores.iter().enumerate().map(|(i, &score)| Scored { item: ItemId::from_index(i), score }).collect();
            all.sort_by(Scored::better_first);
            all.truncate(k);
            prop_assert_eq!(top_k(&scores, k), all);
        }
    }
}
