//! Which row of the table of vectors stands for an id, a label or a number.
//!
//! Every vocabulary has one row for all that is unknown: values that training has not seen, and missing ones. Where values
//! are more than rows, rows are shared by hash (Weinberger et al. 2009).

use tastemaker_core::{FeatureValues, seed};

/// Values that get a row each; beyond it, rows are shared.
const LIMIT: usize = 1_000_000;

/// The rows of an id or of a column's labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vocabulary {
    first: u32,
    /// Rows beside that of the unknown.
    rows: u32,
    is_hashed: bool,
}

impl Vocabulary {
    /// Takes rows from `next` on.
    pub(crate) fn new(n_values: usize, buckets: Option<usize>, next: &mut usize) -> Self {
        let (rows, is_hashed) = match buckets {
            Some(buckets) => (buckets, true),
            None if n_values > LIMIT => (LIMIT, true),
            None => (n_values, false),
        };
        let first = *next as u32;
        *next += rows + 1;
        Self { first, rows: rows as u32, is_hashed }
    }

    /// Returns the row of all that is unknown.
    pub(crate) const fn unknown(self) -> u32 {
        self.first
    }

    /// Returns the row of a value.
    pub(crate) fn row(self, value: usize) -> u32 {
        let place = if self.is_hashed {
            // The mixer keeps most of its work in the low bits of the last step, so the high ones are folded in.
            let hash = seed::mix([value as u64, u64::from(self.first)]);
            ((hash ^ (hash >> 32)) % u64::from(self.rows)) as u32
        } else {
            value as u32
        };
        self.first + 1 + place
    }
}

/// One user or item by their columns: rows of the table with weights, field after field.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entries {
    /// Where each field ends.
    pub(crate) ends: Vec<u32>,
    pub(crate) rows: Vec<u32>,
    pub(crate) weights: Vec<f32>,
}

impl Entries {
    pub(crate) fn clear(&mut self) {
        self.ends.clear();
        self.rows.clear();
        self.weights.clear();
    }

    pub(crate) fn push(&mut self, row: u32, weight: f32) {
        self.rows.push(row);
        self.weights.push(weight);
    }

    /// Closes the current field.
    pub(crate) fn end_field(&mut self) {
        self.ends.push(self.rows.len() as u32);
    }

    /// Returns rows and weights of the field that ends at `ends[at]`.
    pub(crate) fn field(&self, at: usize) -> (&[u32], &[f32]) {
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        let range = start..self.ends[at] as usize;
        (&self.rows[range.clone()], &self.weights[range])
    }

    /// Adds the fields `from..to` of another run.
    pub(crate) fn extend(&mut self, other: &Self, fields: std::ops::Range<usize>) {
        for at in fields {
            let (rows, weights) = other.field(at);
            self.rows.extend_from_slice(rows);
            self.weights.extend_from_slice(weights);
            self.end_field();
        }
    }
}

/// A column, ready to be written as entries.
pub(crate) enum Column<'a> {
    Labels { vocabulary: Vocabulary, rows: &'a [Vec<u32>], seen: Vec<bool> },
    Numbers { first: u32, rows: &'a [Option<f32>], mean: f32, scale: f32 },
}

impl<'a> Column<'a> {
    /// Learns labels, mean and deviation from the rows that take part in training.
    pub(crate) fn new(
        values: &'a FeatureValues,
        is_trained: &[bool],
        buckets: Option<usize>,
        next: &mut usize,
    ) -> Self {
        match values {
            FeatureValues::Labels { n_labels, rows } => {
                let mut seen = vec![false; *n_labels];
                let trained = rows.iter().zip(is_trained).filter(|(_, trained)| **trained);
                trained.flat_map(|(labels, _)| labels).for_each(|&l| seen[l as usize] = true);
                Self::Labels { vocabulary: Vocabulary::new(*n_labels, buckets, next), rows, seen }
            }
            FeatureValues::Numbers(rows) => {
                let trained = rows.iter().zip(is_trained).filter(|(_, trained)| **trained);
                let known: Vec<f64> = trained.filter_map(|(x, _)| x.map(f64::from)).collect();
                let n = known.len().max(1) as f64;
                let mean = known.iter().sum::<f64>() / n;
                let variance = known.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
                let deviation = variance.sqrt();
                // A column that is the same everywhere says nothing.
                let scale =
                    if deviation > 1e-6 * (1.0 + mean.abs()) { 1.0 / deviation } else { 0.0 };
                let first = *next as u32;
                *next += 2;
                Self::Numbers { first, rows, mean: mean as f32, scale: scale as f32 }
            }
        }
    }

    /// Adds the field of one user or item; beyond the end, all is unknown.
    pub(crate) fn push(&self, row: usize, entries: &mut Entries) {
        match self {
            Self::Labels { vocabulary, rows, seen } => {
                let labels = rows.get(row).map(Vec::as_slice).unwrap_or_default();
                let weight = 1.0 / labels.len().max(1) as f32;
                for &label in labels {
                    let is_known = seen[label as usize];
                    let row = if is_known {
                        vocabulary.row(label as usize)
                    } else {
                        vocabulary.unknown()
                    };
                    entries.push(row, weight);
                }
                if labels.is_empty() {
                    entries.push(vocabulary.unknown(), 1.0);
                }
            }
            Self::Numbers { first, rows, mean, scale } => match rows.get(row).copied().flatten() {
                // What lies far out would drown everything else.
                Some(x) => entries.push(first + 1, ((x - mean) * scale).clamp(-5.0, 5.0)),
                None => entries.push(*first, 1.0),
            },
        }
        entries.end_field();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries_of(column: &Column<'_>, row: usize) -> Vec<(u32, f32)> {
        let mut entries = Entries::default();
        column.push(row, &mut entries);
        let (rows, weights) = entries.field(0);
        rows.iter().copied().zip(weights.iter().copied()).collect()
    }

    #[test]
    fn labels_share_their_weight_and_unseen_ones_a_row() {
        let rows = vec![vec![0, 1], vec![2], vec![]];
        let values = FeatureValues::Labels { n_labels: 3, rows };
        let mut next = 10;
        let column = Column::new(&values, &[true, false, true], None, &mut next);
        assert_eq!(next, 14);
        assert_eq!(entries_of(&column, 0), [(11, 0.5), (12, 0.5)]);
        assert_eq!(entries_of(&column, 1), [(10, 1.0)]);
        assert_eq!(entries_of(&column, 2), [(10, 1.0)]);
        assert_eq!(entries_of(&column, 9), [(10, 1.0)]);
    }

    #[test]
    fn numbers_are_standardised_on_training_rows_alone() {
        // Mean 3 and deviation 1 of 2 and 4; 100 is not trained on and is cut at 5.
        let values = FeatureValues::Numbers(vec![Some(2.0), Some(4.0), None, Some(100.0)]);
        let mut next = 0;
        let column = Column::new(&values, &[true, true, true, false], None, &mut next);
        assert_eq!(entries_of(&column, 0), [(1, -1.0)]);
        assert_eq!(entries_of(&column, 1), [(1, 1.0)]);
        assert_eq!(entries_of(&column, 2), [(0, 1.0)]);
        assert_eq!(entries_of(&column, 3), [(1, 5.0)]);
    }

    #[test]
    fn hashed_values_stay_within_their_buckets_and_spread() {
        let mut next = 3;
        let vocabulary = Vocabulary::new(1000, Some(16), &mut next);
        assert_eq!(next, 3 + 17);
        let mut counts = [0; 16];
        for value in 0..1000 {
            counts[vocabulary.row(value) as usize - 4] += 1;
        }
        assert!(counts.iter().all(|&n| (20..150).contains(&n)), "{counts:?}");
    }
}
