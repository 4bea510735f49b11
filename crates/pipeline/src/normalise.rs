//! One scale for all: scores of different models become comparable, user by user, over the items not yet seen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::ItemId;
use tastemaker_kernels::signed_ln_1p;

/// The constant of reciprocal-rank fusion (Cormack, Clarke & Büttcher 2009).
const RANK_OFFSET: f32 = 60.0;

/// A scale for scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// Mean 0 and deviation 1 over the unseen items.
    ZScore,
    /// The z-score `z` compressed to `sign(z) ln(1 + |z|)`, then standardised again: sparse models, whose few
    /// non-zero scores lie tens of deviations out, no longer drown the others.
    LogZScore,
    /// `1 / (60 + rank)`, best item first; blind to how far apart scores are.
    Rank,
}

impl Normalise {
    /// Rewrites `scores` of one user. `seen` items take no part and their scores become meaningless.
    pub(crate) fn apply(self, scores: &mut [f32], seen: &[ItemId]) {
        match self {
            Self::ZScore => standardise(scores, seen),
            Self::LogZScore => {
                standardise(scores, seen);
                signed_ln_1p(scores);
                standardise(scores, seen);
            }
            Self::Rank => reciprocal_ranks(scores, seen),
        }
    }
}

/// Standardises to mean 0 and deviation 1 over the unseen; a constant row becomes 0.
fn standardise(scores: &mut [f32], seen: &[ItemId]) {
    let distinct = zero_seen(scores, seen);
    let count = (scores.len() - distinct) as f64;
    if count < 1.0 {
        return;
    }
    let mean = sum(scores, |x| x) / count;
    let shift = mean as f32;
    scores.iter_mut().for_each(|score| *score -= shift);
    zero_seen(scores, seen);
    let deviation = (sum(scores, |x| x * x) / count).sqrt();
    let scale = if deviation > 1e-12 { (1.0 / deviation) as f32 } else { 0.0 };
    scores.iter_mut().for_each(|score| *score *= scale);
}

/// Sets the seen to 0 and counts them, each once.
fn zero_seen(scores: &mut [f32], seen: &[ItemId]) -> usize {
    // NaN marks an item already counted: scores are finite, so it cannot be confused.
    for item in seen {
        if let Some(score) = scores.get_mut(item.index()) {
            *score = f32::NAN;
        }
    }
    let mut distinct = 0;
    for item in seen {
        if let Some(score) = scores.get_mut(item.index())
            && score.is_nan()
        {
            *score = 0.0;
            distinct += 1;
        }
    }
    distinct
}

/// Adds up in sixteen lanes, block by block: vectorised, and the blocks' sums are exact enough in `f64`.
fn sum(scores: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let block_sum = |block: &[f32]| {
        let mut lanes = [0.0f32; 16];
        let chunks = block.chunks_exact(16);
        let rest: f32 = chunks.remainder().iter().map(|&x| f(x)).sum();
        for chunk in chunks {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane += f(x);
            }
        }
        f64::from(lanes.iter().sum::<f32>() + rest)
    };
    scores.chunks(1024).map(block_sum).sum()
}

fn reciprocal_ranks(scores: &mut [f32], seen: &[ItemId]) {
    for item in seen {
        if let Some(score) = scores.get_mut(item.index()) {
            *score = f32::NEG_INFINITY;
        }
    }
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| {
        scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b))
    });
    let mut rank = 0;
    let mut previous = f32::NAN;
    for (place, &item) in order.iter().enumerate() {
        let score = scores[item as usize];
        if score.total_cmp(&previous).is_ne() {
            rank = place;
        }
        previous = score;
        scores[item as usize] = 1.0 / (RANK_OFFSET + rank as f32);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tastemaker_testkit::assert_all_close;

    use super::*;

    #[test]
    fn z_scores_leave_out_the_seen() {
        // unseen 1, 3: mean 2, deviation 1
        let mut scores = [1.0, 100.0, 3.0];
        Normalise::ZScore.apply(&mut scores, &[ItemId(1), ItemId(1)]);
        assert_all_close(&scores, &[-1.0, 0.0, 1.0], 1e-5);
    }

    #[test]
    fn ranks_are_reciprocal_and_ties_share_one() {
        let mut scores = [5.0, 7.0, 5.0];
        Normalise::Rank.apply(&mut scores, &[]);
        assert_all_close(&scores, &[1.0 / 61.0, 1.0 / 60.0, 1.0 / 61.0], 1e-5);
    }

    proptest! {
        #[test]
        fn order_is_kept_and_all_is_finite(
            scores in prop::collection::vec(-1e3f32..1e3, 1..60),
            seen in prop::collection::vec(0u32..60, 0..80),
        ) {
            let seen: Vec<ItemId> = seen.into_iter().map(ItemId).collect();
            for how in [Normalise::ZScore, Normalise::LogZScore, Normalise::Rank] {
                let mut out = scores.clone();
                how.apply(&mut out, &seen);
                prop_assert!(out.iter().all(|x| x.is_finite()));
                let unseen = |i: &usize| !seen.contains(&ItemId(*i as u32));
                for a in (0..scores.len()).filter(unseen) {
                    for b in (0..scores.len()).filter(unseen) {
                        if scores[a] > scores[b] {
                            prop_assert!(out[a] >= out[b]);
                        }
                    }
                }
            }
        }
    }
}
