//! What is in a data set: sizes, density, time, lengths of histories, filled fields, and what looks wrong.

use jiff::Timestamp;
use serde::Serialize;

use crate::{Dataset, Table, TimeUnit, Values};

/// Describes a data set for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// Its name.
    pub name: String,
    /// Users, those without events included.
    pub n_users: usize,
    /// Items, those without events included.
    pub n_items: usize,
    /// Events.
    pub n_events: usize,
    /// Users with at least one event.
    pub active_users: usize,
    /// Items with at least one event.
    pub active_items: usize,
    /// Different pairs of user and item, as a share of all possible ones.
    pub density: f64,
    /// Share of events in which a user meets an item again.
    pub repeats: f64,
    /// From when to when.
    pub time: Span,
    /// What the values of events look like.
    pub ratings: Ratings,
    /// Events per user, over users with events.
    pub per_user: Spread,
    /// Events per item, over items with events.
    pub per_item: Spread,
    /// Fields of the items.
    pub item_fields: Vec<Coverage>,
    /// Fields of the users.
    pub user_fields: Vec<Coverage>,
    /// What looks wrong.
    pub problems: Vec<String>,
}

/// A stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    /// `clock`, or `order only` when events have positions but no dates.
    pub kind: &'static str,
    /// The first event, ISO 8601.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The last event, ISO 8601.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Days between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<f64>,
}

/// Values of events.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratings {
    /// Smallest.
    pub min: f32,
    /// Largest.
    pub max: f32,
    /// Average.
    pub mean: f64,
    /// True when all are equal: events without a rating.
    pub constant: bool,
}

/// How counts are spread.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Average.
    pub mean: f64,
    /// Smallest.
    pub min: usize,
    /// A quarter has at most this.
    pub q25: usize,
    /// Half has at most this.
    pub median: usize,
    /// Three quarters have at most this.
    pub q75: usize,
    /// 95 of 100 have at most this.
    pub q95: usize,
    /// Largest.
    pub max: usize,
    /// How many fall between powers of two.
    pub histogram: Vec<Bin>,
}

/// One bar of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// From this count.
    pub from: usize,
    /// To this count, inclusive.
    pub to: usize,
    /// So many.
    pub count: usize,
}

/// How well a field is filled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Coverage {
    /// Its name.
    pub name: String,
    /// `text`, `categories` or `number`.
    pub kind: &'static str,
    /// Rows with a value.
    pub filled: usize,
    /// Share of rows with a value.
    pub share: f64,
    /// Words per filled text, labels per filled list; nothing for numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_len: Option<f64>,
}

/// Inspects a data set.
pub fn inspect(data: &Dataset) -> Inspection {
    let per_user: Vec<usize> = data.histories.iter().map(|h| h.len()).filter(|&n| n > 0).collect();
    let counts = data.histories.item_counts(data.n_items());
    let per_item: Vec<usize> = counts.iter().filter(|&&n| n > 0).map(|&n| n as usize).collect();
    let n_events = data.histories.n_events();
    let pairs = n_events - repeats(data);
    let mut found = Inspection {
        name: data.manifest.name.clone(),
        n_users: data.n_users(),
        n_items: data.n_items(),
        n_events,
        active_users: per_user.len(),
        active_items: per_item.len(),
        density: ratio(pairs, per_user.len() * per_item.len()),
        repeats: ratio(n_events - pairs, n_events),
        time: span(data),
        ratings: ratings(data),
        per_user: spread(per_user),
        per_item: spread(per_item),
        item_fields: coverage(&data.items),
        user_fields: coverage(&data.users),
        problems: data.manifest.problems.clone(),
    };
    found.problems.extend(problems(data, &found));
    found
}

fn repeats(data: &Dataset) -> usize {
    let mut last_seen = vec![usize::MAX; data.n_items()];
    let mut again = 0;
    for (user, history) in data.histories.iter().enumerate() {
        for item in history.items {
            let before = std::mem::replace(&mut last_seen[item.index()], user);
            again += usize::from(before == user);
        }
    }
    again
}

fn span(data: &Dataset) -> Span {
    let times = data.histories.events().times;
    let (Some(&first), Some(&last)) = (times.iter().min(), times.iter().max()) else {
        return Span { kind: "order only", first: None, last: None, days: None };
    };
    if data.manifest.time == TimeUnit::Order {
        return Span { kind: "order only", first: None, last: None, days: None };
    }
    let iso = |seconds| Timestamp::from_second(seconds).ok().map(|t| t.to_string());
    let days = ((last - first) as f64 / 86_400.0).max(0.0);
    Span { kind: "clock", first: iso(first), last: iso(last), days: Some(days) }
}

fn ratings(data: &Dataset) -> Ratings {
    let values = data.histories.events().values;
    let min = values.iter().copied().fold(f32::INFINITY, f32::min);
    let max = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len().max(1) as f64;
    Ratings { min, max, mean, constant: min >= max }
}

/// Describes how counts are spread; quantiles are counts that occur (nearest rank).
fn spread(mut counts: Vec<usize>) -> Spread {
    counts.sort_unstable();
    let (Some(&min), Some(&max)) = (counts.first(), counts.last()) else {
        return Spread::default();
    };
    let at = |percent: usize| counts[(counts.len() * percent).div_ceil(100).max(1) - 1];
    let mut histogram = Vec::new();
    let mut from = 1;
    while from <= max {
        let to = 2 * from - 1;
        let below = |limit| counts.partition_point(|&n| n < limit);
        histogram.push(Bin { from, to, count: below(to + 1) - below(from) });
        from = to + 1;
    }
    Spread {
        mean: ratio(counts.iter().sum(), counts.len()),
        min,
        q25: at(25),
        median: at(50),
        q75: at(75),
        q95: at(95),
        max,
        histogram,
    }
}

fn coverage(table: &Table) -> Vec<Coverage> {
    let describe = |column: &crate::Column| {
        let filled = (0..table.len()).filter(|&row| !column.values.is_missing(row)).count();
        let len = match &column.values {
            Values::Text(texts) => Some(texts.iter().map(|t| t.split_whitespace().count()).sum()),
            Values::Categories(lists) => Some(lists.iter().map(Vec::len).sum()),
            Values::Number(_) => None,
        };
        Coverage {
            name: column.name.clone(),
            kind: column.values.kind(),
            filled,
            share: ratio(filled, table.len()),
            mean_len: len.map(|total| ratio(total, filled)),
        }
    };
    table.columns().iter().map(describe).collect()
}

fn problems(data: &Dataset, found: &Inspection) -> Vec<String> {
    let mut all: Vec<String> =
        data.manifest.dropped.iter().map(|d| format!("left out {d}")).collect();
    let mut tell = |holds: bool, text: String| all.extend(holds.then_some(text));
    let short = data.histories.iter().filter(|h| (1..3).contains(&h.len())).count();
    tell(short > 0, format!("{short} users have fewer than 3 events and are not evaluated"));
    let untouched = found.n_items - found.active_items;
    tell(
        untouched > 0,
        format!("{untouched} items have no events; only their text can recommend them"),
    );
    let idle = found.n_users - found.active_users;
    tell(idle > 0, format!("{idle} users have no events"));
    let has_text = |column: &crate::Column| matches!(column.values, Values::Text(_));
    let texts: Vec<&crate::Column> = data.items.columns().iter().filter(|c| has_text(c)).collect();
    tell(texts.is_empty(), "items have no text: text models cannot be used".into());
    let mute = |row: usize| texts.iter().all(|c| c.values.is_missing(row));
    let silent = (0..data.n_items()).filter(|&row| !texts.is_empty() && mute(row)).count();
    tell(silent > 0, format!("{silent} items have no text"));
    tell(
        found.repeats > 0.0,
        format!(
            "{:.1} % of events repeat an item of the user; full ranking counts such targets as missed",
            100.0 * found.repeats
        ),
    );
    all
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks_and_bins_hold_every_count_once() {
        // 1 1 2 3 8: median is the 3rd, q75 the 4th (3.75 up), q95 the 5th
        let spread = spread(vec![8, 1, 2, 1, 3]);
        assert_eq!(
            (spread.min, spread.q25, spread.median, spread.q75, spread.q95),
            (1, 1, 2, 3, 8)
        );
        assert!((spread.mean - 3.0).abs() < 1e-12);
        let bins: Vec<_> = spread.histogram.iter().map(|b| (b.from, b.to, b.count)).collect();
        assert_eq!(bins, [(1, 1, 2), (2, 3, 2), (4, 7, 0), (8, 15, 1)]);
    }
}
