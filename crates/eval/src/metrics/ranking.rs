//! Where the targets stand: NDCG, MAP, MRR, AUC. Ranks count from 0; ties have already been shared out.

use crate::{Kind, Metric, Name, Ranked};

/// Gain of a target at a rank: `1 / log2(rank + 2)`.
pub(crate) fn discount(rank: f64) -> f64 {
    1.0 / (rank + 2.0).log2()
}

/// Sum of `1 / log2(rank + 2)` over targets before the cut, over the best possible sum.
pub(crate) struct Ndcg {
    cut: Option<usize>,
    /// Best sum for 0, 1, 2, … targets, as far as the cut goes.
    ideal: Vec<f64>,
}

/// Ideal sums beyond this many targets are added up on demand.
const IDEALS: usize = 1000;

impl Ndcg {
    /// Prepares NDCG for lists of length `k`, or for the whole ranking.
    pub(crate) fn new(cut: Option<usize>) -> Self {
        let sums = (0..cut.unwrap_or(IDEALS).min(IDEALS)).scan(0.0, |sum, rank| {
            *sum += discount(rank as f64);
            Some(*sum)
        });
        Self { cut, ideal: std::iter::once(0.0).chain(sums).collect() }
    }

    fn best(&self, n_targets: usize) -> f64 {
        let n = self.cut.map_or(n_targets, |k| n_targets.min(k));
        let known = n.min(self.ideal.len() - 1);
        self.ideal[known] + (known..n).map(|rank| discount(rank as f64)).sum::<f64>()
    }

    /// Returns the NDCG of targets at these ranks.
    pub(crate) fn of_ranks(&self, ranks: &[f64]) -> f64 {
        let best = self.best(ranks.len());
        if best <= 0.0 {
            return 0.0;
        }
        before(ranks, self.cut).map(discount).sum::<f64>() / best
    }
}

impl Metric for Ndcg {
    fn name(&self) -> Name {
        Name { kind: Kind::Ndcg, at: self.cut }
    }

    fn of(&self, ranked: &Ranked<'_>) -> f64 {
        self.of_ranks(ranked.ranks)
    }
}

/// Mean over the targets (at most `k`) of the precision at each target's rank.
pub(crate) struct Map(pub Option<usize>);

impl Metric for Map {
    fn name(&self) -> Name {
        Name { kind: Kind::Map, at: self.0 }
    }

    fn of(&self, ranked: &Ranked<'_>) -> f64 {
        let possible = self.0.map_or(ranked.ranks.len(), |k| ranked.ranks.len().min(k));
        let precisions = before(ranked.ranks, self.0)
            .enumerate()
            .map(|(found, rank)| (found + 1) as f64 / (rank + 1.0));
        precisions.sum::<f64>() / possible.max(1) as f64
    }
}

/// One over the place (from 1) of the first target.
pub(crate) struct Mrr(pub Option<usize>);

impl Metric for Mrr {
    fn name(&self) -> Name {
        Name { kind: Kind::Mrr, at: self.0 }
    }

    fn of(&self, ranked: &Ranked<'_>) -> f64 {
        before(ranked.ranks, self.0).next().map_or(0.0, |rank| 1.0 / (rank + 1.0))
    }
}

/// Share of pairs of a target and another candidate in which the target stands above.
pub(crate) struct Auc;

impl Metric for Auc {
    fn name(&self) -> Name {
        Name::whole(Kind::Auc)
    }

    fn of(&self, ranked: &Ranked<'_>) -> f64 {
        let reached = before(ranked.ranks, None).count();
        let others = ranked.n_candidates.saturating_sub(reached) as f64;
        if others <= 0.0 {
            return reached as f64 / ranked.ranks.len().max(1) as f64;
        }
        // Of the items above target number j, j are targets themselves.
        let below: f64 = before(ranked.ranks, None)
            .enumerate()
            .map(|(j, rank)| others - (rank - j as f64))
            .sum();
        below / (others * ranked.ranks.len().max(1) as f64)
    }
}

/// Ranks before the cut; never those of targets that were no candidates.
fn before(ranks: &[f64], cut: Option<usize>) -> impl Iterator<Item = f64> {
    let end = cut.map_or(f64::INFINITY, |k| k as f64);
    ranks.iter().copied().take_while(move |rank| *rank < end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::hit::{Hit, Precision, Recall};

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn one_target_at_rank_two_and_a_half() {
        let ranked = Ranked { ranks: &[2.5], n_candidates: 11, list: &[], history: &[] };
        close(Ndcg::new(Some(10)).of(&ranked), 1.0 / 4.5f64.log2());
        close(Ndcg::new(Some(2)).of(&ranked), 0.0);
        close(Mrr(None).of(&ranked), 1.0 / 3.5);
        close(Map(Some(10)).of(&ranked), 1.0 / 3.5);
        close(Auc.of(&ranked), 0.75); // 2.5 of 10 others stand above
    }

    #[test]
    fn two_targets_at_ranks_zero_and_three_and_one_that_was_no_candidate() {
        let ranked =
            Ranked { ranks: &[0.0, 3.0, f64::INFINITY], n_candidates: 8, list: &[], history: &[] };
        // DCG = 1 + 1/log2 5; ideal = 1 + 1/log2 3 + 1/2
        let ndcg = (1.0 + 1.0 / 5f64.log2()) / (1.0 + 1.0 / 3f64.log2() + 0.5);
        close(Ndcg::new(Some(5)).of(&ranked), ndcg);
        close(Ndcg::new(None).of(&ranked), ndcg);
        close(Map(Some(5)).of(&ranked), (1.0 / 1.0 + 2.0 / 4.0) / 3.0);
        close(Map(Some(1)).of(&ranked), 1.0);
        close(Mrr(Some(5)).of(&ranked), 1.0);
        // 6 others: none above the first, 2 above the second, all above the third
        close(Auc.of(&ranked), (6.0 + 4.0 + 0.0) / 18.0);
    }

    #[test]
    fn many_targets_have_an_ideal_beyond_the_table() {
        let ranks: Vec<f64> = (0..1500).map(f64::from).collect();
        close(Ndcg::new(None).of_ranks(&ranks), 1.0);
        close(Ndcg::new(Some(10)).of_ranks(&ranks), 1.0);
    }

    fn all() -> Vec<Box<dyn Metric>> {
        let mut metrics: Vec<Box<dyn Metric>> = vec![
            Box::new(Auc),
            Box::new(Map(None)),
            Box::new(Mrr(None)),
            Box::new(Ndcg::new(None)),
        ];
        for k in [1, 5, 20] {
            metrics.push(Box::new(Ndcg::new(Some(k))));
            metrics.push(Box::new(Map(Some(k))));
            metrics.push(Box::new(Mrr(Some(k))));
            metrics.push(Box::new(Hit(k)));
            metrics.push(Box::new(Recall(k)));
            metrics.push(Box::new(Precision(k)));
        }
        metrics
    }

    proptest! {
        #[test]
        fn every_ranking_metric_lies_between_0_and_1(gaps in prop::collection::vec(0u8..9, 1..12), misses in 0usize..3) {
            let mut ranks: Vec<f64> = gaps.iter().scan(-1.0, |at, gap| {
                *at += 1.0 + f64::from(*gap) / 2.0;
                Some(*at)
            }).collect();
            let n_candidates = ranks[ranks.len() - 1].ceil() as usize + 1;
            ranks.extend(std::iter::repeat_n(f64::INFINITY, misses));
            for metric in all() {
                let value = metric.of(&Ranked { ranks: &ranks, n_candidates, list: &[], history: &[] });
                prop_assert!((0.0..=1.0 + 1e-12).contains(&value), "{} is {value}", metric.name());
            }
        }

        #[test]
        fn a_perfect_ranking_scores_1(n in 1u8..12) {
            let ranks: Vec<f64> = (0..n).map(f64::from).collect();
            let ranked = Ranked { ranks: &ranks, n_candidates: 50, list: &[], history: &[] };
            for metric in [&Ndcg::new(Some(5)) as &dyn Metric, &Map(Some(5)), &Mrr(Some(5)), &Auc, &Hit(5), &Recall(12)] {
                close(metric.of(&ranked), 1.0);
            }
        }
    }
}
