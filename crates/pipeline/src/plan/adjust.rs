//! What moves items of a list: freshness, popularity, boosts, burials, near-duplicates, quotas, shares, exploration, pins.

use rand::RngExt as _;
use tastemaker_core::{ItemId, Labels, Scored, seed};

use super::catalogue::Catalogue;

/// Adds to each score, made to lie between 0 and 1, what `more` gives, and sorts; of equals the one that stood before.
pub(super) fn add(list: &mut [Scored], more: impl Fn(ItemId) -> f32) {
    let (Some(first), Some(last)) = (list.first(), list.last()) else { return };
    let (best, worst) = (first.score, last.score);
    let range = (best - worst).max(f32::MIN_POSITIVE);
    for scored in list.iter_mut() {
        scored.score = (scored.score - worst) / range + more(scored.item);
    }
    list.sort_by(|a, b| b.score.total_cmp(&a.score));
}

/// Numbers between 0 and 1 by the place among `values`, greatest 1; unknown 0.
pub(super) fn places(values: &[f64]) -> Vec<f32> {
    let mut known: Vec<f64> = values.iter().copied().filter(|x| !x.is_nan()).collect();
    known.sort_by(f64::total_cmp);
    let most = known.len().saturating_sub(1).max(1) as f32;
    let place = |value: &f64| match value.is_nan() {
        true => 0.0,
        false => known.partition_point(|other| other < value) as f32 / most,
    };
    values.iter().map(place).collect()
}

/// Moves items behind all others, and keeps the order otherwise.
pub(super) fn bury(list: &mut [Scored], buried: &[bool]) {
    list.sort_by_key(|scored| buried.get(scored.item.index()).copied().unwrap_or(false));
}

/// Leaves out items whose text one before them has, until `head` are there; what is behind stays.
pub(super) fn one_of_each(list: &mut Vec<Scored>, catalogue: &Catalogue, cosine: f32, head: usize) {
    let mut kept: Vec<Scored> = Vec::with_capacity(head.min(list.len()));
    let mut rest = list.drain(..);
    for scored in rest.by_ref() {
        let is_same = |other: &Scored| catalogue.cosine(other.item, scored.item) >= cosine;
        if !kept.iter().any(is_same) {
            kept.push(scored);
        }
        if kept.len() >= head {
            break;
        }
    }
    kept.extend(rest);
    *list = kept;
}

/// Lets at most `most` items of each label into the first `within` places; the others wait behind those, and fill them where nothing else
/// is left.
pub(super) fn quota(list: &mut Vec<Scored>, labels: &Labels, most: usize, within: usize) {
    let mut seen = vec![0usize; labels.n_labels];
    let (mut head, mut waiting): (Vec<Scored>, Vec<Scored>) = (Vec::new(), Vec::new());
    for scored in list.drain(..) {
        let own = labels.of(scored.item.index());
        let is_full = own.iter().any(|&label| seen[label as usize] >= most);
        if head.len() < within && is_full {
            waiting.push(scored);
            continue;
        }
        if head.len() < within {
            own.iter().for_each(|&label| seen[label as usize] += 1);
        } else if !waiting.is_empty() {
            head.append(&mut waiting);
        }
        head.push(scored);
    }
    head.append(&mut waiting);
    *list = head;
}

/// Gives each label its least share of every head of the list, as far as there are items (`DetGreedy`, Geyik et al. 2019): a place goes to
/// the best item of a label that is below `floor(share · places)`, else to the best of all.
pub(super) fn share(list: &mut Vec<Scored>, labels: &Labels, shares: &[(u32, f32)]) {
    let mut left: Vec<Scored> = std::mem::take(list);
    let mut has = vec![0usize; shares.len()];
    while !left.is_empty() {
        let places = (list.len() + 1) as f32;
        let is_owed = |at: &usize| has[*at] < (shares[*at].1 * places + 1e-4).floor() as usize;
        let owed: Vec<u32> = (0..shares.len()).filter(is_owed).map(|at| shares[at].0).collect();
        let holds = |scored: &Scored| {
            labels.of(scored.item.index()).iter().any(|label| owed.contains(label))
        };
        let next = left.iter().position(holds).unwrap_or(0);
        let scored = left.remove(next);
        for (at, (label, _)) in shares.iter().enumerate() {
            has[at] += usize::from(labels.of(scored.item.index()).contains(label));
        }
        list.push(scored);
    }
}

/// Gives each of the first `n` places, with the chance `epsilon`, to an item drawn from that and the next `depth - 1`, or from all behind where
/// `depth` is 0; returns the chance with which the item of each place was shown there, as those before it were shown.
pub(super) fn explore(
    list: &mut [Scored],
    n: usize,
    (epsilon, depth): (f32, usize),
    key: u64,
) -> Vec<f32> {
    let mut rng = seed::stream(key, "pipeline/explore");
    let mut chances = Vec::with_capacity(n.min(list.len()));
    for place in 0..n.min(list.len()) {
        let all = list.len() - place;
        let behind = if depth == 0 { all } else { depth.min(all) };
        let drawn = epsilon / behind as f32;
        if rng.random::<f32>() < epsilon {
            let other = place + rng.random_range(0..behind);
            chances.push(if other == place { 1.0 - epsilon + drawn } else { drawn });
            list[place..=other].rotate_right(1);
        } else {
            chances.push(1.0 - epsilon + drawn);
        }
    }
    chances
}

/// Puts items at fixed places that are not in the list; places behind the end of the list are filled up to it. `chances` are those of the
/// first places, or there are none.
pub(super) fn pin(list: &mut Vec<Scored>, chances: &mut Vec<f32>, pins: &[(usize, ItemId)]) {
    for &(place, item) in pins {
        let at = (place - 1).min(list.len());
        let score = list.get(at).or(list.last()).map_or(0.0, |scored| scored.score);
        list.insert(at, Scored { item, score });
        if !chances.is_empty() {
            chances.insert(at.min(chances.len()), 1.0);
        }
    }
}

/// Makes scores fall along the list, so that whoever sorts by score sees its order.
pub(super) fn level(list: &mut [Scored]) {
    let mut above = f32::INFINITY;
    for scored in list {
        scored.score = scored.score.min(above.next_down());
        above = scored.score;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tastemaker_core::Vectors;
    use tastemaker_testkit::assert_all_close;

    use super::*;

    fn list(n: u32) -> Vec<Scored> {
        (0..n).map(|item| Scored { item: ItemId(item), score: (n - item) as f32 }).collect()
    }

    fn items(list: &[Scored]) -> Vec<u32> {
        list.iter().map(|scored| scored.item.0).collect()
    }

    fn labels(rows: &[&[u32]], n_labels: usize) -> Labels {
        Labels { rows: Arc::new(rows.iter().map(|row| row.to_vec()).collect()), n_labels }
    }

    #[test]
    fn what_is_added_counts_beside_a_score_from_0_to_1() {
        let mut three = list(3); // 3, 2, 1 become 1, .5, 0
        add(&mut three, |item| if item.0 == 2 { 0.75 } else { 0.0 });
        assert_eq!(items(&three), [0, 2, 1]);
        let scores: Vec<f32> = three.iter().map(|s| s.score).collect();
        assert_all_close(&scores, &[1.0, 0.75, 0.5], 1e-6);
        add(&mut [], |_| 1.0);
    }

    #[test]
    fn the_greatest_is_1_and_the_unknown_0() {
        assert_all_close(&places(&[5.0, f64::NAN, 9.0, 7.0]), &[0.0, 0.0, 1.0, 0.5], 1e-6);
        assert!(places(&[]).is_empty());
    }

    #[test]
    fn twins_are_shown_once() {
        let rows = vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let vectors = Some(Arc::new(Vectors::from_flat(2, rows).unwrap()));
        let catalogue = Catalogue { vectors, ..Catalogue::default() };
        let mut five = list(5);
        one_of_each(&mut five, &catalogue, 0.99, 10);
        assert_eq!(items(&five), [0, 1, 3, 4], "items without text are no twins");
    }

    #[test]
    fn a_label_that_has_its_quota_waits_behind() {
        let labels = labels(&[&[0], &[0], &[0], &[1], &[1], &[]], 2);
        let mut six = list(6);
        quota(&mut six, &labels, 1, 3);
        assert_eq!(items(&six), [0, 3, 5, 1, 2, 4]);
        let mut three = list(3);
        quota(&mut three, &labels, 1, 3);
        assert_eq!(items(&three), [0, 1, 2], "a list is never cut short by a quota");
    }

    #[test]
    fn a_share_holds_in_every_head() {
        let labels = labels(&[&[0], &[0], &[0], &[0], &[1], &[1]], 2);
        let mut six = list(6);
        share(&mut six, &labels, &[(1, 0.5)]);
        assert_eq!(items(&six), [0, 4, 1, 5, 2, 3], "and beyond as far as there are items");
    }

    #[test]
    fn chances_tell_how_likely_an_item_was_shown_at_its_place() {
        let mut four = list(4);
        assert_all_close(&explore(&mut four, 3, (0.0, 0), 1), &[1.0, 1.0, 1.0], 1e-6);
        assert_eq!(items(&four), [0, 1, 2, 3]);
        // At the first of four places: .2 / 4 for each drawn, and .8 more for the one that stood there.
        let mut shown = [0usize; 4];
        for key in 0..4000 {
            let mut four = list(4);
            let chance = explore(&mut four, 1, (0.2, 0), key)[0];
            let expected = if four[0].item.0 == 0 { 0.85 } else { 0.05 };
            assert_all_close(&[chance], &[expected], 1e-6);
            shown[four[0].item.index()] += 1;
        }
        assert!((3300..3500).contains(&shown[0]), "{shown:?}");
        assert!(shown[1..].iter().all(|n| (150..250).contains(n)), "{shown:?}");
    }

    #[test]
    fn draws_of_a_depth_leave_what_is_below_it() {
        // Two at every place: 1 is first with a half of .4, and 2 never is.
        let mut shown = [0usize; 4];
        for key in 0..4000 {
            let mut four = list(4);
            let chances = explore(&mut four, 4, (0.4, 2), key);
            assert!((chances[0] - if four[0].item.0 == 0 { 0.8 } else { 0.2 }).abs() < 1e-6);
            assert!((chances[3] - 1.0).abs() < 1e-6, "nothing else is left");
            shown[four[0].item.index()] += 1;
        }
        assert!((700..900).contains(&shown[1]) && shown[2..] == [0, 0], "{shown:?}");
    }

    #[test]
    fn pins_stand_where_they_are_put() {
        let (mut four, mut chances) = (list(4), vec![0.8, 0.1]);
        pin(&mut four, &mut chances, &[(1, ItemId(4)), (3, ItemId(9))]);
        assert_eq!(items(&four), [4, 0, 9, 1, 2, 3]);
        assert_all_close(&chances, &[1.0, 0.8, 1.0, 0.1], 1e-6);
        level(&mut four);
        assert!(four.windows(2).all(|pair| pair[0].score > pair[1].score));
        let (mut none, mut chances) = (Vec::new(), Vec::new());
        pin(&mut none, &mut chances, &[(7, ItemId(1))]);
        assert_eq!((items(&none), chances.len()), (vec![1], 0));
    }

    #[test]
    fn the_buried_keep_their_order_at_the_end() {
        let mut four = list(4);
        bury(&mut four, &[true, false, true, false]);
        assert_eq!(items(&four), [1, 3, 0, 2]);
    }
}
