//! Where the targets stand among the candidates: scores in batches, masks, and ranks by counting.

use rand::seq::index;
use tastemaker_core::{ItemId, Recommender, Request, seed::stream};

use crate::{Candidates, Cases, Error};

/// Requests scored together at most.
const BATCH: usize = 64;
/// Scores held by one task at most: 32 MB.
const SCORES: usize = 8 << 20;

/// Returns how many requests are scored together; depends on the catalogue alone, so that results repeat.
pub(crate) fn batch_rows(n_items: usize) -> usize {
    (SCORES / n_items.max(1)).clamp(1, BATCH)
}

/// Scores these rows of the cases into `scores`, row after row, unmasked.
pub(crate) fn score_rows<'a>(
    model: &dyn Recommender,
    cases: &Cases<'a>,
    rows: impl Iterator<Item = usize>,
    scores: &mut Vec<f32>,
) -> Vec<Request<'a>> {
    let requests: Vec<Request<'a>> = rows
        .map(|row| Request::new(cases.users.get(row).copied(), cases.histories.row(row)))
        .collect();
    scores.resize(requests.len() * model.n_items(), 0.0);
    model.score_batch(&requests, scores);
    requests
}

/// Chooses the candidates of each row.
pub(crate) struct Mask<'a> {
    /// Full or sampled.
    pub(crate) candidates: Candidates,
    /// Restricts the candidates where given.
    pub(crate) allowed: Option<&'a [bool]>,
    /// Root of the samples.
    pub(crate) seed: u64,
}

impl Mask<'_> {
    /// Sets all but the candidates to negative infinity and counts the candidates; refuses scores that are not finite.
    pub(crate) fn apply(
        &self,
        request: &Request<'_>,
        targets: &[ItemId],
        scores: &mut [f32],
    ) -> Result<usize, Error> {
        let user = request.user.map_or(u32::MAX, |user| user.0);
        if !scores.iter().fold(true, |finite, score| finite & score.is_finite()) {
            let item = scores.iter().position(|score| !score.is_finite()).unwrap_or(0);
            return Err(Error::NotFinite { user, item, score: scores[item] });
        }
        request.mask(scores);
        if let Some(allowed) = self.allowed {
            for (score, allowed) in scores.iter_mut().zip(allowed) {
                if !allowed {
                    *score = f32::NEG_INFINITY;
                }
            }
        }
        if let Candidates::Sampled { negatives } = self.candidates {
            self.sample(user, targets, negatives, scores);
        }
        Ok(count(scores, |score| score > f32::NEG_INFINITY))
    }

    /// Keeps the targets and `negatives` other candidates, the same for every model.
    fn sample(&self, user: u32, targets: &[ItemId], negatives: usize, scores: &mut [f32]) {
        let is_target = |item: &usize| targets.iter().any(|target| target.index() == *item);
        let others: Vec<usize> = (0..scores.len())
            .filter(|item| scores[*item] > f32::NEG_INFINITY && !is_target(item))
            .collect();
        let mut rng = stream(self.seed, &format!("negatives/{user}"));
        let drawn = index::sample(&mut rng, others.len(), negatives.min(others.len()));
        let kept: Vec<(usize, f32)> = drawn
            .into_iter()
            .map(|at| others[at])
            .chain(targets.iter().map(|target| target.index()))
            .map(|item| (item, scores[item]))
            .collect();
        scores.fill(f32::NEG_INFINITY);
        for (item, score) in kept {
            scores[item] = score;
        }
    }
}

/// Returns each target once with its position from 0, best first; infinite where it is no candidate.
///
/// A position is the mean over all orders of equally scored items. For one target that is
/// `#better + #equal / 2`; m targets among g equals stand at `#better + j (g + 1) / (m + 1) - 1` for j = 1..=m.
pub(crate) fn positions(scores: &[f32], targets: &[ItemId]) -> Vec<(ItemId, f64)> {
    let mut targets: Vec<(ItemId, f32)> = targets
        .iter()
        .map(|item| (*item, scores.get(item.index()).copied().unwrap_or(f32::NEG_INFINITY)))
        .collect();
    targets.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    targets.dedup();
    let mut placed = Vec::with_capacity(targets.len());
    for tied in targets.chunk_by(|a, b| b.1 >= a.1) {
        let own = tied[0].1;
        if own > f32::NEG_INFINITY {
            let better = count(scores, |score| score > own);
            let equal = count(scores, |score| score >= own) - better;
            let step = (equal + 1) as f64 / (tied.len() + 1) as f64;
            let place = |(j, (item, _)): (usize, &(ItemId, f32))| {
                (*item, better as f64 + (j + 1) as f64 * step - 1.0)
            };
            placed.extend(tied.iter().enumerate().map(place));
        } else {
            placed.extend(tied.iter().map(|(item, _)| (*item, f64::INFINITY)));
        }
    }
    placed
}

/// Counts in blocks of 32-bit sums, which the compiler turns into vector code.
fn count(scores: &[f32], holds: impl Fn(f32) -> bool) -> usize {
    scores
        .chunks(1 << 16)
        .map(|block| block.iter().map(|score| u32::from(holds(*score))).sum::<u32>() as usize)
        .sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tastemaker_core::{History, UserId};

    use super::*;

    fn items(numbers: &[u32]) -> Vec<ItemId> {
        numbers.iter().map(|item| ItemId(*item)).collect()
    }

    fn ranks(scores: &[f32], targets: &[u32]) -> Vec<f64> {
        positions(scores, &items(targets)).into_iter().map(|(_, rank)| rank).collect()
    }

    #[test]
    fn ties_count_half_and_masked_targets_are_missed() {
        let scores = [5.0, 3.0, 3.0, 3.0, 1.0, f32::NEG_INFINITY];
        assert_eq!(ranks(&scores, &[0]), [0.0]);
        assert_eq!(ranks(&scores, &[2]), [2.0]); // one better, two equals: 1 + 2/2
        assert_eq!(ranks(&scores, &[4, 4]), [4.0]); // named twice, counted once
        assert_eq!(ranks(&scores, &[5, 0]), [0.0, f64::INFINITY]);
        // two of three equals: places 1, 2, 3 are shared out as 1 + 4/3 - 1 and 1 + 8/3 - 1
        let shared = ranks(&scores, &[1, 3]);
        assert!((shared[0] - 4.0 / 3.0).abs() < 1e-12 && (shared[1] - 8.0 / 3.0).abs() < 1e-12);
        assert_eq!(ranks(&[0.0, -0.0], &[1]), [0.5]);
        assert_eq!(ranks(&scores, &[99]), [f64::INFINITY]);
    }

    #[test]
    fn what_was_seen_is_no_candidate_nor_what_is_not_allowed() {
        let seen = items(&[1]);
        let history = History { items: &seen, values: &[1.0], times: &[0] };
        let request = Request::new(Some(UserId(0)), history);
        let mask = Mask {
            candidates: Candidates::Full,
            allowed: Some(&[true, true, false, true]),
            seed: 1,
        };
        let mut scores = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(mask.apply(&request, &items(&[0]), &mut scores).unwrap(), 2);
        assert_eq!(ranks(&scores, &[1, 0]), ranks(&scores, &[0, 2]));
        let bad = mask.apply(&request, &items(&[0]), &mut [1.0, f32::NAN, 1.0, 1.0]);
        assert!(bad.unwrap_err().to_string().contains("item number 1"));
    }

    #[test]
    fn a_sample_holds_the_targets_and_the_same_negatives_every_time() {
        let request = Request::new(Some(UserId(3)), History::default());
        let mask =
            Mask { candidates: Candidates::Sampled { negatives: 5 }, allowed: None, seed: 1 };
        let sample = || {
            let mut scores: Vec<f32> = (0u8..100).map(f32::from).collect();
            let n = mask.apply(&request, &items(&[7, 8]), &mut scores).unwrap();
            (n, scores)
        };
        let (n, scores) = sample();
        assert_eq!(n, 7);
        assert!(scores[7] > 0.0 && scores[8] > 0.0);
        assert_eq!(sample(), (n, scores));
        let few = Mask { candidates: Candidates::Sampled { negatives: 500 }, ..mask };
        assert_eq!(few.apply(&request, &items(&[0]), &mut [1.0, 2.0, 3.0]).unwrap(), 3);
    }

    proptest! {
        #[test]
        fn positions_are_a_step_apart_and_do_not_depend_on_order(
            scores in prop::collection::vec(0u8..6, 1..60), picks in prop::collection::vec(0usize..60, 1..8)
        ) {
            let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
            let mut targets: Vec<ItemId> =
                picks.iter().map(|pick| ItemId::from_index(pick % scores.len())).collect();
            let placed = positions(&scores, &targets);
            for (j, (_, rank)) in placed.iter().enumerate() {
                prop_assert!(*rank >= j as f64 - 1e-9 && *rank <= scores.len() as f64 - 1.0 + 1e-9);
            }
            for pair in placed.windows(2) {
                prop_assert!(pair[1].1 - pair[0].1 > 1.0 - 1e-9);
            }
            targets.reverse();
            prop_assert_eq!(placed, positions(&scores, &targets));
        }
    }
}
