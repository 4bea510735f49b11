//! Lists whose labels are mixed as in what the user took (Steck 2018).

use tastemaker_core::{ItemId, Labels, MIXED_IN};

/// A list that grows, with its distance from what it should be mixed like.
pub(super) struct Balance<'a> {
    labels: &'a Labels,
    /// `[n_labels]`: what the user took.
    wanted: Vec<f64>,
    /// `[n_labels]`: sums over the items of the list that have labels.
    sums: Vec<f64>,
    items: f64,
    /// `Σ p ln p`.
    own: f64,
    /// `Σ p ln q` with one more item that has none of the wanted labels.
    common: f64,
}

impl<'a> Balance<'a> {
    /// Begins an empty list; `None` where nothing the user took has a label.
    pub(super) fn new(labels: &'a Labels, history: &[ItemId]) -> Option<Self> {
        let wanted = labels.mixture(history.iter().copied());
        let has_any = wanted.iter().any(|share| *share > 0.0);
        let own = wanted.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum();
        let sums = vec![0.0; wanted.len()];
        let mut balance = Self { labels, wanted, sums, items: 0.0, own, common: 0.0 };
        balance.settle();
        has_any.then_some(balance)
    }

    fn term(&self, label: usize, more: f64, items: f64) -> f64 {
        let p = self.wanted[label];
        if p <= 0.0 {
            return 0.0;
        }
        let q = (self.sums[label] + more) / items.max(1.0);
        p * ((1.0 - MIXED_IN) * q + MIXED_IN * p).ln()
    }

    fn settle(&mut self) {
        let items = self.items + 1.0;
        self.common = (0..self.wanted.len()).map(|label| self.term(label, 0.0, items)).sum();
    }

    /// Returns the [`divergence`](tastemaker_core::divergence) of the list with `item` in it.
    pub(super) fn with(&self, item: usize) -> f64 {
        let labels = self.labels.of(item);
        if labels.is_empty() {
            let all = (0..self.wanted.len()).map(|label| self.term(label, 0.0, self.items));
            return self.own - all.sum::<f64>();
        }
        let (share, items) = (1.0 / labels.len() as f64, self.items + 1.0);
        let change = |&label: &u32| {
            let label = label as usize;
            self.term(label, share, items) - self.term(label, 0.0, items)
        };
        self.own - self.common - labels.iter().map(change).sum::<f64>()
    }

    /// Takes `item` into the list.
    pub(super) fn add(&mut self, item: usize) {
        let labels = self.labels.of(item);
        if labels.is_empty() {
            return;
        }
        let share = 1.0 / labels.len() as f64;
        labels.iter().for_each(|&label| self.sums[label as usize] += share);
        self.items += 1.0;
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tastemaker_core::divergence;

    use super::*;

    fn labels() -> Labels {
        let rows = vec![vec![0], vec![1], vec![0, 1], vec![], vec![2]];
        Labels { rows: Arc::new(rows), n_labels: 3 }
    }

    #[test]
    fn divergences_are_those_of_the_definition_as_the_list_grows() {
        let labels = labels();
        let history = [0, 0, 1, 2].map(ItemId);
        let wanted = labels.mixture(history.iter().copied());
        let mut balance = Balance::new(&labels, &history).unwrap();
        let mut list: Vec<usize> = Vec::new();
        for item in [4, 1, 3, 0, 2] {
            for other in 0..5 {
                let all = list.iter().chain([&other]).map(|&i| ItemId::from_index(i));
                let mixture = labels.mixture(all);
                let want = divergence(&wanted, &mixture);
                assert!((balance.with(other) - want).abs() < 1e-9, "{list:?} {other}");
            }
            balance.add(item);
            list.push(item);
        }
        assert!(Balance::new(&labels, &[ItemId(3)]).is_none());
    }
}
