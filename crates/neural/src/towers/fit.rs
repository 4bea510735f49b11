//! The way from settings to fitted towers.

use serde_json::json;
use tastemaker_core::{FitError, Judge, TrainData};
use tastemaker_train::{Plan, run};

use super::learner::TowerLearner;
use super::model::TwoTower;
use super::settings::TwoTowerSettings;
use crate::rankers::fingerprint;

/// Name in messages and checkpoints.
pub(super) const NAME: &str = "two-tower";

/// Trains by epochs until validation is no longer better.
pub(super) fn fit(settings: &TwoTowerSettings, data: &TrainData<'_>) -> Result<TwoTower, FitError> {
    data.require_events()?;
    let mut learner = TowerLearner::new(data, settings)?;
    if learner.has_nothing_to_learn() {
        // Nothing is known of anybody before an event: popularity is all there is.
        return Ok(learner.blank());
    }
    let fingerprint = json!({
        "format": 1,
        "settings": settings,
        "seed": data.seed,
        "items": data.n_items,
        "data": fingerprint(data),
        "judge": data.judge.map(Judge::identity),
    });
    let plan = Plan {
        name: NAME,
        epochs: settings.epochs,
        patience: settings.patience,
        progress: data.progress,
        checkpoints: data.checkpoints,
        fingerprint: &fingerprint,
    };
    let diverged = |why| FitError::Diverged { model: NAME, why };
    let outcome = run(&mut learner, &plan).map_err(|failed| diverged(failed.to_string()))?;
    if outcome.cancelled {
        return Err(FitError::Cancelled { model: NAME, epochs: outcome.curve.epochs.len() });
    }
    let mut model = learner.model();
    if !model.is_finite() {
        return Err(diverged("its numbers ran away: lower `learning_rate`".into()));
    }
    model.settle_epochs(outcome.curve.best().max(1));
    Ok(model)
}
