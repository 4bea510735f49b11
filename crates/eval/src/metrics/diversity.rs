//! How different the items of one list are from one another, by their texts.

use tastemaker_core::Vectors;

use crate::{Kind, Metric, Name, Ranked};

/// One minus the mean cosine over all pairs of the list; items without a vector are left out, and a list with fewer
/// than two vectors has none. Opposite texts can lift it above 1.
pub(crate) struct Diversity<'a> {
    /// Length of the list.
    pub(crate) k: usize,
    /// One row per item.
    pub(crate) vectors: &'a Vectors,
}

impl Metric for Diversity<'_> {
    fn name(&self) -> Name {
        Name::at(Kind::Diversity, self.k)
    }

    fn of(&self, ranked: &Ranked<'_>) -> f64 {
        // For unit vectors, the sum over ordered pairs is |sum of v|^2 - n: linear in the list, not quadratic.
        let mut sum = vec![0.0f64; self.vectors.dim()];
        let mut n = 0.0;
        for scored in ranked.list.iter().take(self.k) {
            let row = self.vectors.row(scored.item.index());
            let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            if length > 0.0 {
                sum.iter_mut().zip(row).for_each(|(total, x)| *total += f64::from(*x) / length);
                n += 1.0;
            }
        }
        if n < 2.0 {
            return 0.0;
        }
        let pairs = sum.iter().map(|x| x * x).sum::<f64>() - n;
        1.0 - pairs / (n * (n - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{ItemId, Scored};

    use super::*;

    #[test]
    fn equal_texts_have_none_and_unrelated_ones_all() {
        // items: a, a again (longer), b at a right angle, no text
        let vectors = Vectors::from_flat(2, vec![1.0, 0.0, 3.0, 0.0, 0.0, 1.0, 0.0, 0.0]).unwrap();
        let of = |items: &[u32]| {
            let list: Vec<Scored> =
                items.iter().map(|item| Scored { item: ItemId(*item), score: 0.0 }).collect();
            Diversity { k: 3, vectors: &vectors }.of(&Ranked {
                ranks: &[],
                n_candidates: 4,
                list: &list,
                history: &[],
            })
        };
        let close = |items: &[u32], value: f64| assert!((of(items) - value).abs() < 1e-9);
        close(&[0, 1], 0.0);
        close(&[0, 2], 1.0);
        close(&[0, 1, 2], 1.0 - 1.0 / 3.0); // cosines 1, 0, 0
        close(&[0, 2, 3], 1.0); // the one without text is left out
        close(&[0], 0.0);
        close(&[2, 0], 1.0);
    }
}
