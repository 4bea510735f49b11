//! The way from settings to a fitted model.

use serde_json::json;
use tastemaker_core::{FitError, Judge, TrainData, seed};
use tastemaker_train::{Plan, run};

use super::learner::GraphLearner;
use super::model::{LightGcn, RECENCY};
use super::settings::LightGcnSettings;

/// Name in messages and checkpoints.
pub(super) const NAME: &str = "lightgcn";
/// What `recency` may be where it is left to validation events.
const RECENCIES: [f32; 8] = [RECENCY, 0.0, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0];

/// Trains by epochs until validation is no longer better, then finds how fast a history ages.
pub(super) fn fit(settings: &LightGcnSettings, data: &TrainData<'_>) -> Result<LightGcn, FitError> {
    data.require_events()?;
    let mut learner = GraphLearner::new(data, settings)?;
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
    let mut recency = settings.recency.unwrap_or(RECENCY);
    if let Some(judge) = data.judge.filter(|_| settings.recency.is_none()) {
        let mut best = f64::NEG_INFINITY;
        for other in RECENCIES {
            model.settle_recency(other);
            let found = judge.judge(&model);
            if found > best {
                (best, recency) = (found, other);
            }
        }
    }
    model.settle_recency(recency);
    Ok(model)
}

/// Stands for everything that is learnt from, and for the order in which validation reads it.
fn fingerprint(data: &TrainData<'_>) -> u64 {
    let ends = data.histories.offsets().iter().map(|&end| end as u64);
    let items = data.histories.events().items.iter().map(|item| u64::from(item.0));
    seed::mix(ends.chain(items))
}
