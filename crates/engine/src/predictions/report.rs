//! Models side by side by what they predict: clicks, likes or ratings of held-out events.

use serde::Serialize;
use serde_json::{Value, json};
use tastemaker_core::{ItemId, Prediction, Request};
use tastemaker_data::{Held, SplitKind, split};
use tastemaker_eval::{self as eval, Examples};
use tastemaker_neural::Objective;

use super::judge::{Task, objective};
use crate::Error;
use crate::evaluate::{Candidate, Evaluation, cases, check_models};
use crate::registry::Kind;
use crate::workbench::Workbench;

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Predicted {
    /// Data and task.
    pub title: String,
    /// What the data is.
    pub data: Value,
    /// Split, labels, drawn items, seeds.
    pub protocol: Value,
    /// One row a model, in the order asked for.
    pub models: Vec<PredictedRow>,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// The measures of one model; what it does not predict is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PredictedRow {
    /// Its name.
    pub name: String,
    /// Probability that a positive is scored above a negative, over all examples.
    pub auc: Option<f64>,
    /// The same user by user, averaged over users with both.
    pub auc_per_user: Option<f64>,
    /// Mean of `-ln` of the probability given to what happened.
    pub log_loss: Option<f64>,
    /// Root of the mean squared error of predicted ratings.
    pub rmse: Option<f64>,
    /// Mean absolute error of predicted ratings.
    pub mae: Option<f64>,
    /// The settings it was fitted with.
    pub settings: Value,
    /// Seconds of the search for settings.
    pub search_seconds: f64,
    /// Seconds of the fit.
    pub fit_seconds: f64,
}

/// Held-out events as examples.
struct Test<'a> {
    held: &'a Held,
    examples: Examples,
    positives: Vec<bool>,
    task: Task,
    n_items: usize,
    negatives: usize,
}

/// Fits the models of an evaluation for a task and measures what they predict.
pub fn predictions(evaluation: &Evaluation<'_>, task: Task) -> Result<Predicted, Error> {
    let names = check_models(evaluation.models)?;
    let (data, config) = (evaluation.data, &evaluation.loaded.config);
    task.check(&data.histories)?;
    let n_items = data.n_items();
    let parts = split(&data.histories, n_items, &config.split)?;
    let examples = task.examples(&parts.test, &data.histories, n_items, &config.eval)?;
    let positives = task.positives(&examples.labels, &config.eval);
    let negatives = config.eval.negatives;
    let test = Test { held: &parts.test, examples, positives, task, n_items, negatives };
    let features = evaluation.features(&names);
    let mut bench = Workbench::new(evaluation.job(&parts, features.as_ref(), Some(task)));
    let mut report = Predicted {
        title: format!("{}: {task}, {}", data.manifest.name, config.split.kind),
        data: evaluation.data_facts(),
        protocol: protocol(evaluation, &test, parts.valid.len()),
        notes: test.notes(),
        ..Predicted::default()
    };
    for name in &names {
        let (candidate, row, notes) = match evaluation.fit(&mut bench, name) {
            Err(error @ Error::Fit { .. }) if evaluation.skip_unfit => {
                report.notes.push(format!("{name} is left out: {error}"));
                continue;
            }
            fitted => fitted?,
        };
        report.notes.extend(notes);
        let (search_seconds, fit_seconds) = (row.search_seconds, row.fit_seconds);
        let (name, settings) = (name.clone(), row.settings);
        let why_not = match &candidate {
            Candidate::Single(model) => {
                mismatch(task, model.kind(), &settings, config.eval.positive_at)
            }
            Candidate::Fused(_) => None,
        };
        let measured = test.measure(&candidate, why_not.is_none())?;
        report.notes.extend(why_not);
        report.models.push(PredictedRow {
            name,
            settings,
            search_seconds,
            fit_seconds,
            ..measured
        });
    }
    Ok(report)
}

/// Says why the probabilities that a model has learnt to give are not those of the task, if they are not.
fn mismatch(task: Task, kind: Kind, settings: &Value, positive_at: f32) -> Option<String> {
    let (learnt, name) = (objective(kind, settings)?, kind.name());
    if learnt == Objective::Rating {
        // It gives no probabilities.
        return None;
    }
    let is_click = learnt == Objective::Click;
    if is_click != (task == Task::Click) {
        let own = settings.get("objective").and_then(Value::as_str).unwrap_or_default();
        return Some(format!(
            "{name} has no log-loss: with `models.{name}.objective` \"{own}\" it has learnt other probabilities than those of \
             `--task {task}`; leave the setting out to let it learn the task"
        ));
    }
    let own = settings.get("positive_at").and_then(Value::as_f64).map(|own| own as f32)?;
    (!is_click && own.to_bits() != positive_at.to_bits()).then(|| {
        format!(
            "{name} has no log-loss: `models.{name}.positive_at` is {own}, but the labels are ratings of at least {positive_at} \
             (`--positive-at`); leave the setting out, or make them equal"
        )
    })
}

impl Test<'_> {
    /// Measures a model; its log-loss only if it `gives_odds` of what the labels say.
    fn measure(&self, candidate: &Candidate, gives_odds: bool) -> Result<PredictedRow, Error> {
        let (cases, examples) = (cases(self.held), &self.examples);
        let scores = examples.scores(&cases, candidate.recommender());
        if let Some(at) = scores.iter().position(|score| !score.is_finite()) {
            let case = examples.offsets.partition_point(|&offset| offset <= at) - 1;
            let (user, item) = (cases.users[case].0, examples.items[at].index());
            return Err(eval::Error::NotFinite { user, item, score: scores[at] }.into());
        }
        let mut row = PredictedRow {
            auc: eval::auc(&scores, &self.positives),
            auc_per_user: self.per_user(&scores),
            ..PredictedRow::default()
        };
        let Candidate::Single(model) = candidate else { return Ok(row) };
        let predicted: Vec<Prediction> = if let Some(predict) = model.as_predict() {
            examples.ask(&cases, |request, items| self.predictions(predict, request, items))
        } else if self.task != Task::Click && model.as_rate().is_some() {
            examples.ask(&cases, |request, items| {
                let rating = |item| model.as_rate().map(|rate| rate.rate(request.user, item));
                let one = |&item: &ItemId| Prediction { rating: rating(item), probability: None };
                items.iter().map(one).collect()
            })
        } else {
            return Ok(row);
        };
        let probabilities: Option<Vec<f64>> =
            predicted.iter().map(|p| p.probability.map(f64::from)).collect();
        let probabilities = probabilities.filter(|_| gives_odds);
        row.log_loss = probabilities.and_then(|p| eval::log_loss(&p, &self.positives));
        let errors: Option<Vec<f64>> = predicted
            .iter()
            .zip(&examples.labels)
            .map(|(p, label)| p.rating.map(|rating| f64::from(rating) - f64::from(*label)))
            .collect();
        if let Some(errors) = errors.filter(|errors| !errors.is_empty() && self.task != Task::Click)
        {
            let n = errors.len() as f64;
            row.rmse = Some((errors.iter().map(|e| e * e).sum::<f64>() / n).sqrt());
            row.mae = Some(errors.iter().map(|e| e.abs()).sum::<f64>() / n);
        }
        Ok(row)
    }

    /// Asks for predictions; probabilities among all items become those among the drawn ones.
    fn predictions(
        &self,
        model: &dyn tastemaker_core::Predict,
        request: &Request<'_>,
        items: &[ItemId],
    ) -> Vec<Prediction> {
        let mut predicted = model.predict(request, items);
        if self.task == Task::Click {
            let mut taken = request.history.items.to_vec();
            taken.sort_unstable();
            taken.dedup();
            let n_left = self.n_items.saturating_sub(taken.len()).max(1) as f64;
            for p in predicted.iter_mut().filter_map(|p| p.probability.as_mut()) {
                let odds = f64::from(*p) / (1.0 - f64::from(*p)).max(1e-12);
                let odds = odds * n_left / self.negatives as f64;
                *p = (odds / (1.0 + odds)) as f32;
            }
        }
        predicted
    }

    fn per_user(&self, scores: &[f32]) -> Option<f64> {
        let of = |w: &[usize]| eval::auc(&scores[w[0]..w[1]], &self.positives[w[0]..w[1]]);
        let all: Vec<f64> = self.examples.offsets.windows(2).filter_map(of).collect();
        (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
    }

    fn n_positives(&self) -> usize {
        self.positives.iter().filter(|positive| **positive).count()
    }

    fn notes(&self) -> Vec<String> {
        let (positives, all) = (self.n_positives(), self.positives.len());
        let one_kind = positives == 0 || positives == all;
        let note = match self.task {
            Task::Click => {
                "there is nothing to tell apart: every held-out event is a repeat, or nobody has an item left"
            }
            Task::Like | Task::Rating if all == 0 => {
                "there is nothing to measure: every held-out event is a repeat"
            }
            Task::Like | Task::Rating => {
                "all held-out ratings lie on one side of `eval.positive_at`: there is no AUC; set it with --positive-at, or predict clicks"
            }
        };
        one_kind.then(|| note.to_owned()).into_iter().collect()
    }
}

fn protocol(evaluation: &Evaluation<'_>, test: &Test<'_>, validation_users: usize) -> Value {
    let config = &evaluation.loaded.config;
    let kind = config.split.kind;
    let (positives, all) = (test.n_positives(), test.positives.len());
    let share = positives as f64 / all.max(1) as f64;
    let entropy = eval::log_loss(&vec![share; all], &test.positives);
    let (negatives, bound) = (config.eval.negatives, config.eval.positive_at);
    let label = match test.task {
        Task::Click => "1 for a held-out event, 0 for a drawn item".to_owned(),
        Task::Like | Task::Rating => {
            format!("1 for a held-out rating of at least {bound}, 0 for a lower one")
        }
    };
    let drawn = match test.task {
        Task::Click => format!(
            "{negatives} for each held-out event, uniformly among items the user never took, the same for every model"
        ),
        Task::Like | Task::Rating => "none".into(),
    };
    json!({
        "task": test.task,
        "split": kind,
        "share": (kind != SplitKind::LeaveOneOut).then_some(config.split.share),
        "label": label,
        "drawn": drawn,
        "positives": positives,
        "negatives": all - positives,
        "log_loss_of_base_rate": entropy,
        "test_users": test.held.len(),
        "validation_users": validation_users,
        "fit": if evaluation.refit { "refit: all events before the test" } else { "train-only: without validation events" },
        "calibration": "slope and shift on validation events (Platt), where a model gives probabilities",
        "seed": config.run.seed,
        "split_seed": config.split.seed,
        "drawn_seed": config.eval.seed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_something_else_are_not_measured_and_a_note_says_why() {
        let note = |task, objective: &str, own: f32| {
            let settings = json!({ "objective": objective, "positive_at": own });
            mismatch(task, Kind::LinearRanker, &settings, 3.7)
        };
        assert_eq!(note(Task::Click, "click", 4.0), None);
        assert_eq!(note(Task::Like, "like", 3.7), None);
        assert_eq!(note(Task::Rating, "levels", 3.7), None);
        assert_eq!(note(Task::Like, "rating", 4.0), None);
        for (task, objective) in [(Task::Like, "click"), (Task::Click, "like")] {
            let words = note(task, objective, 3.7).unwrap();
            assert!(words.contains("models.linear.objective"), "{words}");
        }
        for objective in ["like", "levels"] {
            let words = note(Task::Like, objective, 4.0).unwrap();
            assert!(words.contains("models.linear.positive_at` is 4,"), "{words}");
        }
        assert_eq!(mismatch(Task::Like, Kind::Mf, &json!({}), 4.0), None);
    }
}
