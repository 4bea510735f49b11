//! The rules every split keeps, on made-up histories.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use proptest::prelude::*;
use tastemaker_core::{Histories, HistoriesBuilder, History, ItemId};
use tastemaker_data::{Held, Split, SplitKind, SplitSettings, split};

const N_ITEMS: usize = 12;

/// Histories whose events all differ: the value numbers the event.
fn histories() -> impl Strategy<Value = Histories> {
    let event = (0..N_ITEMS as u32, 0i64..40);
    prop::collection::vec(prop::collection::vec(event, 0..9), 3..15).prop_map(|users| {
        let mut rows = HistoriesBuilder::default();
        let mut number = 0.0;
        for mut user in users {
            user.sort_by_key(|e| e.1);
            for (item, time) in user {
                rows.push(ItemId(item), number, time);
                number += 1.0;
            }
            rows.end_user();
        }
        rows.build()
    })
}

fn ids(history: History<'_>) -> Vec<u32> {
    history.values.iter().map(|v| *v as u32).collect()
}

fn all_ids(histories: &Histories) -> Vec<u32> {
    let mut all = ids(histories.events());
    all.sort_unstable();
    all
}

fn sorted(parts: &[&Histories]) -> Vec<u32> {
    let mut all: Vec<u32> = parts.iter().flat_map(|h| ids(h.events())).collect();
    all.sort_unstable();
    all
}

fn cases(held: &Held) -> impl Iterator<Item = (usize, History<'_>, History<'_>)> {
    let rows = |i: usize| (held.users[i].index(), held.histories.row(i), held.targets.row(i));
    (0..held.len()).map(rows)
}

fn is_part_of(part: &[u32], whole: &[u32]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|x| rest.any(|y| x == y))
}

/// What holds for every kind.
fn check_all(whole: &Histories, parts: &Split, kind: SplitKind) {
    assert_eq!(parts.train.n_users(), whole.n_users());
    assert_eq!(parts.refit.n_users(), whole.n_users());
    assert_eq!(parts.cold_items.len(), N_ITEMS);
    for user in 0..whole.n_users() {
        let (train, refit) = (ids(parts.train.row(user)), ids(parts.refit.row(user)));
        assert!(is_part_of(&train, &refit), "{kind}: train is part of refit, in order");
        assert!(is_part_of(&refit, &ids(whole.row(user))), "{kind}: refit is part of the whole");
    }
    let held = [(&parts.valid, &parts.train), (&parts.test, &parts.refit)];
    for (held, learnt) in held.into_iter().chain(parts.warm.iter().map(|w| (w, &parts.refit))) {
        assert_eq!(held.histories.n_users(), held.len());
        assert_eq!(held.targets.n_users(), held.len());
        let learnt = all_ids(learnt);
        for (user, history, target) in cases(held) {
            assert!(!history.is_empty() && !target.is_empty(), "{kind}");
            for id in ids(target) {
                assert!(learnt.binary_search(&id).is_err(), "{kind}: what is asked is not learnt");
                assert!(!ids(history).contains(&id), "{kind}: what is asked is not known");
            }
            let own = ids(whole.row(user));
            assert!(is_part_of(&ids(history), &own) && is_part_of(&ids(target), &own), "{kind}");
            if kind != SplitKind::Random {
                let past = history.times.iter().max();
                assert!(past <= target.times.iter().min(), "{kind}: no future in the past");
            }
        }
    }
}

fn run(whole: &Histories, kind: SplitKind, seed: u64) -> Option<Split> {
    let settings = SplitSettings { seed, ..SplitSettings::new(kind) };
    let parts = split(whole, N_ITEMS, &settings).ok()?;
    assert_eq!(split(whole, N_ITEMS, &settings).unwrap(), parts, "{kind}: the same again");
    check_all(whole, &parts, kind);
    Some(parts)
}

proptest! {
    #[test]
    fn per_user_splits_lose_nothing(whole in histories(), seed in 0u64..9) {
        for kind in [SplitKind::LeaveOneOut, SplitKind::Ratio, SplitKind::Random] {
            let Some(parts) = run(&whole, kind, seed) else { continue };
            prop_assert_eq!(sorted(&[&parts.refit, &parts.test.targets]), all_ids(&whole));
            prop_assert_eq!(sorted(&[&parts.train, &parts.valid.targets]), all_ids(&parts.refit));
            let asked = whole.iter().filter(|h| h.len() >= 3).count();
            prop_assert_eq!((parts.test.len(), parts.valid.len()), (asked, asked));
        }
    }

    #[test]
    fn leave_one_out_asks_for_the_last_event_given_all_before(whole in histories()) {
        let Some(parts) = run(&whole, SplitKind::LeaveOneOut, 0) else { return Ok(()) };
        for (user, history, target) in cases(&parts.test) {
            let own = ids(whole.row(user));
            prop_assert_eq!([ids(history), ids(target)].concat(), own);
            prop_assert_eq!(target.len(), 1);
        }
        for (user, history, target) in cases(&parts.valid) {
            let own = ids(whole.row(user));
            prop_assert_eq!([ids(history), ids(target)].concat(), own[..own.len() - 1].to_vec());
        }
    }

    #[test]
    fn a_split_by_time_has_one_cut_for_all(whole in histories()) {
        let Some(parts) = run(&whole, SplitKind::Time, 0) else { return Ok(()) };
        let latest = parts.refit.events().times.iter().max();
        let asked = parts.test.targets.events().times.iter().min();
        prop_assert!(latest < asked);
        prop_assert!(parts.train.events().times.iter().max() < parts.valid.targets.events().times.iter().min()
            || parts.valid.is_empty());
        // Everything before the first asked event is learnt from.
        let cut = *asked.unwrap();
        let before = whole.events().times.iter().filter(|&&t| t < cut).count();
        prop_assert!(parts.refit.n_events() <= before);
        prop_assert_eq!(parts.refit.n_events(), whole.events().times.iter().filter(|t| Some(*t) <= latest).count());
    }

    #[test]
    fn withheld_items_are_nowhere_but_in_the_test(whole in histories(), seed in 0u64..9) {
        let Some(parts) = run(&whole, SplitKind::ColdItems, seed) else { return Ok(()) };
        let warm = parts.warm.as_ref().unwrap();
        let is_cold = |h: &Histories| h.events().items.iter().map(|i| parts.cold_items[i.index()]).collect::<Vec<_>>();
        prop_assert_eq!(parts.cold_items.iter().filter(|&&c| c).count(), 2); // 0.15 of 12 = 1.8
        for clean in [&parts.train, &parts.refit, &parts.test.histories, &parts.valid.histories,
                      &parts.valid.targets, &warm.histories, &warm.targets] {
            prop_assert!(is_cold(clean).iter().all(|&c| !c));
        }
        prop_assert!(is_cold(&parts.test.targets).iter().all(|&c| c));
        for (user, history, target) in cases(&parts.test).chain(cases(warm)) {
            let own = whole.row(user);
            prop_assert!(own.len() >= 3);
            prop_assert_eq!(ids(target), &ids(own)[own.len() - 1..]);
            let known = own.items[..own.len() - 1].iter().filter(|i| !parts.cold_items[i.index()]).count();
            prop_assert_eq!(history.len(), known, "all that is warm is known");
        }
        prop_assert_eq!(sorted(&[&parts.train, &parts.valid.targets]), all_ids(&parts.refit));
    }

    #[test]
    fn withheld_users_are_learnt_from_by_nobody(whole in histories(), seed in 0u64..9) {
        let Some(parts) = run(&whole, SplitKind::ColdUsers, seed) else { return Ok(()) };
        for (user, history, target) in cases(&parts.test) {
            prop_assert!(parts.train.row(user).is_empty() && parts.refit.row(user).is_empty());
            prop_assert_eq!([ids(history), ids(target)].concat(), ids(whole.row(user)));
        }
        for (user, _, _) in cases(&parts.valid) {
            prop_assert!(parts.train.row(user).is_empty());
            prop_assert_eq!(parts.refit.row(user), whole.row(user));
        }
        prop_assert_eq!(sorted(&[&parts.refit, &parts.test.histories, &parts.test.targets]), all_ids(&whole));
    }
}
