//! How much a faster search misses, and how much faster it is.

use tastemaker_core::{Clock, Scored, Vectors};

use crate::{Error, Flat, Nearest};

/// An index beside exact search, over the same queries on all cores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Rows asked for.
    pub k: usize,
    /// Questions asked.
    pub queries: usize,
    /// Share of the exact answers that the index found.
    pub recall: f64,
    /// Questions answered in a second by exact search.
    pub exact_per_second: f64,
    /// Questions answered in a second by the index.
    pub index_per_second: f64,
}

/// Asks both for the `k` nearest of every query.
pub fn compare(
    index: &dyn Nearest,
    exact: &Flat,
    queries: &Vectors,
    k: usize,
    clock: &dyn Clock,
) -> Result<Comparison, Error> {
    let timed = |search: &dyn Nearest| {
        let start = clock.seconds();
        let found = search.search(queries, k)?;
        let seconds = (clock.seconds() - start).max(1e-9);
        Ok::<_, Error>((found, queries.rows() as f64 / seconds))
    };
    let (want, exact_per_second) = timed(exact)?;
    let (got, index_per_second) = timed(index)?;
    let (recall, queries) = (recall(&got, &want), queries.rows());
    Ok(Comparison { k, queries, recall, exact_per_second, index_per_second })
}

/// Returns the mean share of each exact answer that was found; 1 where there was nothing to find.
pub fn recall(got: &[Vec<Scored>], want: &[Vec<Scored>]) -> f64 {
    let share = |(got, want): (&Vec<Scored>, &Vec<Scored>)| {
        let found = want.iter().filter(|want| got.iter().any(|got| got.item == want.item)).count();
        if want.is_empty() { 1.0 } else { found as f64 / want.len() as f64 }
    };
    let sum: f64 = got.iter().zip(want).map(share).sum();
    if want.is_empty() { 1.0 } else { sum / want.len() as f64 }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::ItemId;

    use super::*;

    #[test]
    fn recall_is_the_mean_share_found() {
        let list = |items: &[u32]| {
            items.iter().map(|&item| Scored { item: ItemId(item), score: 0.0 }).collect::<Vec<_>>()
        };
        let want = [list(&[1, 2, 3, 4]), list(&[5]), list(&[])];
        let got = [list(&[4, 9, 2, 8]), list(&[5]), list(&[7])];
        assert!((recall(&got, &want) - (0.5 + 1.0 + 1.0) / 3.0).abs() < 1e-12);
    }
}
