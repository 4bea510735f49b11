//! Splits that look at one user at a time: the last event, the last share, a random share.
//! Users with fewer than three events are learnt from, but not asked for.

use rand::seq::SliceRandom as _;
use tastemaker_core::{Histories, seed};

use crate::split::{Builder, Side, Split, SplitSettings};

/// Fewest events a user needs to be asked for: one to learn from, one for validation, one for the test.
pub(super) const FEWEST: usize = 3;

/// The last event is the test, the one before the validation.
pub(crate) fn last_out(histories: &Histories) -> Split {
    each_user(histories, |n| tail(n, 1, 1))
}

/// The last `share` of a user's events is the test, the same share of the rest the validation.
pub(crate) fn last_share(histories: &Histories, share: f64) -> Split {
    each_user(histories, |n| {
        let (test, valid) = sizes(n, share);
        tail(n, test, valid)
    })
}

/// As [`last_share`], but the events are drawn at random; their order is kept.
pub(crate) fn random_share(histories: &Histories, settings: &SplitSettings) -> Split {
    let mut rng = seed::stream(settings.seed, "split-random");
    each_user(histories, |n| {
        let (test, valid) = sizes(n, settings.share);
        let mut sides = tail(n, test, valid);
        sides.shuffle(&mut rng);
        sides
    })
}

fn each_user(histories: &Histories, mut sides: impl FnMut(usize) -> Vec<Side>) -> Split {
    let mut parts = Builder::default();
    for (user, all) in histories.iter().enumerate() {
        if all.len() < FEWEST {
            parts.learn(all, &vec![Side::Train; all.len()]);
        } else {
            parts.user(user, all, &sides(all.len()));
        }
    }
    parts.build()
}

fn tail(n: usize, test: usize, valid: usize) -> Vec<Side> {
    let mut sides = vec![Side::Train; n - test - valid];
    sides.resize(n - test, Side::Valid);
    sides.resize(n, Side::Test);
    sides
}

/// Returns how many of `n` events are test and validation: at least one each, and one is left.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a count is a smaller count"
)]
fn sizes(n: usize, share: f64) -> (usize, usize) {
    let part = |n: usize, most: usize| ((n as f64 * share).round() as usize).clamp(1, most);
    let test = part(n, n - 2);
    (test, part(n - test, n - test - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tastemaker_core::{HistoriesBuilder, ItemId};

    #[test]
    fn shares_are_rounded_and_leave_something_everywhere() {
        // 10 events, 0.2: 2 test; of the 8 left 1.6, that is 2, validation
        assert_eq!(sizes(10, 0.2), (2, 2));
        assert_eq!(sizes(3, 0.2), (1, 1));
        assert_eq!(sizes(3, 0.99), (1, 1));
        assert_eq!(sizes(100, 0.001), (1, 1));
    }

    #[test]
    fn leave_one_out_takes_the_last_two_of_users_with_three_events() {
        let mut rows = HistoriesBuilder::default();
        for user in [&[5u32, 6, 7, 8][..], &[1, 2]] {
            for (time, &item) in (0..).zip(user) {
                rows.push(ItemId(item), 1.0, time);
            }
            rows.end_user();
        }
        let split = last_out(&rows.build());
        let items = |h: &Histories, row| h.row(row).items.iter().map(|i| i.0).collect::<Vec<_>>();
        assert_eq!((items(&split.train, 0), items(&split.train, 1)), (vec![5, 6], vec![1, 2]));
        assert_eq!((items(&split.refit, 0), items(&split.refit, 1)), (vec![5, 6, 7], vec![1, 2]));
        assert_eq!(
            (items(&split.valid.histories, 0), items(&split.valid.targets, 0)),
            (vec![5, 6], vec![7])
        );
        assert_eq!(
            (items(&split.test.histories, 0), items(&split.test.targets, 0)),
            (vec![5, 6, 7], vec![8])
        );
        assert_eq!((split.test.len(), split.valid.len()), (1, 1));
    }
}
