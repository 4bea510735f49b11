//! The recent end of a history, and the reasons drawn from it.

use tastemaker_core::{Contribution, History, ItemId};

/// Visits the last `last` known items, newest first, with weights 1, `decay`, `decay`², …
///
/// Items from `n_items` up are passed over and take no place.
pub(crate) fn recent(
    history: History<'_>,
    n_items: usize,
    (last, decay): (usize, f32),
) -> impl Iterator<Item = (ItemId, f32)> {
    let known = history.items.iter().rev().filter(move |item| item.index() < n_items);
    let weights = std::iter::successors(Some(1.0f32), move |weight| Some(weight * decay));
    known.copied().zip(weights).take(last)
}

/// Joins the shares of equal items, drops those of weight 0 and puts the strongest first.
pub(crate) fn contributions(shares: impl Iterator<Item = (ItemId, f32)>) -> Vec<Contribution> {
    let mut all: Vec<(ItemId, f32)> = shares.collect();
    all.sort_by_key(|(item, _)| *item);
    all.dedup_by(|next, first| {
        let same = next.0 == first.0;
        if same {
            first.1 += next.1;
        }
        same
    });
    all.retain(|(_, weight)| weight.abs() > 0.0);
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.into_iter().map(|(because, weight)| Contribution { because, weight }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_comes_first_and_strangers_take_no_place() {
        let items = [ItemId(1), ItemId(2), ItemId(99), ItemId(3)];
        let history = History { items: &items, values: &[1.0; 4], times: &[0; 4] };
        let got: Vec<_> = recent(history, 10, (2, 0.5)).collect();
        assert_eq!(got, [(ItemId(3), 1.0), (ItemId(2), 0.5)]);
    }

    #[test]
    fn equal_items_are_joined_and_the_strongest_comes_first() {
        let shares = [(ItemId(1), 1.0), (ItemId(2), 3.0), (ItemId(1), 4.0), (ItemId(5), 0.0)];
        let got = contributions(shares.into_iter());
        assert_eq!(
            got,
            [
                Contribution { because: ItemId(1), weight: 5.0 },
                Contribution { because: ItemId(2), weight: 3.0 }
            ]
        );
    }
}
