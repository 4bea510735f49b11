//! What a search found, for people and programs.

use serde::Serialize;
use tastemaker_eval::{self as eval, Chart, Series};
use tastemaker_train::search::{Assignment, Found, Trial};

use super::trial::Resource;
use crate::Error;

/// What a search found.
#[derive(Clone, Debug, Serialize)]
pub struct Searched {
    /// The model.
    pub model: String,
    /// `grid`, `random` or `halving`.
    pub method: &'static str,
    /// Seed of draws and fits.
    pub seed: u64,
    /// What settings were judged by, on validation events: `ndcg@10`, or for a task `auc` or `-rmse`; more is better.
    pub metric: &'static str,
    /// Validation users that settings were judged on.
    pub validation_users: usize,
    /// Settings that were to be tried.
    pub planned: usize,
    /// Says that the limit of time came first.
    pub cut: bool,
    /// What a fit with a share of a whole one gets less of: `epochs`, `iterations` or `users`.
    pub resource: &'static str,
    /// Every trial, rung by rung.
    pub trials: Vec<Tried>,
    /// The best trial.
    pub best: Tried,
    /// Its settings, as a file for `--config`.
    pub toml: String,
}

/// One trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tried {
    /// Number of the settings, from 0.
    pub trial: usize,
    /// Share of a whole fit that they got.
    pub share: f64,
    /// Values of the keys that were searched.
    pub settings: Assignment,
    /// What they were judged to be worth, by the search's metric.
    pub value: Option<f64>,
    /// Why they could not be tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Seconds it took.
    pub seconds: f64,
}

impl From<&Trial> for Tried {
    fn from(trial: &Trial) -> Self {
        Self {
            trial: trial.number,
            share: trial.share,
            settings: trial.settings.clone(),
            value: trial.value,
            failure: trial.failure.clone(),
            seconds: trial.seconds,
        }
    }
}

/// What is said about a search beside what it found.
pub(super) struct About {
    pub(super) model: &'static str,
    pub(super) method: &'static str,
    pub(super) seed: u64,
    pub(super) metric: &'static str,
    pub(super) validation_users: usize,
    pub(super) resource: Resource,
}

impl Searched {
    pub(super) fn new(
        about: &About,
        found: &Found,
        toml: impl FnOnce(&Assignment) -> String,
    ) -> Result<Self, Error> {
        let trials: Vec<Tried> = found.journal.trials.iter().map(Tried::from).collect();
        let Some(best) = found.journal.best() else {
            let why = trials.first().and_then(|trial| trial.failure.clone());
            return Err(Error::AllFailed { n: trials.len(), why: why.unwrap_or_default() });
        };
        Ok(Self {
            model: about.model.into(),
            method: about.method,
            seed: about.seed,
            metric: about.metric,
            validation_users: about.validation_users,
            planned: found.planned,
            cut: found.cut,
            resource: about.resource.name(),
            toml: toml(&best.settings),
            best: best.into(),
            trials,
        })
    }

    /// Draws every trial and the best so far, in the order in which a search with one trial at a time would come to them.
    /// What got more of a fit counts before what got less.
    pub fn to_svg(&self) -> Result<String, Error> {
        let valued = || {
            let valued = (1..).zip(&self.trials).filter_map(|(at, t)| Some((at, t, t.value?)));
            valued.map(|(at, tried, value)| (f64::from(at), tried.share, value))
        };
        let mut best: Option<(f64, f64)> = None;
        let so_far = valued().map(|(at, share, value)| {
            let (most, highest) = *best.get_or_insert((share, value));
            let is_better = share > most || (share >= most && value > highest);
            best = if is_better { Some((share, value)) } else { best };
            (at, if is_better { value } else { highest })
        });
        let so_far = Series { name: "best so far".into(), points: so_far.collect(), is_line: true };
        let mut shares: Vec<f64> = self.trials.iter().map(|tried| tried.share).collect();
        shares.dedup();
        let series = shares.into_iter().map(|share| {
            let points = valued().filter(|(_, other, _)| other.total_cmp(&share).is_eq());
            let points = points.map(|(at, _, value)| (at, value)).collect();
            let name =
                if share < 1.0 { format!("1/{:.0}", 1.0 / share) } else { "whole fit".into() };
            Series { name, points, is_line: false }
        });
        let chart = Chart {
            across: "trial".into(),
            up: format!("{} on validation", self.metric),
            series: std::iter::once(so_far).chain(series).collect(),
        };
        Ok(eval::to_svg(&format!("trials of a search over settings of {}", self.model), &[chart])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_drawn_by_how_much_of_a_fit_they_got() {
        let tried = |share, value| Tried {
            trial: 0,
            share,
            settings: Assignment::new(),
            value,
            failure: None,
            seconds: 1.0,
        };
        let third = 1.0 / 3.0;
        let searched = Searched {
            model: "ials".into(),
            method: "halving",
            seed: 1,
            metric: "ndcg@10",
            validation_users: 9,
            planned: 3,
            cut: false,
            resource: "iterations",
            trials: vec![
                tried(third, Some(0.2)),
                tried(third, None),
                tried(third, Some(0.4)),
                tried(1.0, Some(0.3)),
            ],
            best: tried(1.0, Some(0.3)),
            toml: String::new(),
        };
        let svg = searched.to_svg().unwrap();
        for name in ["best so far", "1/3", "whole fit"] {
            assert!(svg.contains(&format!("{name}\n")), "{name}: {svg}");
        }
        // Rings, each a disc of paper and a circle: two of a third, one of a whole fit.
        assert_eq!((svg.matches("<circle").count(), svg.matches("<polyline").count()), (6, 1));
    }
}
