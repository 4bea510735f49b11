//! From events as they stand in the file to clean histories: threshold, order, duplicates, k-core, new numbers.

use tastemaker_core::{Histories, HistoriesBuilder, ItemId};

use super::{Duplicates, ImportOptions, events::Events};
use crate::{Dropped, TimeUnit};

const MICROS: i64 = 1_000_000;

/// Events by user in order of time, still under the numbers of the file.
pub(super) fn histories(
    events: &Events,
    options: &ImportOptions,
    dropped: &mut Vec<Dropped>,
) -> Histories {
    let kept: Vec<u32> = match options.min_rating {
        None => (0..).take(events.user.len()).collect(),
        Some(least) => (0..)
            .take(events.user.len())
            .filter(|&e: &u32| events.value[e as usize] >= least)
            .collect(),
    };
    note(dropped, "events", "rating below the threshold", events.user.len() - kept.len());
    let (offsets, order) = by_user(events, &kept);
    let mut rows = HistoriesBuilder::default();
    let scale = if events.unit == TimeUnit::Order { 1 } else { MICROS };
    let mut last_seen: Vec<u32> = vec![0; events.items.len()];
    let mut before = 0;
    let mut users: u32 = 0;
    for range in offsets.windows(2) {
        let mut row: Vec<Event> =
            order[range[0]..range[1]].iter().map(|&e| event(events, e)).collect();
        // The stable sort keeps equal times in the order of the file.
        if !row.is_sorted_by_key(|e| e.time) {
            row.sort_by_key(|e| e.time);
        }
        users += 1;
        before += row.len();
        merge(&mut row, options.duplicates, users, &mut last_seen);
        for e in row {
            rows.push(ItemId(e.item), e.value, e.time.div_euclid(scale));
        }
        rows.end_user();
    }
    let histories = rows.build();
    note(dropped, "events", "the user has met the item before", before - histories.n_events());
    histories
}

#[derive(Clone, Copy)]
struct Event {
    item: u32,
    value: f32,
    time: i64,
}

fn event(events: &Events, at: u32) -> Event {
    let at = at as usize;
    Event { item: events.item[at], value: events.value[at], time: events.time[at] }
}

/// Groups events by user, in the order of the file inside a group (counting sort).
fn by_user(events: &Events, kept: &[u32]) -> (Vec<usize>, Vec<u32>) {
    let mut offsets = vec![0usize; events.users.len() + 1];
    for &e in kept {
        offsets[events.user[e as usize] as usize + 1] += 1;
    }
    for user in 0..events.users.len() {
        offsets[user + 1] += offsets[user];
    }
    let mut next = offsets.clone();
    let mut order = vec![0u32; kept.len()];
    for &e in kept {
        let slot = &mut next[events.user[e as usize] as usize];
        order[*slot] = e;
        *slot += 1;
    }
    (offsets, order)
}

/// Merges repeated items of one row; `mark` is a number no row before had, and not 0.
fn merge(row: &mut Vec<Event>, duplicates: Duplicates, mark: u32, last_seen: &mut [u32]) {
    let mut is_new = |item: u32| std::mem::replace(&mut last_seen[item as usize], mark) != mark;
    match duplicates {
        Duplicates::KeepAll => {}
        Duplicates::First => row.retain(|e| is_new(e.item)),
        Duplicates::Last => {
            row.reverse();
            row.retain(|e| is_new(e.item));
            row.reverse();
        }
        Duplicates::Sum => {
            row.reverse();
            let mut sums: rustc_hash::FxHashMap<u32, f32> = rustc_hash::FxHashMap::default();
            for e in row.iter() {
                *sums.entry(e.item).or_default() += e.value;
            }
            row.retain(|e| is_new(e.item));
            row.reverse();
            for e in row {
                e.value = sums[&e.item];
            }
        }
    }
}

/// Which users and items of the file stay.
pub(super) struct Core {
    pub(super) users: Vec<bool>,
    pub(super) items: Vec<bool>,
}

/// Takes away users and items with too few events until all left have enough.
pub(super) fn core(histories: &Histories, n_items: usize, options: &ImportOptions) -> Core {
    let least_user = options.k_core.max(options.min_history);
    let mut core = Core { users: vec![true; histories.n_users()], items: vec![true; n_items] };
    if least_user <= 1 && options.k_core <= 1 {
        return core;
    }
    loop {
        let mut counts = vec![0usize; n_items];
        let mut changed = false;
        for (row, stays) in histories.iter().zip(&mut core.users) {
            if !*stays {
                continue;
            }
            let left = row.items.iter().filter(|i| core.items[i.index()]).count();
            if left < least_user {
                *stays = false;
                changed = true;
            } else {
                row.items.iter().for_each(|i| counts[i.index()] += 1);
            }
        }
        for (count, stays) in counts.into_iter().zip(&mut core.items) {
            if *stays && count < options.k_core {
                *stays = false;
                changed = true;
            }
        }
        if !changed {
            return core;
        }
    }
}

/// Counts something left out, unless it is nothing.
pub(super) fn note(dropped: &mut Vec<Dropped>, what: &str, why: &str, count: usize) {
    if count > 0 {
        dropped.push(Dropped { what: what.into(), why: why.into(), count, first: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn merged(duplicates: Duplicates) -> Vec<(u32, f32)> {
        let mut row: Vec<Event> = [(1, 5.0), (2, 1.0), (1, 3.0)]
            .into_iter()
            .map(|(item, value)| Event { item, value, time: 0 })
            .collect();
        merge(&mut row, duplicates, 1, &mut [0; 3]);
        row.into_iter().map(|e| (e.item, e.value)).collect()
    }

    #[test]
    fn duplicates_are_kept_merged_or_summed() {
        assert_eq!(merged(Duplicates::KeepAll), [(1, 5.0), (2, 1.0), (1, 3.0)]);
        assert_eq!(merged(Duplicates::First), [(1, 5.0), (2, 1.0)]);
        assert_eq!(merged(Duplicates::Last), [(2, 1.0), (1, 3.0)]);
        assert_eq!(merged(Duplicates::Sum), [(2, 1.0), (1, 8.0)]);
    }

    proptest! {
        #[test]
        fn a_core_has_enough_of_everything_and_is_the_largest(
            rows in prop::collection::vec(prop::collection::vec(0u32..8, 0..10), 1..12),
            k in 0usize..4,
            min_history in 0usize..5,
        ) {
            let mut builder = HistoriesBuilder::default();
            for row in &rows {
                row.iter().for_each(|&i| builder.push(ItemId(i), 1.0, 0));
                builder.end_user();
            }
            let histories = builder.build();
            let options = ImportOptions { k_core: k, min_history, ..Default::default() };
            let core = core(&histories, 8, &options);
            let left = |u: usize| rows[u].iter().filter(|&&i| core.items[i as usize]).count();
            let count = |i: u32| (0..rows.len()).filter(|&u| core.users[u])
                .map(|u| rows[u].iter().filter(|&&x| x == i).count()).sum::<usize>();
            if k > 1 || min_history > 1 {
                for u in 0..rows.len() {
                    prop_assert!(!core.users[u] || left(u) >= k.max(min_history));
                }
                for i in 0..8u32 {
                    prop_assert!(!core.items[i as usize] || count(i) >= k);
                }
            } else {
                prop_assert!(core.users.iter().chain(&core.items).all(|&x| x));
            }
        }
    }
}
