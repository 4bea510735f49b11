//! The deletion test of reasons (`DeYoung` et al. 2020, "comprehensiveness"): an item's score must fall more when the events that its reason
//! cites are taken out of the history than when as many others are.

use rand::RngExt as _;
use rand::seq::{IndexedRandom, SliceRandom};
use rayon::prelude::*;
use serde::Serialize;
use tastemaker_core::{Histories, HistoriesBuilder, History, ItemId, Progress, Request, seed};

use super::explain::explain;
use crate::{Engine, Error};

/// Draws of other events to take out, for each reason.
const DRAWS: usize = 5;
/// Samples of users that the intervals rest on.
const SAMPLES: usize = 1000;
/// Shorter histories have too few other events.
const FEWEST_EVENTS: usize = 5;

/// What the deletion test looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaithfulnessSettings {
    /// Users, drawn among those with at least five events.
    pub users: usize,
    /// Items at the head of each one's list.
    pub n: usize,
    /// Seed of what is drawn.
    pub seed: u64,
}

/// What the deletion test found. Drops are in standard deviations of a user's scores.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Faithfulness {
    /// The model.
    pub model: String,
    /// Users whose reasons were looked at.
    pub users: usize,
    /// Reasons that cite events.
    pub reasons: usize,
    /// Events a reason cites, on average.
    pub events: f64,
    /// How far the score falls without the events cited: mean, and the interval of 95 % over users.
    pub cited: [f64; 3],
    /// How far it falls without as many others.
    pub others: [f64; 3],
    /// The first divided by the second.
    pub ratio: [f64; 3],
    /// Share of reasons whose events count more than the others do on average.
    pub won: f64,
}

/// The drops of one reason.
#[derive(Clone, Copy)]
struct Drops {
    cited: f64,
    others: f64,
    events: usize,
}

impl Engine {
    /// Takes the events that reasons cite out of histories, and others for comparison.
    pub fn faithfulness(
        &self,
        settings: &FaithfulnessSettings,
        progress: &dyn Progress,
    ) -> Result<Faithfulness, Error> {
        let mut users: Vec<usize> = (0..self.data().n_users())
            .filter(|&user| self.data().histories.row(user).len() >= FEWEST_EVENTS)
            .collect();
        users.shuffle(&mut seed::stream(settings.seed, "faithfulness/users"));
        users.truncate(settings.users);
        let done = std::sync::atomic::AtomicUsize::new(0);
        let all: Vec<Vec<Drops>> = self.with_lists(|lists| {
            users
                .par_iter()
                .map(|&user| {
                    // The history alone speaks: nothing that was learnt of this user stands beside it.
                    let request = Request::new(None, self.data().histories.row(user));
                    let list = lists.recommend(&request, settings.n);
                    let key = seed::mix([settings.seed, user as u64]);
                    let drops =
                        list.iter().filter_map(|s| self.drops(&request, s.item, key)).collect();
                    let so_far = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                    progress.report("taking events out of histories", so_far, users.len());
                    drops
                })
                .collect()
        })?;
        let all: Vec<Vec<Drops>> = all.into_iter().filter(|drops| !drops.is_empty()).collect();
        if all.is_empty() {
            return Err(Error::Unable {
                model: self.name().into(),
                what: "be tested for its reasons: none of them cites an event",
                instead: "train markov, item-knn, ease, ials, text-knn or fused on histories of at least five events",
            });
        }
        Ok(summed(self.name(), &all, settings.seed))
    }

    /// Returns how far the score of an item falls; `None` where its reason cites no event, or nearly all of them.
    fn drops(&self, request: &Request<'_>, item: ItemId, key: u64) -> Option<Drops> {
        let cited = explain(self, request, item, (self.wording(), &[])).cited;
        let others: Vec<ItemId> =
            request.history.items.iter().copied().filter(|event| !cited.contains(event)).collect();
        if cited.is_empty() || others.len() < cited.len() {
            return None;
        }
        let whole = self.strength(request, item);
        let fall = |gone: &[ItemId]| {
            let rest = without(request.history, gone);
            whole - self.strength(&Request::new(request.user, rest.row(0)), item)
        };
        let mut rng = seed::stream(seed::mix([key, u64::from(item.0)]), "faithfulness/others");
        let mut random = 0.0;
        for _ in 0..DRAWS {
            let gone: Vec<ItemId> = others.sample(&mut rng, cited.len()).copied().collect();
            random += fall(&gone) / DRAWS as f64;
        }
        Some(Drops { cited: fall(&cited), others: random, events: cited.len() })
    }

    /// Returns an item's score in standard deviations of the user's scores; trees, which only change places, are left out.
    fn strength(&self, request: &Request<'_>, item: ItemId) -> f64 {
        if let Some(fused) = self.fused() {
            return fused.shares(request, item).iter().map(|share| f64::from(*share)).sum();
        }
        let mut scores = vec![0.0f32; self.recommender().n_items()];
        self.recommender().score(request, &mut scores);
        let n = scores.len().max(1) as f64;
        let mean = scores.iter().map(|score| f64::from(*score)).sum::<f64>() / n;
        let squares = scores.iter().map(|score| (f64::from(*score) - mean).powi(2)).sum::<f64>();
        let own = scores.get(item.index()).map_or(mean, |score| f64::from(*score));
        (own - mean) / (squares / n).sqrt().max(f64::MIN_POSITIVE)
    }
}

/// Returns a history without some items.
fn without(history: History<'_>, gone: &[ItemId]) -> Histories {
    let mut builder = HistoriesBuilder::default();
    for ((item, value), time) in history.items.iter().zip(history.values).zip(history.times) {
        if !gone.contains(item) {
            builder.push(*item, *value, *time);
        }
    }
    builder.end_user();
    builder.build()
}

fn summed(model: &str, all: &[Vec<Drops>], root: u64) -> Faithfulness {
    // A user's reasons count together: they are not independent of each other.
    let means: Vec<(f64, f64)> = all
        .iter()
        .map(|drops| {
            let n = drops.len() as f64;
            let sum = |of: fn(&Drops) -> f64| drops.iter().map(of).sum::<f64>() / n;
            (sum(|d| d.cited), sum(|d| d.others))
        })
        .collect();
    let of = |rows: &mut dyn Iterator<Item = usize>| {
        let (mut cited, mut others) = (0.0, 0.0);
        rows.for_each(|row| {
            cited += means[row].0;
            others += means[row].1;
        });
        let n = means.len() as f64;
        [cited / n, others / n, ratio(cited, others)]
    };
    let whole = of(&mut (0..means.len()));
    let mut rng = seed::stream(root, "faithfulness/intervals");
    let samples: Vec<[f64; 3]> = (0..SAMPLES)
        .map(|_| {
            of(&mut (0..means.len())
                .map(|_| rng.random_range(0..means.len()))
                .collect::<Vec<_>>()
                .into_iter())
        })
        .collect();
    let interval = |at: usize| {
        let mut values: Vec<f64> = samples.iter().map(|sample| sample[at]).collect();
        values.sort_by(f64::total_cmp);
        [whole[at], values[SAMPLES / 40], values[SAMPLES - 1 - SAMPLES / 40]]
    };
    let drops: Vec<&Drops> = all.iter().flatten().collect();
    let n = drops.len() as f64;
    Faithfulness {
        model: model.to_owned(),
        users: all.len(),
        reasons: drops.len(),
        events: drops.iter().map(|drop| drop.events as f64).sum::<f64>() / n,
        cited: interval(0),
        others: interval(1),
        ratio: interval(2),
        won: drops.iter().filter(|drop| drop.cited > drop.others).count() as f64 / n,
    }
}

/// Where others do not lower the score at all, any fall is more than twice theirs: the ratio is told as a large number.
fn ratio(cited: f64, others: f64) -> f64 {
    const MOST: f64 = 999.0;
    match (cited > 0.0, others > cited.abs() / MOST) {
        (_, true) => cited / others,
        (true, false) => MOST,
        (false, false) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::assert_close;

    use super::*;

    #[test]
    fn a_history_loses_the_items_named_and_nothing_else() {
        let items = [1, 2, 3, 2].map(ItemId);
        let history =
            History { items: &items, values: &[1.0, 2.0, 3.0, 4.0], times: &[1, 2, 3, 4] };
        let rest = without(history, &[ItemId(2)]);
        assert_eq!(rest.row(0).items, [ItemId(1), ItemId(3)]);
        assert_eq!(rest.row(0).times, [1, 3]);
    }

    #[test]
    fn users_count_alike_and_ratios_are_of_means() {
        let drop = |cited, others| Drops { cited, others, events: 2 };
        // Means of the users: (3, 1) and (1, 1); of all: 2 and 1.
        let all = [vec![drop(4.0, 2.0), drop(2.0, 0.0)], vec![drop(1.0, 1.0)]];
        let found = summed("m", &all, 1);
        assert_close(found.cited[0] as f32, 2.0, 1e-6);
        assert_close(found.others[0] as f32, 1.0, 1e-6);
        assert_close(found.ratio[0] as f32, 2.0, 1e-6);
        assert!(found.ratio[1] <= 2.0 && found.ratio[2] >= 2.0);
        assert_close(found.won as f32, 2.0 / 3.0, 1e-6);
        assert_close(ratio(1.0, 0.0) as f32, 999.0, 1e-6);
        assert_close(ratio(-1.0, -2.0) as f32, 0.0, 1e-6);
    }
}
