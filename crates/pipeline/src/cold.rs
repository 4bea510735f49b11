//! Items nobody has touched yet. A behaviour model says nothing of them, which is not the same as "bad": they borrow the
//! behaviour scores of the items whose texts are nearest. A borrowed score is an average and so lies closer to the
//! middle than an earned one; how much closer is read off a sample of warm items that are made to borrow too.

use rayon::prelude::*;
use tastemaker_core::{ItemId, Scored, Vectors, top_k};
use tastemaker_kernels::{Layout, gemm};

/// Warm items on which earned and borrowed scores are compared.
const GAUGE_ITEMS: usize = 2000;
/// Share of them, the best ones, whose means are compared: the head of the list is what counts.
const GAUGE_HEAD: usize = 50;
/// Borrowed scores are stretched at most so much.
const MAX_STRETCH: f32 = 10.0;
/// Items of the gauge that borrow side by side.
const ABREAST: usize = 8;
/// Items whose neighbours are looked up with one matrix product.
const BLOCK: usize = 64;

/// Knows, for every cold item and for the gauge, the nearest warm items by text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cold {
    items: Vec<Borrower>,
    gauge: Gauge,
    trust: f32,
}

/// Warm items that borrow, for every list again: eight side by side, so that their sums overlap. Each adds up in its own order.
#[derive(Clone, Debug, Default, PartialEq)]
struct Gauge {
    items: Vec<ItemId>,
    groups: Vec<Vec<[Scored; ABREAST]>>,
}

/// An item and those it borrows from, with shares that sum to 1.
#[derive(Clone, Debug, PartialEq)]
struct Borrower {
    item: ItemId,
    lenders: Vec<Scored>,
}

impl Borrower {
    fn borrowed(&self, scores: &[f32]) -> f32 {
        self.lenders.iter().map(|lender| lender.score * scores[lender.item.index()]).sum()
    }
}

impl Gauge {
    fn new(borrowers: &[Borrower]) -> Self {
        let group = |some: &[Borrower]| {
            let longest = some.iter().map(|one| one.lenders.len()).max().unwrap_or(0);
            let nothing = |one: usize| Scored {
                item: some.get(one).map_or(ItemId(0), |one| one.item),
                score: 0.0,
            };
            let lender = |place: usize, one: usize| {
                let own = some.get(one).and_then(|one| one.lenders.get(place));
                own.copied().unwrap_or_else(|| nothing(one))
            };
            (0..longest).map(|place| std::array::from_fn(|one| lender(place, one))).collect()
        };
        Self {
            items: borrowers.iter().map(|one| one.item).collect(),
            groups: borrowers.chunks(ABREAST).map(group).collect(),
        }
    }

    /// Returns what each item borrows.
    fn borrowed(&self, scores: &[f32]) -> Vec<f32> {
        let mut all = Vec::with_capacity(self.groups.len() * ABREAST);
        for group in &self.groups {
            let mut sums = [0.0; ABREAST];
            for lenders in group {
                for (sum, lender) in sums.iter_mut().zip(lenders) {
                    *sum += lender.score * scores[lender.item.index()];
                }
            }
            all.extend(sums);
        }
        all.truncate(self.items.len());
        all
    }
}

impl Cold {
    /// Finds the `k` nearest warm items of every cold one. `warm` has one entry per row of `vectors`.
    ///
    /// Shares are the cosines above 0, scaled to sum to 1. Items without text borrow nothing and keep
    /// the score the models gave them. `trust` scales the
    /// score of a cold item: at 1 it stands as high as a warm item of the same promise.
    pub fn new(vectors: &Vectors, warm: &[bool], k: usize, trust: f32) -> Self {
        let is_warm = |i: &usize| warm.get(*i).copied().unwrap_or(false);
        let (lenders, cold): (Vec<usize>, Vec<usize>) = (0..vectors.rows()).partition(is_warm);
        if cold.is_empty() || lenders.is_empty() {
            return Self::default();
        }
        let step = lenders.len().div_ceil(GAUGE_ITEMS);
        let gauge: Vec<usize> = lenders.iter().copied().step_by(step).collect();
        let find = |items: &[usize]| -> Vec<Borrower> {
            items
                .par_chunks(BLOCK)
                .flat_map_iter(|block| neighbours(vectors, warm, block, k))
                .collect()
        };
        Self { items: find(&cold), gauge: Gauge::new(&find(&gauge)), trust }
    }

    /// Tells whether there is no cold item.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds `text` to `scores`, which come from behaviour, and gives cold items what they borrow.
    pub(crate) fn settle(&self, scores: &mut [f32], text: &[f32]) {
        let borrowed: Vec<f32> = self.items.iter().map(|cold| cold.borrowed(scores)).collect();
        let mut lent = self.gauge.borrowed(scores);
        lent.iter_mut().zip(&self.gauge.items).for_each(|(lent, item)| *lent += text[item.index()]);
        for (score, text) in scores.iter_mut().zip(text) {
            *score += text;
        }
        let mut earned: Vec<f32> =
            self.gauge.items.iter().map(|item| scores[item.index()]).collect();
        let (earned, lent) = (head_mean(&mut earned), head_mean(&mut lent));
        let stretch = if lent > 0.0 { (earned / lent).clamp(1.0, MAX_STRETCH) } else { 1.0 };
        for (cold, borrowed) in self.items.iter().zip(borrowed) {
            if cold.lenders.is_empty() {
                continue;
            }
            let score = &mut scores[cold.item.index()];
            let own = text[cold.item.index()];
            *score = self.trust * stretch * (borrowed + own);
        }
    }

    /// Returns the lenders of `item` with their shares; empty for a warm item.
    pub fn lenders(&self, item: ItemId) -> &[Scored] {
        let place = self.items.binary_search_by_key(&item, |cold| cold.item);
        place.map_or(&[], |i| &self.items[i].lenders)
    }
}

/// Averages the best fiftieth of `values`, at least one.
fn head_mean(values: &mut [f32]) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let head = (values.len() / GAUGE_HEAD).max(1);
    values.select_nth_unstable_by(head - 1, |a, b| b.total_cmp(a));
    // Sorted, so that the sum does not depend on how the selection left them.
    values[..head].sort_unstable_by(f32::total_cmp);
    values[..head].iter().sum::<f32>() / head as f32
}

fn neighbours(vectors: &Vectors, warm: &[bool], block: &[usize], k: usize) -> Vec<Borrower> {
    let (n, dim) = (vectors.rows(), vectors.dim());
    let queries: Vec<f32> = block.iter().flat_map(|&i| vectors.row(i).iter().copied()).collect();
    let mut cosines = vec![0.0; block.len() * n]; // [block, items]
    let shape = (block.len(), n, dim);
    gemm(
        shape,
        1.0,
        (&queries, Layout::Plain),
        (vectors.flat(), Layout::Transposed),
        0.0,
        &mut cosines,
    );
    let borrower = |(&item, row): (&usize, &mut [f32])| {
        for (other, cosine) in row.iter_mut().enumerate() {
            let lends = other != item && warm.get(other).copied().unwrap_or(false) && *cosine > 0.0;
            if !lends {
                *cosine = f32::NEG_INFINITY;
            }
        }
        let mut lenders = top_k(row, k);
        let total: f32 = lenders.iter().map(|s| s.score).sum();
        lenders.iter_mut().for_each(|s| s.score /= total);
        Borrower { item: ItemId::from_index(item), lenders }
    };
    block.iter().zip(cosines.chunks_exact_mut(n)).map(borrower).collect()
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::assert_all_close;

    use super::*;

    #[test]
    fn a_cold_item_borrows_from_the_nearest_texts_and_warm_ones_keep_theirs() {
        // item 2 is cold: cosine .8 with item 0, .2 with item 1 -> it borrows .8 * 2 + .2 * 1 = 1.8, and adds its .1
        let vectors = Vectors::from_flat(2, vec![1.0, 0.0, 0.0, 1.0, 0.8, 0.2]).unwrap();
        let cold = Cold::new(&vectors, &[true, true, false], 5, 1.0);
        let mut scores = [2.0, 1.0, 9.0];
        cold.settle(&mut scores, &[0.0, 0.0, 0.1]);
        // items 0 and 1 are strangers by text and borrow nothing, so nothing is stretched
        assert_all_close(&scores, &[2.0, 1.0, 1.9], 1e-5);
        assert_eq!(cold.lenders(ItemId(2)).len(), 2);
        assert!(cold.lenders(ItemId(0)).is_empty());
    }

    #[test]
    fn borrowed_scores_are_stretched_to_the_scale_of_earned_ones() {
        // warm items 0 and 1 are twins and earn 4 and 0: borrowing from each other they would get 0 and 4, best 4;
        // their best earned is 4 too, so stretch 1. With item 1 at 1 less text the ratio stays clamped at 1 or more.
        let vectors = Vectors::from_flat(2, vec![1.0, 0.0, 1.0, 0.0, 1.0, 0.0]).unwrap();
        let cold = Cold::new(&vectors, &[true, true, false], 1, 0.5);
        let mut scores = [4.0, 0.0, 0.0];
        cold.settle(&mut scores, &[0.0; 3]);
        // item 2 borrows from item 0 alone (a tie goes to the smaller number): .5 * 1 * 4
        assert_all_close(&scores[2..], &[2.0], 1e-5);
    }

    #[test]
    fn an_item_without_text_borrows_nothing() {
        let vectors = Vectors::from_flat(2, vec![1.0, 0.0, 0.0, 0.0]).unwrap();
        let cold = Cold::new(&vectors, &[true, false], 5, 1.0);
        let mut scores = [2.0, 9.0];
        cold.settle(&mut scores, &[0.0; 2]);
        assert_all_close(&scores, &[2.0, 9.0], 1e-5);
    }

    #[test]
    fn without_cold_items_nothing_is_kept() {
        let vectors = Vectors::from_flat(1, vec![1.0, 1.0]).unwrap();
        assert!(Cold::new(&vectors, &[true, true], 5, 1.0).is_empty());
    }
}
