//! How alike two rows of the interaction matrix are: two items by their users, or two users by their items.
//!
//! A row is weighed by its measure, rows are multiplied through an inverted index, and the product becomes a similarity:
//! - cosine: `x·y / (|x||y| + shrinkage)` over 1 where there was an event;
//! - TF-IDF: the same over `√count · idf`, and BM25: `x·y` over `count (k1 + 1) / (k1 (1 - b + b len/len̄) + count) · idf`,
//!   with `idf = ln N - ln(1 + n)`, as in the library `implicit`;
//! - Jaccard: `|x ∩ y| / (|x ∪ y| + shrinkage)`;
//! - Pearson: cosine of ratings minus the row's mean; where all ratings are the same, the correlation of what was touched.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::Fault;

use crate::sparse::Csr;

/// A measure of likeness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Angle between rows of zeros and ones.
    #[default]
    Cosine,
    /// Correlation of ratings, or of what was touched where there are no ratings.
    Pearson,
    /// Share of the union that is common.
    Jaccard,
    /// Product of rows weighed by BM25; not normalised, so shrinkage does not apply.
    Bm25,
    /// Angle between rows weighed by TF-IDF.
    TfIdf,
}

/// A measure with its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) measure: Measure,
    pub(super) shrinkage: f32,
    pub(super) k1: f32,
    pub(super) b: f32,
}

impl Rule {
    pub(super) fn faults(&self) -> Vec<Fault> {
        let positive = |field, x: f32| {
            Fault::unless(x >= 0.0 && x.is_finite(), field, || format!("must be 0 or more, is {x}"))
        };
        let b = Fault::unless((0.0..=1.0).contains(&self.b), "bm25_b", || {
            format!("must be 0 to 1, is {}", self.b)
        });
        let all = [positive("shrinkage", self.shrinkage), positive("bm25_k1", self.k1), b];
        all.into_iter().flatten().collect()
    }
}

/// Weighs rows, and turns products of weighed rows into similarities.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    rule: Rule,
    /// `ln N - ln(1 + n)` by column; empty where the measure has no use for it.
    idf: Vec<f32>,
    mean_length: f32,
    /// Number of columns when what counts is being touched at all (Pearson without ratings).
    touched_of: Option<f32>,
}

/// What a similarity needs to know of a weighed row beside the product.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Size {
    norm: f32,
    count: f32,
    /// What all values have in common; the rest is their column's. 0 where they differ in more than the column.
    pub(super) factor: f32,
}

impl Scale {
    /// Learns the scale of a matrix of raw rows.
    pub(super) fn of(rule: Rule, raw: &Csr, has_ratings: bool) -> Self {
        let idf = match rule.measure {
            Measure::Bm25 | Measure::TfIdf => {
                let mut counts = vec![0u32; raw.n_columns()];
                (0..raw.n_rows()).for_each(|row| {
                    raw.row(row).0.iter().for_each(|&column| counts[column as usize] += 1);
                });
                let total = (raw.n_rows() as f32).ln();
                counts.iter().map(|&n| (total - (n as f32).ln_1p()).max(0.0)).collect()
            }
            Measure::Cosine | Measure::Pearson | Measure::Jaccard => Vec::new(),
        };
        let events: f64 =
            (0..raw.n_rows()).map(|row| f64::from(raw.row(row).1.iter().sum::<f32>())).sum();
        let touched_of =
            (rule.measure == Measure::Pearson && !has_ratings).then_some(raw.n_columns() as f32);
        let mean_length = (events / raw.n_rows().max(1) as f64) as f32;
        Self { rule, idf, mean_length, touched_of }
    }

    /// Weighs the raw values of one row in place.
    pub(super) fn weigh(&self, columns: &[u32], values: &mut [f32]) -> Size {
        let factor = self.row_factor(values).unwrap_or(0.0);
        let count = values.len() as f32;
        match self.rule.measure {
            Measure::Pearson if self.touched_of.is_none() => {
                let mean = values.iter().sum::<f32>() / count.max(1.0);
                values.iter_mut().for_each(|x| *x -= mean);
            }
            Measure::Cosine | Measure::Jaccard | Measure::Pearson => values.fill(1.0),
            Measure::TfIdf => {
                for (x, &column) in values.iter_mut().zip(columns) {
                    *x = x.sqrt() * self.idf[column as usize];
                }
            }
            Measure::Bm25 => {
                let Rule { k1, b, .. } = self.rule;
                let length = values.iter().sum::<f32>() / self.mean_length.max(f32::MIN_POSITIVE);
                let room = k1 * (1.0 - b + b * length);
                for (x, &column) in values.iter_mut().zip(columns) {
                    *x = *x * (k1 + 1.0) / (room + *x) * self.idf[column as usize];
                }
            }
        }
        let norm = match self.touched_of {
            Some(n) => (count * (1.0 - count / n)).max(0.0).sqrt(),
            None => values.iter().map(|x| x * x).sum::<f32>().sqrt(),
        };
        Size { norm, count, factor }
    }

    /// Returns what the values of a raw row have in common once weighed, when each is 1 and so the rest is their column's.
    fn row_factor(&self, raw: &[f32]) -> Option<f32> {
        let plain = raw.iter().all(|x| x.to_bits() == 1.0f32.to_bits());
        let Rule { measure, k1, b, .. } = self.rule;
        match measure {
            Measure::Pearson if self.touched_of.is_none() => None,
            _ if !plain => None,
            Measure::Bm25 => {
                let length = raw.len() as f32 / self.mean_length.max(f32::MIN_POSITIVE);
                Some((k1 + 1.0) / (k1 * (1.0 - b + b * length) + 1.0))
            }
            _ => Some(1.0),
        }
    }

    pub(super) fn column_factor(&self, column: u32) -> f32 {
        self.idf.get(column as usize).copied().unwrap_or(1.0)
    }

    /// Turns the product of two weighed rows into their similarity; 0 where it is not defined.
    #[inline]
    pub(super) fn similarity(&self, dot: f32, a: Size, b: Size) -> f32 {
        let (part, whole) = match self.rule.measure {
            Measure::Bm25 => return dot,
            Measure::Jaccard => (dot, a.count + b.count - dot),
            Measure::Cosine | Measure::TfIdf => (dot, a.norm * b.norm),
            Measure::Pearson => {
                let expected = self.touched_of.map_or(0.0, |n| a.count * b.count / n);
                (dot - expected, a.norm * b.norm)
            }
        };
        let whole = whole + self.rule.shrinkage;
        if whole > 0.0 { part / whole } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tastemaker_testkit::assert_close;

    use super::super::search::Weighed;
    use super::*;

    fn rule(measure: Measure) -> Rule {
        Rule { measure, shrinkage: 0.0, k1: 1.2, b: 0.75 }
    }

    fn matrix(rows: &[&[(u32, f32)]], n_columns: usize) -> Csr {
        Csr::build(
            (rows.len(), n_columns),
            || (),
            |(), row, sink| {
                rows[row].iter().for_each(|&(column, value)| sink.push(column, value));
            },
        )
    }

    fn likeness(weighed: &Weighed, a: usize, b: usize) -> f32 {
        let mut dense = vec![0.0; weighed.rows.n_columns()];
        weighed.rows.add_row_to(a, 1.0, &mut dense);
        let (columns, values) = weighed.rows.row(b);
        let dot = columns.iter().zip(values).map(|(&c, v)| dense[c as usize] * v).sum();
        weighed.scale.similarity(dot, weighed.sizes[a], weighed.sizes[b])
    }

    /// Row 0 = {0, 1, 2}, row 1 = {1, 2, 3, 4}, of 6 columns.
    fn sets() -> Csr {
        matrix(
            &[
                &[(0, 1.0), (1, 1.0), (2, 1.0)],
                &[(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0)],
                &[(5, 1.0)],
            ],
            6,
        )
    }

    #[test]
    fn each_measure_by_hand() {
        let of = |measure| likeness(&Weighed::new(rule(measure), sets(), false), 0, 1);
        assert_close(of(Measure::Cosine), 2.0 / 12f64.sqrt(), 1e-6);
        assert_close(of(Measure::Jaccard), 2.0 / 5.0, 1e-6);
        // Correlation of touched: (2 - 3·4/6) / … = 0.
        assert_close(of(Measure::Pearson), 0.0, 1e-6);
        // idf of a column in 2 of 3 rows: ln 3 - ln 3 = 0; so nothing common counts.
        assert_close(of(Measure::TfIdf), 0.0, 1e-6);
        assert_close(of(Measure::Bm25), 0.0, 1e-6);
    }

    #[test]
    fn shrinkage_adds_to_the_denominator() {
        let shrunk = Rule { shrinkage: 10.0, ..rule(Measure::Jaccard) };
        assert_close(likeness(&Weighed::new(shrunk, sets(), false), 0, 1), 2.0 / 15.0, 1e-6);
    }

    #[test]
    fn pearson_on_ratings_is_the_cosine_of_deviations() {
        // Row 0 deviates by -1, +1; row 1 by -2, +2: the same taste on another scale.
        let raw = matrix(&[&[(0, 2.0), (1, 4.0)], &[(0, 1.0), (1, 5.0)], &[(0, 5.0), (1, 1.0)]], 2);
        let weighed = Weighed::new(rule(Measure::Pearson), raw, true);
        assert_close(likeness(&weighed, 0, 1), 1.0, 1e-6);
        assert_close(likeness(&weighed, 0, 2), -1.0, 1e-6);
    }

    #[test]
    fn bm25_by_hand() {
        // Three rows of length 1, one column in two rows, b irrelevant: weight = idf · 2.2 / 2.2, idf = ln 4 - ln 3.
        let raw = matrix(&[&[(0, 1.0)], &[(0, 1.0)], &[(1, 1.0)], &[(1, 1.0)]], 2);
        let weighed = Weighed::new(rule(Measure::Bm25), raw, false);
        assert_close(likeness(&weighed, 0, 1), (4f64 / 3.0).ln().powi(2), 1e-6);
    }

    proptest! {
        #[test]
        fn similarities_are_symmetric_and_normalised_ones_stay_within_one(
            rows in prop::collection::vec(prop::collection::btree_map(0u32..8, 1u8..6, 1..6), 2..6),
            has_ratings: bool,
        ) {
            let rows: Vec<Vec<(u32, f32)>> =
                rows.iter().map(|r| r.iter().map(|(&c, &v)| (c, f32::from(v))).collect()).collect();
            let rows: Vec<&[(u32, f32)]> = rows.iter().map(Vec::as_slice).collect();
            let all = [Measure::Cosine, Measure::Pearson, Measure::Jaccard, Measure::Bm25, Measure::TfIdf];
            for measure in all {
                let weighed = Weighed::new(rule(measure), matrix(&rows, 8), has_ratings);
                for a in 0..rows.len() {
                    for b in 0..rows.len() {
                        let (ab, ba) = (likeness(&weighed, a, b), likeness(&weighed, b, a));
                        prop_assert!((ab - ba).abs() <= 1e-4 * ab.abs().max(1.0), "{measure:?}: {ab} {ba}");
                        if measure != Measure::Bm25 {
                            prop_assert!(ab.abs() <= 1.0 + 1e-4, "{measure:?} {ab}");
                        }
                    }
                }
            }
        }
    }
}
