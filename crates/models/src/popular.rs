//! Popularity: what most people take, or what most people take of late.
//!
//! Objective: `score(j) = Σ_events(j) 0.5^(age / half_life)`, plain counts without a half-life. Shapes: scores `[n_items]`.
//! The same list for everybody; the yardstick for all other models and the answer to those of whom nothing is known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{
    Checked, Fault, Fit, FitError, Histories, Persist, PersistError, Recommender, Request, Saved,
    Shape, TrainData,
};

use crate::distinct;
use crate::persist::{take_settings, take_vector, with_settings};

/// Times below this (March 1973) are positions, not a clock.
const FIRST_CLOCK_TIME: i64 = 100_000_000;
const SECONDS_PER_DAY: f64 = 86_400.0;

/// Settings of [`Popularity`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PopularitySettings {
    /// Days after which an event counts half; without it all events count the same. Where the data has an order but
    /// no clock, a user's event counts as one day older than the one after it.
    pub half_life_days: Option<f64>,
}

impl Fit for PopularitySettings {
    type Model = Popularity;

    fn faults(&self) -> Vec<Fault> {
        let days = self.half_life_days.unwrap_or(1.0);
        Fault::unless(days > 0.0 && days.is_finite(), "half_life_days", || {
            format!("must be above 0, is {days}")
        })
        .into_iter()
        .collect()
    }

    fn grid(&self, _shape: &Shape) -> Vec<Self> {
        let mut all = vec![self.clone()];
        let usual = [None, Some(7.0), Some(30.0), Some(90.0), Some(365.0)];
        all.extend(usual.map(|half_life_days| Self { half_life_days }));
        distinct(all)
    }

    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<Popularity, FitError> {
        data.require_events()?;
        let mut scores = vec![0.0f64; data.n_items];
        for (item, weight) in weighted(data.histories, settings.half_life_days) {
            scores[item] += weight;
        }
        let scores = scores.into_iter().map(|score| score as f32).collect();
        Ok(Popularity { settings: Self::clone(settings), scores })
    }
}

/// Visits the item and the weight of every event.
fn weighted(
    histories: &Histories,
    half_life_days: Option<f64>,
) -> impl Iterator<Item = (usize, f64)> {
    let newest = histories.events().times.iter().copied().max().unwrap_or(0);
    let has_clock = newest >= FIRST_CLOCK_TIME;
    histories.iter().flat_map(move |history| {
        history.items.iter().zip(history.times).enumerate().map(move |(at, (item, &time))| {
            let weight = half_life_days.map_or(1.0, |half_life| {
                let days = if has_clock {
                    newest.saturating_sub(time) as f64 / SECONDS_PER_DAY
                } else {
                    (history.len() - 1 - at) as f64
                };
                0.5f64.powf(days / half_life)
            });
            (item.index(), weight)
        })
    })
}

/// Scores every item by how often it was taken; see the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Popularity {
    settings: PopularitySettings,
    scores: Vec<f32>,
}

impl Recommender for Popularity {
    fn n_items(&self) -> usize {
        self.scores.len()
    }

    fn score(&self, _request: &Request<'_>, scores: &mut [f32]) {
        scores.copy_from_slice(&self.scores);
    }
}

impl Persist for Popularity {
    fn save(&self) -> Saved {
        let mut saved = with_settings(&self.settings);
        saved.put_f32("scores", &[self.scores.len()], self.scores.clone());
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let settings = take_settings(&mut saved)?;
        Ok(Self { settings, scores: take_vector(&mut saved, "scores")? })
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{HistoriesBuilder, ItemId};
    use tastemaker_testkit::{assert_all_close, contract};

    use super::*;

    #[test]
    fn keeps_the_contract_plain_and_decayed() {
        contract::recommender(PopularitySettings::default);
        contract::recommender(|| PopularitySettings { half_life_days: Some(30.0) });
    }

    fn scores(times: [[i64; 2]; 2], half_life_days: Option<f64>) -> Vec<f32> {
        let mut builder = HistoriesBuilder::default();
        for row in times {
            builder.push(ItemId(0), 1.0, row[0]);
            builder.push(ItemId(1), 1.0, row[1]);
            builder.end_user();
        }
        let histories = builder.build();
        let data = TrainData::new(&histories, 3);
        let checked = Checked::new(PopularitySettings { half_life_days }).unwrap();
        checked.fit(&data).unwrap().scores
    }

    #[test]
    fn an_event_one_half_life_old_counts_half() {
        let day = 86_400;
        let start = 1_000_000_000;
        // Item 0: ages 2 and 1 days = 1/4 + 1/2; item 1: ages 1 and 0 days = 1/2 + 1.
        let times = [[start, start + day], [start + day, start + 2 * day]];
        assert_all_close(&scores(times, Some(1.0)), &[0.75, 1.5, 0.0], 1e-6);
        assert_all_close(&scores(times, None), &[2.0, 2.0, 0.0], 1e-6);
    }

    #[test]
    fn without_a_clock_a_step_back_is_a_day() {
        assert_all_close(&scores([[0, 1], [0, 1]], Some(1.0)), &[1.0, 2.0, 0.0], 1e-6);
    }

    #[test]
    fn an_impossible_half_life_is_a_fault() {
        for days in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(PopularitySettings { half_life_days: Some(days) }.faults().len(), 1);
        }
    }
}
