//! How exposure is shared out over the catalogue: coverage and Gini, over the lists of all users.

use tastemaker_core::Scored;

/// Counts how often each item is among the first `k` of a list.
pub(crate) fn exposure<'a>(
    lists: impl Iterator<Item = &'a [Scored]>,
    k: usize,
    n_items: usize,
) -> Vec<u32> {
    let mut shown = vec![0; n_items];
    for list in lists {
        for scored in list.iter().take(k) {
            shown[scored.item.index()] += 1;
        }
    }
    shown
}

/// Share of the items shown at least once.
pub(crate) fn coverage(shown: &[u32]) -> f64 {
    shown.iter().filter(|count| **count > 0).count() as f64 / shown.len().max(1) as f64
}

/// Gini coefficient of exposure: `sum((2i - n - 1) x_i) / (n sum(x))` over counts in rising order, i from 1.
pub(crate) fn gini(shown: &[u32]) -> f64 {
    let mut sorted = shown.to_vec();
    sorted.sort_unstable();
    let n = sorted.len() as f64;
    let total: f64 = sorted.iter().map(|x| f64::from(*x)).sum();
    if total <= 0.0 {
        return 0.0;
    }
    let weighted: f64 = sorted
        .iter()
        .enumerate()
        .map(|(i, x)| (2.0 * (i + 1) as f64 - n - 1.0) * f64::from(*x))
        .sum();
    weighted / (n * total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tastemaker_core::ItemId;

    use super::*;

    #[test]
    fn two_of_four_items_shown_three_times_to_one() {
        let list = |items: &[u32]| -> Vec<Scored> {
            items.iter().map(|item| Scored { item: ItemId(*item), score: 0.0 }).collect()
        };
        let lists = [list(&[1, 2]), list(&[1, 0]), list(&[1])];
        let first = exposure(lists.iter().map(Vec::as_slice), 1, 4);
        assert_eq!(first, [0, 3, 0, 0]);
        assert!((gini(&first) - 0.75).abs() < 1e-12); // all on one of n: (n - 1) / n
        let both = exposure(lists.iter().map(Vec::as_slice), 2, 4);
        assert_eq!(both, [1, 3, 1, 0]);
        assert!((coverage(&both) - 0.75).abs() < 1e-12);
        // sorted 0 1 1 3: (-3*0 - 1*1 + 1*1 + 3*3) / (4 * 5)
        assert!((gini(&both) - 0.45).abs() < 1e-12);
        assert!(gini(&[0, 0]).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn equal_exposure_is_0_and_order_does_not_matter(mut counts in prop::collection::vec(0u32..50, 1..40)) {
            let n = counts.len();
            prop_assert!(gini(&vec![3; n]).abs() < 1e-12);
            let before = gini(&counts);
            counts.reverse();
            prop_assert!((gini(&counts) - before).abs() < 1e-12);
            prop_assert!((0.0..1.0).contains(&before));
        }
    }
}
