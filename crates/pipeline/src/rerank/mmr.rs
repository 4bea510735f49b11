//! Maximal marginal relevance (Carbonell and Goldstein 1998), with calibration (Steck 2018) where that is wanted.

use super::calibrate::Balance;

/// How much variety and calibration count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    /// Variety beside relevance.
    pub(super) strength: f32,
    /// Calibration beside both.
    pub(super) calibration: f32,
}

/// Fills `length` places, one after the other, with the item of the greatest
/// `(1 - calibration) ((1 - strength) relevance - strength max cosine) - calibration KL`: the maximum is over the items before it, the
/// divergence that of the list's labels with it from what the user took; of equals the earlier. `cosines: [n, n]`, or empty where
/// `strength` is 0; `items: [n]`; returns places of them, each once.
pub(super) fn mmr(
    (relevance, items): (&[f32], &[usize]),
    cosines: &[f32],
    length: usize,
    (weights, mut balance): (Weights, Option<Balance<'_>>),
) -> Vec<usize> {
    let Weights { strength, calibration } = weights;
    let n = relevance.len();
    let mut nearest = vec![0.0f32; n];
    let mut left: Vec<usize> = (0..n).collect();
    let mut chosen = Vec::with_capacity(length.min(n));
    while chosen.len() < length && !left.is_empty() {
        let value = |&item: &usize| {
            let value = (1.0 - strength) * relevance[item] - strength * nearest[item];
            match &balance {
                Some(balance) => {
                    (1.0 - calibration) * value - calibration * balance.with(items[item]) as f32
                }
                None => value,
            }
        };
        let values: Vec<f32> = left.iter().map(value).collect();
        let best = (0..left.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]).then(b.cmp(&a)));
        let item = left.remove(best.unwrap_or(0));
        chosen.push(item);
        if let Some(balance) = &mut balance {
            balance.add(items[item]);
        }
        if cosines.is_empty() {
            continue;
        }
        for &other in &left {
            let cosine = cosines[item * n + other];
            nearest[other] = if chosen.len() == 1 { cosine } else { nearest[other].max(cosine) };
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tastemaker_core::{ItemId, Labels};

    use super::*;

    fn varied(relevance: &[f32], cosines: &[f32], length: usize, strength: f32) -> Vec<usize> {
        let items: Vec<usize> = (0..relevance.len()).collect();
        mmr((relevance, &items), cosines, length, (Weights { strength, calibration: 0.0 }, None))
    }

    #[test]
    fn a_twin_gives_way_to_something_else() {
        let relevance = [1.0, 0.9, 0.5];
        let cosines = [1.0, 0.95, 0.0, 0.95, 1.0, 0.1, 0.0, 0.1, 1.0];
        assert_eq!(varied(&relevance, &cosines, 3, 0.0), [0, 1, 2]);
        // second place: .5 * .9 - .5 * .95 < .5 * .5
        assert_eq!(varied(&relevance, &cosines, 3, 0.5), [0, 2, 1]);
        assert_eq!(varied(&relevance, &cosines, 1, 0.5), [0]);
        assert!(varied(&[], &[], 3, 0.5).is_empty());
    }

    #[test]
    fn an_opposite_is_better_than_a_stranger() {
        let cosines = [1.0, 0.0, -1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 1.0];
        assert_eq!(varied(&[1.0, 0.5, 0.5], &cosines, 2, 1.0), [0, 2]);
    }

    #[test]
    fn labels_come_in_the_proportion_of_the_history() {
        // Items 0 to 3 have label 0, 4 to 7 label 1; the user took one of the first for three of the others.
        let rows = (0..8u32).map(|item| vec![item / 4]).collect();
        let labels = Labels { rows: Arc::new(rows), n_labels: 2 };
        let balance = Balance::new(&labels, &[0, 4, 5, 6].map(ItemId));
        let relevance = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3];
        let items: Vec<usize> = (0..8).collect();
        let weights = Weights { strength: 0.0, calibration: 0.99 };
        let chosen = mmr((&relevance, &items), &[], 4, (weights, balance));
        assert_eq!(chosen.iter().filter(|&&item| item < 4).count(), 1, "{chosen:?}");
    }
}
