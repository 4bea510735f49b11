//! Whether lists are mixed as what the user took.

use tastemaker_core::Labels;

use crate::{Kind, Metric, Name, Ranked};

/// Share of the history's mixture in the list's, so that a label the list lacks costs a finite amount.
const SMOOTH: f64 = 0.01;

/// The Kullback-Leibler divergence `Σ p ln (p / q)` of the list's labels from those of what the user took, `q` with one part in a hundred of `p`
/// (Steck 2018); 0 where nothing taken has a label.
pub(crate) struct Miscalibration<'a> {
    /// Length of the list.
    pub(crate) k: usize,
    /// What items are labelled with.
    pub(crate) labels: &'a Labels,
}

impl Metric for Miscalibration<'_> {
    fn name(&self) -> Name {
        Name::at(Kind::Miscalibration, self.k)
    }

    fn of(&self, ranked: &Ranked<'_>) -> f64 {
        let wanted = self.labels.mixture(ranked.history.iter().copied());
        let shown = ranked.list.iter().take(self.k).map(|scored| scored.item);
        let shown = self.labels.mixture(shown);
        let both = wanted.iter().zip(&shown).filter(|(p, _)| **p > 0.0);
        let term = |(p, q): (&f64, &f64)| p * (p / ((1.0 - SMOOTH) * q + SMOOTH * p)).ln();
        both.map(term).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tastemaker_core::{ItemId, Scored};

    use super::*;

    #[test]
    fn a_list_like_the_history_has_none_and_one_without_its_labels_has_much() {
        let labels = Labels { rows: Arc::new(vec![vec![0], vec![1], vec![0, 1]]), n_labels: 2 };
        let of = |history: &[u32], list: &[u32]| {
            let history: Vec<ItemId> = history.iter().copied().map(ItemId).collect();
            let shown = |&item: &u32| Scored { item: ItemId(item), score: 0.0 };
            let list: Vec<Scored> = list.iter().map(shown).collect();
            let ranked = Ranked { ranks: &[], n_candidates: 3, list: &list, history: &history };
            Miscalibration { k: 2, labels: &labels }.of(&ranked)
        };
        let close = |value: f64, want: f64| assert!((value - want).abs() < 1e-9, "{value} {want}");
        close(of(&[0, 1], &[2, 2]), 0.0);
        close(of(&[0], &[1]), 100f64.ln());
        close(of(&[0], &[0, 1, 1]), (1.0 / (0.99 * 0.5 + 0.01f64)).ln());
        close(of(&[], &[0]), 0.0);
    }
}
