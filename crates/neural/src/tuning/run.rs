//! The way from an encoder and histories to a tuned encoder.

use std::collections::BTreeMap;

use serde_json::json;
use tastemaker_core::{Epoch, FitError, Judge, TrainData, seed};
use tastemaker_text::{BertHead, BertTokens, DenseLayer, Lora, TunableBert};
use tastemaker_train::{Learner as _, Plan, run};

use super::learner::{Finished, Tuner};
use super::settings::TuneSettings;
use super::tasks::{Augment, TaskData, choose};
use crate::rankers::fingerprint;

/// Name in messages and checkpoints.
pub(super) const NAME: &str = "tune";

/// What is tuned: the encoder, its weights, and the tokens of every item's text.
#[derive(Clone, Copy, Debug)]
pub struct Encoder<'a> {
    /// The encoder.
    pub bert: &'a TunableBert,
    /// All its weights.
    pub weights: &'a [f32],
    /// Row = item number; empty where an item has no text.
    pub texts: &'a [BertTokens],
}

/// What came of tuning.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuned {
    /// All weights of the encoder, those of the best epoch.
    pub weights: Vec<f32>,
    /// The layer behind the pooling, where one was trained.
    pub head: Option<DenseLayer>,
    /// What LoRA added to the weights.
    pub lora: Option<Lora>,
    /// The task's own parameters beside them, where it has some.
    pub task_head: Vec<f32>,
    /// What that is in a checkpoint of Hugging Face, where it is one.
    pub task_kind: Option<BertHead>,
    /// What else was said of the encoder before the first step, by name.
    pub facts_before: BTreeMap<&'static str, f64>,
    /// What else was said of the best epoch.
    pub facts_after: BTreeMap<&'static str, f64>,
    /// What the judge said before the first step.
    pub before: Option<f64>,
    /// What the judge said of the best epoch.
    pub after: Option<f64>,
    /// Parameters that were trained.
    pub n_trained: usize,
    /// Loss and validation of all epochs.
    pub epochs: Vec<Epoch>,
    /// Number of the epoch whose weights were kept, from 1.
    pub best: usize,
}

/// Tunes an encoder until validation is no longer better. Settings must be without faults.
pub fn tune(
    encoder: Encoder<'_>,
    settings: &TuneSettings,
    (data, extra): (&TrainData<'_>, &TaskData<'_>),
) -> Result<Tuned, FitError> {
    if settings.task.reads_events() && settings.labels.is_none() {
        data.require_events()?;
    }
    let Encoder { bert, weights, texts } = encoder;
    if texts.len() != data.n_items {
        return Err(FitError::WrongVectors { rows: texts.len(), n_items: data.n_items });
    }
    let augment = Augment::new(&settings.augment, (bert, weights), texts);
    let task = choose((bert, texts), (settings, &augment), (data, extra))?;
    let mut tuner = Tuner::new((bert, weights, texts), (task, augment), settings, data);
    if !tuner.has_its_head() {
        let why = "the vectors of its texts cannot be whitened: set `tune.head = \"none\"`".into();
        return Err(FitError::Unsuited { model: NAME, why });
    }
    let bits = weights.iter().map(|x| u64::from(x.to_bits()));
    let tokens = texts.iter().flat_map(|text| text.ids().iter().copied().chain([u32::MAX]));
    let fingerprint = json!({
        "format": 4,
        "settings": settings,
        "seed": data.seed,
        "items": data.n_items,
        "data": fingerprint(data),
        "weights": seed::mix(bits),
        "texts": seed::mix(tokens.map(u64::from)),
        "judge": data.judge.map(Judge::identity),
        "held": extra.held.map(|(known, targets)| [known.n_events(), targets.n_events()]),
        "labels": seed::mix(extra.labels.iter().map(|label| label.map_or(u64::MAX, u64::from))),
        "head": seed::mix(extra.head.iter().flatten().flatten().map(|x| u64::from(x.to_bits()))),
    });
    let plan = Plan {
        name: NAME,
        epochs: settings.all_epochs(),
        patience: settings.patience,
        progress: data.progress,
        checkpoints: data.checkpoints,
        fingerprint: &fingerprint,
    };
    let (before, facts_before) = (tuner.validate(), tuner.facts().into_iter().collect());
    tracing::info!(validation = before, "before tuning");
    let diverged = |why| FitError::Diverged { model: NAME, why };
    let outcome = run(&mut tuner, &plan).map_err(|failed| diverged(failed.to_string()))?;
    let (epochs, best) = (&outcome.curve.epochs, outcome.curve.best());
    if outcome.cancelled {
        return Err(FitError::Cancelled { model: NAME, epochs: epochs.len() });
    }
    let n_trained = tuner.n_trained();
    let after = best.checked_sub(1).and_then(|at| epochs[at].validation);
    let facts_after = tuner.facts().into_iter().collect();
    let Finished { weights, layer: head, lora, own } = tuner.finish();
    let of_head = head.iter().flat_map(|head| head.weight.iter().chain(&head.bias));
    if weights.iter().chain(of_head).chain(&own).any(|x| !x.is_finite()) {
        return Err(diverged("its numbers ran away: lower `tune.learning_rate`".into()));
    }
    Ok(Tuned {
        weights,
        head,
        lora,
        task_head: own,
        task_kind: settings.task_kind(extra.n_labels),
        facts_before,
        facts_after,
        before,
        after,
        n_trained,
        epochs: outcome.curve.epochs,
        best,
    })
}
