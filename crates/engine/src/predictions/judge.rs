//! Judges of models on validation events: by their lists, or by what they predict.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tastemaker_core::{Judge, Outcome, Recommender, seed};
use tastemaker_data::Split;
use tastemaker_eval as eval;
use tastemaker_neural::Objective;

use crate::Error;
use crate::evaluate::cases;
use crate::registry::Kind;

/// What models are to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Held-out events from items drawn beside them.
    Click,
    /// Held-out events rated at least `eval.positive_at` from those rated lower.
    Like,
    /// The ratings of held-out events.
    Rating,
}

impl Task {
    /// All tasks.
    pub const ALL: [Self; 3] = [Self::Click, Self::Like, Self::Rating];

    /// Returns the name used on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Click => "click",
            Self::Like => "like",
            Self::Rating => "rating",
        }
    }

    /// Refuses data that has nothing to say about the task: ratings that are all alike.
    pub(crate) fn check(self, histories: &tastemaker_core::Histories) -> Result<(), Error> {
        let mut ratings = histories.events().values.iter().filter(|rating| rating.is_finite());
        let first = ratings.next();
        let differ = ratings.any(|rating| first.is_some_and(|first| (rating - first).abs() > 0.0));
        let has_all = differ || self == Self::Click;
        if has_all { Ok(()) } else { Err(Error::NoRatings { task: self.name() }) }
    }

    /// Returns the settings that models learn this task with.
    pub(crate) fn settings(self, settings: &eval::Settings) -> Vec<(&'static str, Value)> {
        let mut keys = vec![("objective", json!(self.name()))];
        if self != Self::Click {
            keys.push(("positive_at", json!(settings.positive_at)));
        }
        keys
    }

    /// Returns what settings are chosen by; more is better.
    pub(crate) const fn metric(self) -> &'static str {
        match self {
            Self::Click | Self::Like => "auc",
            Self::Rating => "-rmse",
        }
    }

    /// Returns what a model with these settings is judged by: one whose scores are no ratings, by whether it tells likes apart.
    pub(crate) fn judged(self, kind: Kind, settings: &Value) -> Self {
        let learns_ratings = kind.rates()
            || matches!(objective(kind, settings), Some(Objective::Rating | Objective::Levels));
        if self == Self::Rating && !learns_ratings { Self::Like } else { self }
    }

    /// Makes examples of held-out events.
    pub(crate) fn examples(
        self,
        held: &tastemaker_data::Held,
        all: &tastemaker_core::Histories,
        n_items: usize,
        settings: &eval::Settings,
    ) -> Result<eval::Examples, Error> {
        let cases = cases(held);
        let (negatives, seed) = (settings.negatives, settings.seed);
        Ok(match self {
            Self::Click => eval::Examples::with_negatives(&cases, all, n_items, (negatives, seed))?,
            Self::Like | Self::Rating => eval::Examples::rated(&cases, n_items)?,
        })
    }

    /// Says of each label whether it is a yes.
    pub(crate) fn positives(self, labels: &[f32], settings: &eval::Settings) -> Vec<bool> {
        let at_least = if self == Self::Click { 1.0 } else { settings.positive_at };
        labels.iter().map(|label| *label >= at_least).collect()
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Task {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|task| task.name() == name);
        found.ok_or_else(|| Error::UnknownTask { name: name.into() })
    }
}

/// Returns what a model that can learn several things learns with these settings.
pub(super) fn objective(kind: Kind, settings: &Value) -> Option<Objective> {
    let key = settings.get("objective").filter(|_| kind.predicts())?;
    serde_json::from_value(key.clone()).ok()
}

/// Judges by NDCG@10, or for a task by AUC or, where ratings are predicted, by minus the RMSE; see [`Task::judged`].
pub(crate) struct OnValidation<'a> {
    split: &'a Split,
    n_items: usize,
    rows: Vec<usize>,
    settings: &'a eval::Settings,
    task: Option<(Task, eval::Examples)>,
}

impl<'a> OnValidation<'a> {
    /// Judges on the validation cases `rows`, which rise.
    pub(crate) fn new(
        split: &'a Split,
        n_items: usize,
        rows: Vec<usize>,
        (task, settings): (Option<Task>, &'a eval::Settings),
    ) -> Result<Self, Error> {
        let mut judge = Self { split, n_items, rows, settings, task: None };
        if let Some(task) = task.filter(|_| !judge.is_empty()) {
            let examples = task.examples(&split.valid, &split.refit, n_items, settings)?;
            judge.task = Some((task, examples.only(&judge.rows)));
        }
        Ok(judge)
    }

    /// Tells whether there is nothing to judge on.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Judge for OnValidation<'_> {
    fn judge(&self, model: &dyn Recommender) -> f64 {
        let cases = cases(&self.split.valid);
        let Some((task, examples)) = &self.task else {
            return eval::quick_ndcg(model, &cases, self.n_items, 10, &self.rows);
        };
        let scores = examples.scores(&cases, model);
        if *task == Task::Rating {
            let errors = scores.iter().zip(&examples.labels).map(|(s, y)| f64::from(s - y).powi(2));
            return -(errors.sum::<f64>() / scores.len().max(1) as f64).sqrt();
        }
        if scores.iter().any(|score| score.is_nan()) {
            return f64::NAN;
        }
        // With labels of one kind alone no model is better than another.
        eval::auc(&scores, &task.positives(&examples.labels, self.settings)).unwrap_or(0.5)
    }

    fn calibrate(&self, model: &dyn Recommender, outcome: Outcome) -> Option<[f32; 2]> {
        let (task, settings) = match outcome {
            Outcome::Taken { negatives } => {
                (Task::Click, eval::Settings { negatives, ..self.settings.clone() })
            }
            Outcome::Rated { at_least } => {
                (Task::Like, eval::Settings { positive_at: at_least, ..self.settings.clone() })
            }
        };
        let split = self.split;
        let examples = task.examples(&split.valid, &split.refit, self.n_items, &settings).ok()?;
        let examples = examples.only(&self.rows);
        let scores = examples.scores(&cases(&split.valid), model);
        let found = eval::platt(&scores, &task.positives(&examples.labels, &settings))?;
        Some(found.map(|x| x as f32))
    }

    fn identity(&self) -> u64 {
        let targets = split_targets(self.split);
        let task = self.task.as_ref().map_or(0, |(task, _)| 1 + *task as u64);
        let examples = self.task.iter().flat_map(|(_, examples)| &examples.items);
        let drawn = examples.map(|item| u64::from(item.0));
        let rows = self.rows.iter().map(|&row| row as u64);
        let bound = u64::from(self.settings.positive_at.to_bits());
        seed::mix(rows.chain(targets).chain([task, bound]).chain(drawn))
    }
}

fn split_targets(split: &Split) -> impl Iterator<Item = u64> {
    split.valid.targets.events().items.iter().map(|item| u64::from(item.0))
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{Histories, HistoriesBuilder, ItemId, Request, UserId};
    use tastemaker_data::Held;

    use super::*;

    #[test]
    fn only_models_that_predict_ratings_are_judged_by_their_error() {
        let judged = |name, objective: &str| {
            let kind = Kind::named(name).unwrap();
            Task::Rating.judged(kind, &json!({ "objective": objective }))
        };
        for (name, objective) in [("mf", ""), ("linear", "rating"), ("dcn", "levels")] {
            assert_eq!(judged(name, objective), Task::Rating, "{name} {objective}");
        }
        for (name, objective) in [("ials", "rating"), ("fm", "click"), ("dnn", "like")] {
            assert_eq!(judged(name, objective), Task::Like, "{name} {objective}");
        }
        assert_eq!(Task::Click.judged(Kind::Ials, &json!({})), Task::Click);
    }

    /// Scores items by their number, times something.
    struct ByNumber(f32);

    impl Recommender for ByNumber {
        fn n_items(&self) -> usize {
            3
        }

        fn score(&self, _: &Request<'_>, scores: &mut [f32]) {
            (0u8..).zip(scores).for_each(|(item, score)| *score = self.0 * f32::from(item));
        }
    }

    fn rows(events: &[(u32, f32)]) -> Histories {
        let mut builder = HistoriesBuilder::default();
        events.iter().for_each(|&(item, value)| builder.push(ItemId(item), value, 0));
        builder.end_user();
        builder.build()
    }

    #[test]
    fn ratings_that_are_all_alike_are_refused_with_what_to_do() {
        for alike in [rows(&[]), rows(&[(0, 1.0), (1, 1.0)]), rows(&[(0, f32::NAN), (1, 1.0)])] {
            for task in [Task::Like, Task::Rating] {
                let words = task.check(&alike).unwrap_err().to_string();
                assert!(words.contains(task.name()) && words.contains("--task click"), "{words}");
            }
            Task::Click.check(&alike).unwrap();
        }
        Task::Rating.check(&rows(&[(0, 1.0), (1, 2.0)])).unwrap();
    }

    #[test]
    fn the_size_of_scores_that_are_no_ratings_does_not_count() {
        let valid = Held {
            users: vec![UserId(0)],
            histories: rows(&[(0, 3.0)]),
            targets: rows(&[(1, 1.0), (2, 5.0)]),
        };
        let split = Split {
            train: rows(&[(0, 3.0)]),
            valid,
            refit: rows(&[(0, 3.0), (1, 1.0), (2, 5.0)]),
            test: Held::default(),
            warm: None,
            cold_items: Vec::new(),
        };
        let settings = eval::Settings::default();
        let value = |kind, scale| {
            let task = Task::Rating.judged(kind, &json!({}));
            let judge = OnValidation::new(&split, 3, vec![0], (Some(task), &settings)).unwrap();
            judge.judge(&ByNumber(scale))
        };
        // Scores 1 and 2 of ratings 1 and 5.
        assert!((value(Kind::Mf, 1.0) + 4.5f64.sqrt()).abs() < 1e-6);
        for (scale, auc) in [(1.0, 1.0), (0.01, 1.0), (-1.0, 0.0)] {
            assert!((value(Kind::Ials, scale) - auc).abs() < 1e-9, "{scale}");
        }
    }
}
