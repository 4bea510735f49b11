//! Whether lists are mixed as what the user took.

use tastemaker_core::{Labels, divergence};

use crate::{Kind, Metric, Name, Ranked};

/// The [`divergence`] of the list's labels from those of what the user took; 0 where nothing taken has a label.
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
        divergence(&wanted, &self.labels.mixture(shown))
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
