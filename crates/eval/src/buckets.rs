//! For whom and for what a model works: quality by length of history and by popularity of the target.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Stat, bootstrap};

/// Upper ends of the history buckets; the last one is open.
pub(crate) const HISTORY: &[usize] = &[0, 2, 5, 10, 20, 50];
/// Upper ends of the popularity buckets, in training events of the target; the last one is open.
pub(crate) const POPULARITY: &[usize] = &[0, 5, 20, 100, 500];
/// Fewer cases than this are marked as few.
pub(crate) const FEW: usize = 30;

/// Quality over the cases of one range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// The range in words: `3-5`, `51+`.
    pub label: String,
    /// Lower end, inclusive.
    pub from: usize,
    /// Upper end, inclusive; open where absent.
    pub to: Option<usize>,
    /// Cases in the range.
    pub cases: usize,
    /// Tells that the cases are too few to trust the numbers.
    pub few: bool,
    /// The mean of each metric with its 95 % interval.
    pub metrics: BTreeMap<String, Stat>,
}

/// Values of the same cases under several metrics, to be split by the size of each case.
pub(crate) struct Observed<'a> {
    /// What the cases are split by.
    pub(crate) sizes: &'a [usize],
    /// Name and one value per case.
    pub(crate) columns: &'a [(String, Vec<f64>)],
    /// Resamples per interval.
    pub(crate) rounds: usize,
    /// Root of the resamples.
    pub(crate) seed: u64,
}

impl Observed<'_> {
    /// Splits at the given upper ends; ranges without cases are left out.
    pub(crate) fn split(&self, ends: &[usize]) -> Vec<Bucket> {
        let starts = std::iter::once(0).chain(ends.iter().map(|end| end + 1));
        let ends = ends.iter().copied().map(Some).chain([None]);
        starts.zip(ends).filter_map(|(from, to)| self.bucket(from, to)).collect()
    }

    fn bucket(&self, from: usize, to: Option<usize>) -> Option<Bucket> {
        let inside = |size: usize| size >= from && to.is_none_or(|to| size <= to);
        let cases: Vec<usize> = (0..self.sizes.len()).filter(|j| inside(self.sizes[*j])).collect();
        if cases.is_empty() {
            return None;
        }
        let values: Vec<Vec<f64>> = self
            .columns
            .iter()
            .map(|(_, column)| cases.iter().map(|j| column[*j]).collect())
            .collect();
        let slices: Vec<&[f64]> = values.iter().map(Vec::as_slice).collect();
        let stats = bootstrap(&slices, self.rounds, self.seed);
        Some(Bucket {
            label: label(from, to),
            from,
            to,
            cases: cases.len(),
            few: cases.len() < FEW,
            metrics: self.columns.iter().map(|(name, _)| name.clone()).zip(stats).collect(),
        })
    }
}

fn label(from: usize, to: Option<usize>) -> String {
    match to {
        Some(to) if to == from => to.to_string(),
        Some(to) => format!("{from}-{to}"),
        None => format!("{from}+"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_falls_into_one_bucket() {
        let sizes = [0, 1, 2, 3, 5, 6, 51, 900];
        let columns = [("hit@10".to_owned(), vec![0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0])];
        let observed = Observed { sizes: &sizes, columns: &columns, rounds: 50, seed: 1 };
        let buckets = observed.split(HISTORY);
        let labels: Vec<&str> = buckets.iter().map(|b| b.label.as_str()).collect();
        assert_eq!(labels, ["0", "1-2", "3-5", "6-10", "51+"]);
        assert_eq!(buckets.iter().map(|b| b.cases).sum::<usize>(), sizes.len());
        assert!((buckets[1].metrics["hit@10"].mean - 0.5).abs() < 1e-12);
        assert!((buckets[2].metrics["hit@10"].mean - 1.0).abs() < 1e-12);
        assert!(buckets[0].few);
    }
}
