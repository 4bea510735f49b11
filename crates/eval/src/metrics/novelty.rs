//! How well known the items of a list are: self-information, popularity percentile, average popularity.

use crate::{Kind, Metric, Name, Ranked};

/// What the training events say of each item.
pub(crate) struct Popularity {
    /// Training events.
    pub(crate) counts: Vec<u32>,
    /// `-log2 p`, with `p = (events + 1) / (all events + items)`: finite for an item without events.
    information: Vec<f64>,
    /// Share of items with fewer events, those with equally many counting half: 0 to 1.
    percentile: Vec<f64>,
}

impl Popularity {
    /// Derives everything from the events of each item.
    pub(crate) fn new(counts: Vec<u32>) -> Self {
        let total: f64 = counts.iter().map(|c| f64::from(*c)).sum::<f64>() + counts.len() as f64;
        let information = counts.iter().map(|c| (total / (f64::from(*c) + 1.0)).log2()).collect();
        let mut sorted = counts.clone();
        sorted.sort_unstable();
        let others = counts.len().saturating_sub(1).max(1) as f64;
        let percentile = counts
            .iter()
            .map(|count| {
                let fewer = sorted.partition_point(|c| c < count);
                let equal = sorted.partition_point(|c| c <= count) - fewer - 1;
                (fewer as f64 + equal as f64 / 2.0) / others
            })
            .collect();
        Self { counts, information, percentile }
    }
}

/// A mean over the list of one number per item; 0 for an empty list.
pub(crate) struct ListMean<'a> {
    kind: Kind,
    k: usize,
    number: Box<dyn Fn(usize) -> f64 + Send + Sync + 'a>,
}

impl<'a> ListMean<'a> {
    /// Self-information in bits: how surprising the items are.
    pub(crate) fn novelty(k: usize, popularity: &'a Popularity) -> Self {
        Self { kind: Kind::Novelty, k, number: Box::new(|item| popularity.information[item]) }
    }

    /// Popularity percentile: how far lists lean to what is popular anyway.
    pub(crate) fn percentile(k: usize, popularity: &'a Popularity) -> Self {
        Self { kind: Kind::Popularity, k, number: Box::new(|item| popularity.percentile[item]) }
    }

    /// Training events: average recommendation popularity.
    pub(crate) fn arp(k: usize, popularity: &'a Popularity) -> Self {
        Self { kind: Kind::Arp, k, number: Box::new(|item| f64::from(popularity.counts[item])) }
    }
}

impl Metric for ListMean<'_> {
    fn name(&self) -> Name {
        Name::at(self.kind, self.k)
    }

    fn of(&self, ranked: &Ranked<'_>) -> f64 {
        let list = &ranked.list[..self.k.min(ranked.list.len())];
        let sum: f64 = list.iter().map(|scored| (self.number)(scored.item.index())).sum();
        sum / list.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{ItemId, Scored};

    use super::*;

    #[test]
    fn a_list_of_a_hit_and_an_unknown_item() {
        // 4 items with 7, 1, 0, 0 events; 8 + 4 = 12, so p = 8/12, 2/12, 1/12, 1/12
        let popularity = Popularity::new(vec![7, 1, 0, 0]);
        let list = [0u32, 2].map(|item| Scored { item: ItemId(item), score: 0.0 });
        let ranked = Ranked { ranks: &[], n_candidates: 4, list: &list, history: &[] };
        let close = |metric: ListMean<'_>, value: f64| {
            assert!((metric.of(&ranked) - value).abs() < 1e-12, "{}", metric.name());
        };
        close(ListMean::novelty(2, &popularity), f64::midpoint(1.5f64.log2(), 12f64.log2()));
        close(ListMean::novelty(1, &popularity), 1.5f64.log2());
        // the first is above the 3 others; the third equals one of 3: percentile 0.5/3
        close(ListMean::percentile(2, &popularity), f64::midpoint(1.0, 0.5 / 3.0));
        close(ListMean::arp(2, &popularity), 3.5);
        let empty = Ranked { list: &[], ..ranked };
        assert!(ListMean::novelty(2, &popularity).of(&empty).abs() < 1e-12);
    }
}
