//! How much time lies between two events, as transformers see it: a learnt bias of each head for every kind of gap, by its logarithm.
//!
//! As in `TiSASRec` (Li et al. 2020) a gap is that between the event that reads and the event that is read; HSTU (Zhai et al. 2024) counts
//! from the moment of the request, which a request here does not tell. So the newest event of a history stands for now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{EARLIEST_CLOCK, FitError, Histories};

/// Kinds of gaps: none, and one for each doubling from a second up to 2^30 seconds and above.
pub(super) const KINDS: usize = 32;

/// Whether the times of events take part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Times {
    /// They do not.
    Off,
    /// They do where they are dates: the latest is in March 1973 or later, and events do not all follow at one distance.
    #[default]
    Auto,
    /// They do, and data without dates are refused.
    On,
}

impl Times {
    /// Returns what comes of it for these histories: on or off.
    pub(super) fn decide(
        self,
        model: &'static str,
        histories: &Histories,
    ) -> Result<Self, FitError> {
        match self {
            Self::Auto if !are_dates(histories) => Ok(Self::Off),
            Self::Auto => Ok(Self::On),
            Self::On if !are_dates(histories) => Err(FitError::NoTimes { model }),
            decided => Ok(decided),
        }
    }
}

/// Visits the seconds between successive events of every user, of which the older one has a date.
fn gaps(histories: &Histories) -> impl Iterator<Item = u64> {
    let pairs = histories.iter().flat_map(|history| history.times.windows(2));
    pairs.filter(|t| t[0] >= EARLIEST_CLOCK).map(|t| t[0].abs_diff(t[1]))
}

/// Tells dates from positions.
fn are_dates(histories: &Histories) -> bool {
    let latest = histories.events().times.iter().max();
    let mut gaps = gaps(histories);
    let first = gaps.next();
    latest.is_some_and(|&latest| latest >= EARLIEST_CLOCK) && gaps.any(|gap| Some(gap) != first)
}

/// Returns the median of the seconds between successive events.
pub(super) fn usual_gap(histories: &Histories) -> u32 {
    let mut all: Vec<u64> = gaps(histories).collect();
    let middle = all.len() / 2;
    if all.is_empty() {
        return 0;
    }
    let (_, median, _) = all.select_nth_unstable(middle);
    u32::try_from(*median).unwrap_or(u32::MAX)
}

/// Puts events without a date at that of the one before, or at the first one there is; without any date, at the usual distance.
fn put_dates(times: &mut [i64], usual_gap: u32) {
    let Some(mut last) = times.iter().copied().find(|&time| time >= EARLIEST_CLOCK) else {
        (0..).zip(times).for_each(|(at, time): (i64, _)| *time = at * i64::from(usual_gap));
        return;
    };
    for time in times {
        if *time < EARLIEST_CLOCK {
            *time = last;
        }
        last = *time;
    }
}

/// Lists the kinds of the gaps of each sequence, `[len, len]` one after another.
pub(super) fn kinds(times: &[i64], offsets: &[usize], usual_gap: u32, kinds: &mut Vec<u8>) {
    kinds.clear();
    for ends in offsets.windows(2) {
        let mut times = times[ends[0]..ends[1]].to_vec();
        put_dates(&mut times, usual_gap);
        for &here in &times {
            kinds.extend(times.iter().map(|&there| kind(here.abs_diff(there))));
        }
    }
}

/// Returns how many binary digits a number of seconds has, as far as there are kinds.
fn kind(seconds: u64) -> u8 {
    (u64::BITS - seconds.leading_zeros()).min(KINDS as u32 - 1) as u8
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{HistoriesBuilder, ItemId};

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn histories(times: &[&[i64]]) -> Histories {
        let mut builder = HistoriesBuilder::default();
        for times in times {
            times.iter().for_each(|&time| builder.push(ItemId(0), 1.0, time));
            builder.end_user();
        }
        builder.build()
    }

    #[test]
    fn kinds_grow_with_the_logarithm_of_the_gap() {
        let all: Vec<u8> = [0, 1, 2, 3, 4, 60, 3600, 86_400, (1 << 30) - 1, 1 << 30, u64::MAX]
            .into_iter()
            .map(kind)
            .collect();
        assert_eq!(all, [0, 1, 2, 2, 3, 6, 12, 17, 30, 31, 31]);
        let mut of_pairs = vec![9];
        kinds(&[NOW, NOW, NOW + 4, NOW, i64::MAX], &[0, 3, 5], 9, &mut of_pairs);
        assert_eq!(of_pairs, [0, 0, 3, 0, 0, 3, 3, 3, 0, 0, 31, 31, 0]);
        kinds(&[7], &[0, 1], 9, &mut of_pairs);
        assert_eq!(of_pairs, [0]);
        kinds(&[1, 2, 3], &[0, 3], 9, &mut of_pairs);
        assert_eq!(of_pairs, [0, 4, 5, 4, 0, 4, 5, 4, 0]);
    }

    #[test]
    fn positions_are_told_from_dates() {
        let (dates, positions) = (histories(&[&[NOW, NOW + 5, NOW + 9]]), histories(&[&[1, 2, 9]]));
        let alike = histories(&[&[0, NOW, NOW + 60, NOW + 120], &[NOW, NOW + 60], &[], &[NOW]]);
        assert_eq!(Times::Auto.decide("x", &dates).ok(), Some(Times::On));
        assert_eq!(Times::On.decide("x", &dates).ok(), Some(Times::On));
        assert_eq!(Times::Off.decide("x", &dates).ok(), Some(Times::Off));
        for none in [positions, alike, Histories::default()] {
            assert_eq!(Times::Auto.decide("x", &none).ok(), Some(Times::Off));
            let error = Times::On.decide("x", &none).err().map(|error| error.to_string());
            assert!(error.is_some_and(|error| error.contains("times") && error.contains("auto")));
        }
    }

    #[test]
    fn events_without_dates_are_put_where_they_disturb_least() {
        // Gaps 10, 20, 30 and 40: the one after the middle. What lies between no date and a date is none.
        let all = histories(&[&[NOW, NOW + 10, NOW + 30], &[5], &[0, NOW, NOW + 40, NOW + 70]]);
        assert_eq!(usual_gap(&all), 30);
        assert_eq!(usual_gap(&histories(&[&[5]])), 0);
        for (mut given, want) in [
            ([0, 0, 7], [0, 30, 60]),
            ([0, NOW, 1], [NOW, NOW, NOW]),
            ([NOW, 0, NOW + 5], [NOW, NOW, NOW + 5]),
        ] {
            put_dates(&mut given, 30);
            assert_eq!(given, want);
        }
    }
}
