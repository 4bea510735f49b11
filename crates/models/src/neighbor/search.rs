//! Looking for the most similar rows: the matrix as it is needed for that, and the choice of the best few.

use std::cmp::Ordering;

use rayon::prelude::*;
use tastemaker_core::{Histories, History};

use super::similarity::{Measure, Rule, Scale, Size};
use crate::sparse::{Csr, Part, Sink};

/// The rows of a matrix weighed, and the same by columns: all that a neighbour search needs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weighed {
    pub(super) scale: Scale,
    pub(super) rows: Csr,
    pub(super) by_column: Csr,
    pub(super) sizes: Vec<Size>,
    /// Says that every raw value is 1, so that a weighed one is the factor of its row times that of its column. Then
    /// products need no values of the other row, which makes a search twice as fast.
    plain: bool,
}

impl Weighed {
    pub(super) fn new(rule: Rule, raw: Csr, has_ratings: bool) -> Self {
        let scale = Scale::of(rule, &raw, has_ratings);
        let mut rows = raw;
        let sizes = rows.map_rows(|columns, values| scale.weigh(columns, values));
        let by_column = rows.transpose();
        let plain = sizes.iter().all(|size| size.factor > 0.0);
        Self { scale, rows, by_column, sizes, plain }
    }

    /// Returns the rows whose sum holds the products of `row` with all rows.
    pub(super) fn parts(&self, row: usize) -> Vec<Part<'_>> {
        let (columns, values) = self.rows.row(row);
        let parts = columns.iter().zip(values).map(|(&column, &value)| {
            let (others, weights) = self.by_column.row(column as usize);
            if self.plain {
                (others, None, value * self.scale.column_factor(column))
            } else {
                (others, Some(weights), value)
            }
        });
        parts.collect()
    }

    /// Turns a sum over [`parts`](Self::parts) into the similarity of a row of size `size` and row `other`.
    #[inline]
    pub(super) fn similarity(&self, sum: f32, size: Size, other: usize) -> f32 {
        let other = self.sizes[other];
        let dot = if self.plain { sum * other.factor } else { sum };
        self.scale.similarity(dot, size, other)
    }
}

/// Below so many candidates, the pool of the best is not cut back on the way.
const SMALL_POOL: usize = 64;

/// The `k` best of many, ties to the smaller number.
#[derive(Clone, Debug)]
pub(super) struct Best {
    k: usize,
    pool: Vec<(u32, f32)>,
    /// What does not reach this is not among the best.
    threshold: f32,
}

impl Best {
    pub(super) fn new(k: usize) -> Self {
        Self { k, pool: Vec::new(), threshold: f32::NEG_INFINITY }
    }

    /// Takes note of a candidate.
    #[inline]
    pub(super) fn offer(&mut self, candidate: u32, score: f32) {
        if score >= self.threshold {
            self.pool.push((candidate, score));
            if self.pool.len() / 4 > self.k.max(SMALL_POOL) {
                self.cut();
            }
        }
    }

    fn cut(&mut self) {
        if self.k < self.pool.len() {
            self.pool.select_nth_unstable_by(self.k, Self::better);
            self.pool.truncate(self.k);
            self.threshold = self.pool.iter().map(|c| c.1).fold(f32::INFINITY, f32::min);
        }
    }

    /// Hands over the best, best first, and forgets all.
    pub(super) fn drain(&mut self, mut each: impl FnMut(u32, f32)) {
        self.cut();
        self.pool.sort_unstable_by(Self::better);
        self.pool.drain(..).for_each(|(candidate, score)| each(candidate, score));
        self.threshold = f32::NEG_INFINITY;
    }

    fn better(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
        b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
    }
}

/// Tells whether the values of the events say more than that they happened.
pub(super) fn has_ratings(histories: &Histories) -> bool {
    let values = histories.events().values;
    values.iter().any(|value| (value - values[0]).abs() > f32::EPSILON)
}

/// Returns raw rows `[n_users, n_items]`: how often, or for Pearson on ratings the mean value.
pub(super) fn interactions(histories: &Histories, n_items: usize, measure: Measure) -> Csr {
    Csr::build((histories.n_users(), n_items), Vec::new, |scratch, row, sink: &mut Sink| {
        for (column, value) in raw_row(histories.row(row), n_items, measure, scratch) {
            sink.push(*column, *value);
        }
    })
}

/// Returns one raw row, columns rising; items from `n_items` up are passed over.
pub(super) fn raw_row<'s>(
    history: History<'_>,
    n_items: usize,
    measure: Measure,
    scratch: &'s mut Vec<(u32, f32)>,
) -> &'s [(u32, f32)] {
    scratch.clear();
    scratch.extend(history.items.iter().zip(history.values).map(|(item, &value)| (item.0, value)));
    scratch.retain(|(item, _)| (*item as usize) < n_items);
    scratch.sort_unstable_by_key(|(item, _)| *item);
    let mut kept = 0;
    let mut at = 0;
    while at < scratch.len() {
        let item = scratch[at].0;
        let from = at;
        let mut sum = 0.0;
        while at < scratch.len() && scratch[at].0 == item {
            sum += scratch[at].1;
            at += 1;
        }
        let count = (at - from) as f32;
        scratch[kept] = (item, if measure == Measure::Pearson { sum / count } else { count });
        kept += 1;
    }
    scratch.truncate(kept);
    scratch
}

impl Csr {
    /// Visits the columns and values of all rows on all cores, and returns what each visit returned.
    fn map_rows<T: Send>(&mut self, visit: impl Fn(&[u32], &mut [f32]) -> T + Sync) -> Vec<T> {
        self.rows_mut().into_par_iter().map(|(columns, values)| visit(columns, values)).collect()
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{HistoriesBuilder, ItemId};
    use tastemaker_testkit::assert_all_close;

    use super::*;
    use crate::sparse::Sums;

    #[test]
    fn repeated_events_become_a_count_or_a_mean() {
        let mut builder = HistoriesBuilder::default();
        for (item, value) in [(3, 2.0), (1, 5.0), (3, 4.0), (77, 1.0)] {
            builder.push(ItemId(item), value, 0);
        }
        builder.end_user();
        let histories = builder.build();
        let mut scratch = Vec::new();
        let counts = raw_row(histories.row(0), 10, Measure::Bm25, &mut scratch).to_vec();
        assert_eq!(counts, [(1, 1.0), (3, 2.0)]);
        let means = raw_row(histories.row(0), 10, Measure::Pearson, &mut scratch);
        assert_eq!(means, [(1, 5.0), (3, 3.0)]);
    }

    #[test]
    fn the_best_are_kept_in_order_and_ties_go_to_the_smaller_number() {
        let mut best = Best::new(2);
        for (candidate, score) in [(7, 0.5), (1, 0.9), (4, 0.5), (2, 0.1), (9, 0.5), (3, 0.2)] {
            best.offer(candidate, score);
        }
        let mut got = Vec::new();
        best.drain(|candidate, score| got.push((candidate, score)));
        assert_eq!(got, [(1, 0.9), (4, 0.5)]);
        best.drain(|_, _| unreachable!("all is forgotten"));
    }

    #[test]
    fn the_short_way_through_factors_gives_the_same_similarities() {
        let rows = |first: f32| {
            Csr::build(
                (4, 4),
                || (),
                |(), row, sink| {
                    (row as u32..3.max(row as u32 + 1)).for_each(|column| {
                        sink.push(column, if column == 0 { first } else { 1.0 });
                    });
                },
            )
        };
        let rule = |measure| Rule { measure, shrinkage: 0.0, k1: 1.2, b: 0.75 };
        for measure in
            [Measure::Cosine, Measure::Pearson, Measure::Jaccard, Measure::Bm25, Measure::TfIdf]
        {
            let short = Weighed::new(rule(measure), rows(1.0), false);
            let mut long = short.clone();
            assert!(std::mem::take(&mut long.plain));
            let all = |weighed: &Weighed| {
                let mut got = vec![0.0; 4];
                let mut sums = Sums::new(4);
                sums.add_all(&weighed.parts(0), |other, sum| {
                    got[other as usize] = weighed.similarity(sum, weighed.sizes[0], other as usize);
                });
                got
            };
            assert_all_close(&all(&short), &all(&long), 1e-6);
            let counted = Weighed::new(rule(Measure::Bm25), rows(2.0), false);
            assert!(!counted.plain);
        }
    }
}
