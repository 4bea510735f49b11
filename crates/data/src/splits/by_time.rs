//! One point in time for all: what happened later was not known to anyone.
//! Users who first act after a cut are asked for by nobody; their events are withheld all the same.

use tastemaker_core::Histories;

use crate::split::{Builder, Side, Split};

/// The last `share` of all events is the test, the same share of the rest the validation.
pub(crate) fn by_time(histories: &Histories, share: f64) -> Split {
    let mut times = histories.events().times.to_vec();
    times.sort_unstable();
    let test_from = cut(&times, share);
    let earlier = &times[..times.partition_point(|&t| t < test_from)];
    let valid_from = cut(earlier, share);
    let mut parts = Builder::default();
    let mut sides = Vec::new();
    for (user, all) in histories.iter().enumerate() {
        sides.clear();
        sides.extend(all.times.iter().map(|&t| match t {
            _ if t >= test_from => Side::Test,
            _ if t >= valid_from => Side::Valid,
            _ => Side::Train,
        }));
        parts.user(user, all, &sides);
    }
    parts.build()
}

/// Returns the time from which on about `share` of the sorted `times` lie, and before which some lie.
///
/// Equal times stay on one side. Without two different times nothing lies after the cut.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a count is a smaller count"
)]
fn cut(times: &[i64], share: f64) -> i64 {
    let Some((&first, _)) = times.split_first() else { return i64::MAX };
    let at = (times.len() as f64 * (1.0 - share)).round() as usize;
    let time = times[at.min(times.len() - 1)];
    if time > first { time } else { times.iter().copied().find(|&t| t > first).unwrap_or(i64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_equal_times_together_and_leaves_a_past() {
        assert_eq!(cut(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.2), 9);
        assert_eq!(cut(&[1, 1, 1, 1, 2], 0.9), 2);
        assert_eq!(cut(&[4, 4, 4], 0.2), i64::MAX);
        assert_eq!(cut(&[], 0.2), i64::MAX);
    }
}
