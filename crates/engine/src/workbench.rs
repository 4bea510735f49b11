//! Where models are made: settings searched on validation events, models fitted once and shared, parts fused.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::seq::SliceRandom;
use serde_json::Value;
use tastemaker_core::{
    Checkpoints, Clock, Features, FitError, Histories, Judge, Progress, Shape, Tokens, TrainData,
    Vectors, seed,
};
use tastemaker_data::Split;
use tastemaker_pipeline::{
    Cases, Cold, Forest, Fused, FusionSettings, Gate, Grown, ItemFacts, Learned, Method, Normalise,
    Part, Reorder, learn, reorder,
};

use crate::config::Loaded;
use crate::predictions::{OnValidation, Task};
use crate::registry::{Kind, Model};
use crate::{Error, FusedModel};

/// Settings of a model and how they were found.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The settings.
    pub settings: Value,
    /// How many were tried on validation; 1 = nothing to search.
    pub tried: usize,
    /// Seconds of the search.
    pub seconds: f64,
    /// The model with these settings, fitted on the training part, where the search left one.
    on_train: Option<Arc<Model>>,
}

/// A model fitted for use.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The model.
    pub model: Arc<Model>,
    /// Seconds of the fit.
    pub seconds: f64,
}

/// The fused model, fitted for use.
pub struct FusedReady {
    /// The model.
    pub model: FusedModel,
    /// The weights and what they rest on.
    pub learned: Learned,
    /// Seconds of all parts' fits.
    pub fit_seconds: f64,
    /// Seconds of all parts' searches and of the search for weights.
    pub search_seconds: f64,
    /// Parts that were left out, with the reason.
    pub left_out: Vec<(String, String)>,
}

/// What a workbench works on.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Settings and which of them bind.
    pub loaded: &'a Loaded,
    /// Events to learn from and to choose on.
    pub split: &'a Split,
    /// Size of the catalogue.
    pub n_items: usize,
    /// Text vectors of the catalogue.
    pub vectors: Option<&'a Arc<Vectors>>,
    /// Tokens of the catalogue's texts, where a model reads them.
    pub tokens: Option<&'a Tokens>,
    /// Columns of users and items.
    pub features: Option<&'a Features>,
    /// What is to be predicted, instead of lists to be made.
    pub task: Option<Task>,
    /// Fits the final models on everything before the test, validation events included.
    pub refit: bool,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Is told of progress.
    pub progress: &'a dyn Progress,
    /// Keeps the state of long fits.
    pub checkpoints: Option<&'a dyn Checkpoints>,
}

/// Fits models for one split of one data set; nothing is fitted twice.
pub struct Workbench<'a> {
    job: Job<'a>,
    chosen: BTreeMap<Kind, Chosen>,
    ready: BTreeMap<Kind, Ready>,
}

impl<'a> Workbench<'a> {
    /// Prepares to fit.
    pub fn new(job: Job<'a>) -> Self {
        Self { job, chosen: BTreeMap::new(), ready: BTreeMap::new() }
    }

    fn train_data(&self, histories: &'a Histories) -> TrainData<'a> {
        let Job { n_items, vectors, tokens, features, progress, loaded, checkpoints, .. } =
            self.job;
        TrainData {
            vectors: vectors.map(AsRef::as_ref),
            tokens,
            features,
            seed: loaded.config.run.seed,
            progress,
            checkpoints,
            ..TrainData::new(histories, n_items)
        }
    }

    /// Returns the events the final models learn from.
    pub fn final_histories(&self) -> &'a Histories {
        if self.job.refit { &self.job.split.refit } else { &self.job.split.train }
    }

    /// Returns the cases of the test.
    pub fn test(&self) -> &'a tastemaker_data::Held {
        &self.job.split.test
    }

    /// Finds the settings of a model: as given by hand, the rest on validation events.
    pub fn choose(&mut self, kind: Kind) -> Result<&Chosen, Error> {
        if !self.chosen.contains_key(&kind) {
            let chosen = self.search(kind)?;
            self.chosen.insert(kind, chosen);
        }
        Ok(&self.chosen[&kind])
    }

    /// Fits a model for use.
    pub fn fit(&mut self, kind: Kind) -> Result<&Ready, Error> {
        if !self.ready.contains_key(&kind) {
            let refit = self.job.refit;
            let chosen = self.choose(kind)?;
            let settings = chosen.settings.clone();
            // Without a refit, what was stopped on validation events is what is used: the weights of its best epoch.
            if let Some(model) = chosen.on_train.clone().filter(|_| kind.settles() && !refit) {
                let seconds = chosen.seconds;
                return Ok(self.ready.entry(kind).or_insert(Ready { model, seconds }));
            }
            let start = self.job.clock.seconds();
            let model =
                Arc::new(Model::fit(kind, &settings, &self.train_data(self.final_histories()))?);
            let seconds = self.job.clock.seconds() - start;
            self.ready.insert(kind, Ready { model, seconds });
        }
        Ok(&self.ready[&kind])
    }

    fn search(&self, kind: Kind) -> Result<Chosen, Error> {
        let start = self.job.clock.seconds();
        let candidates = self.candidates(kind)?;
        let Job { split, n_items, task, loaded, .. } = self.job;
        let task = match (task, candidates.first()) {
            (Some(task), Some(settings)) => Some(task.judged(kind, settings)),
            (task, _) => task,
        };
        let judge = OnValidation::new(
            split,
            n_items,
            search_rows(loaded, split),
            (task, &loaded.config.eval),
        )?;
        let settles = kind.settles() && loaded.config.search.enabled;
        if judge.is_empty() || (candidates.len() == 1 && !settles) {
            let settings = candidates.into_iter().next().unwrap_or_default();
            return Ok(Chosen { settings, tried: 1, seconds: 0.0, on_train: None });
        }
        let data = TrainData { judge: Some(&judge), ..self.train_data(&self.job.split.train) };
        let mut best: Option<(f64, Value, Model)> = None;
        let tried = candidates.len();
        for (done, settings) in candidates.into_iter().enumerate() {
            if self.job.progress.is_cancelled() {
                let source = FitError::Cancelled { model: kind.name(), epochs: 0 };
                return Err(Error::Fit { model: kind.name(), source });
            }
            self.job.progress.report(
                &format!("searching settings of {}", kind.name()),
                done,
                tried,
            );
            let model = Model::fit(kind, &settings, &data)?;
            let value = judge.judge(&model);
            let settings = model.settled(&settings)?;
            tracing::debug!(model = kind.name(), %settings, value, "tried");
            if best.as_ref().is_none_or(|(so_far, ..)| value > *so_far) {
                best = Some((value, settings, model));
            }
        }
        self.job.progress.report(&format!("searching settings of {}", kind.name()), tried, tried);
        let (_, settings, model) = best.expect("at least one setting was tried");
        let seconds = self.job.clock.seconds() - start;
        Ok(Chosen { settings, tried, seconds, on_train: Some(Arc::new(model)) })
    }

    /// Lists the settings to try: the model's grid, with every key that was given by hand put in its place.
    fn candidates(&self, kind: Kind) -> Result<Vec<Value>, Error> {
        let Job { loaded, split, n_items, .. } = self.job;
        let given = loaded.given.model(kind.name());
        let mut settings = loaded.config.models.of(kind);
        if let (Some(task), Some(keys)) = (self.job.task, settings.as_object_mut()) {
            // A model that can learn several things learns what is asked for, unless it was told otherwise.
            let wanted = task.settings(&loaded.config.eval).into_iter();
            let open = wanted.filter(|(key, _)| kind.predicts() && !given.contains_key(*key));
            keys.extend(open.map(|(key, value)| (key.to_owned(), value)));
        }
        if !loaded.config.search.enabled {
            return Ok(vec![settings]);
        }
        let histories = &split.train;
        let n_users = histories.iter().filter(|h| !h.is_empty()).count();
        let shape = Shape { n_users, n_items, n_events: histories.n_events() };
        let mut candidates: Vec<Value> = Vec::new();
        for mut settings in Model::grid(kind, &settings, &shape)? {
            if let Some(keys) = settings.as_object_mut() {
                keys.extend(given.iter().map(|(k, v)| (k.clone(), v.clone())));
            }
            if !candidates.contains(&settings) {
                candidates.push(settings);
            }
        }
        Ok(candidates)
    }

    /// Returns a model fitted on the training part alone.
    fn on_train(&mut self, kind: Kind) -> Result<Arc<Model>, Error> {
        let chosen = self.choose(kind)?;
        if let Some(model) = &chosen.on_train {
            return Ok(model.clone());
        }
        let settings = chosen.settings.clone();
        let model = Arc::new(Model::fit(kind, &settings, &self.train_data(&self.job.split.train))?);
        if let Some(chosen) = self.chosen.get_mut(&kind) {
            chosen.on_train = Some(model.clone());
        }
        Ok(model)
    }

    /// Fits all parts, finds their weights on validation events, fits the parts for use and puts them together.
    pub fn fuse(&mut self) -> Result<FusedReady, Error> {
        let loaded = self.job.loaded;
        self.fuse_of(&loaded.config.fusion.parts)
    }

    /// Does the same with these parts instead of those of the settings; what was fitted before is used again.
    pub fn fuse_of(&mut self, names: &[String]) -> Result<FusedReady, Error> {
        let Job { loaded, split, n_items, clock, progress, .. } = self.job;
        let settings = &loaded.config.fusion;
        let mut left_out = Vec::new();
        let mut kinds = Vec::new();
        let mut trained = Vec::new();
        for name in names {
            let kind = Kind::named(name).ok_or_else(|| Error::unknown_model(name))?;
            match self.on_train(kind) {
                Ok(model) => {
                    kinds.push(kind);
                    trained.push(part(model));
                }
                Err(error @ Error::Fit { source: FitError::Cancelled { .. }, .. }) => {
                    return Err(error);
                }
                Err(error @ Error::Fit { .. }) => left_out.push((name.clone(), error.to_string())),
                Err(error) => return Err(error),
            }
        }
        let start = clock.seconds();
        let trial = self.assemble(trained, &split.train, None)?;
        let vectors = self.job.vectors.cloned();
        let facts =
            |histories: &Histories| ItemFacts::new(histories.item_counts(n_items), vectors.clone());
        let cases = Cases {
            users: &split.valid.users,
            histories: &split.valid.histories,
            targets: &split.valid.targets,
        };
        let seed = loaded.config.run.seed;
        let mut learned = learn(&trial, &cases, settings, seed, progress);
        let mut forest = None;
        if settings.method == Method::Boosted {
            let trial = trial.with_weights(learned.normalise, learned.gate.clone());
            let trial = trial.ok_or(Error::NoParts)?;
            let known = facts(&split.train);
            let grown = reorder(&trial, &cases, (settings, &known), seed, progress);
            learned.trees = Some(Grown::from(&grown));
            forest = Some(grown);
        } else {
            drop(trial);
        }
        let mut search_seconds = clock.seconds() - start;
        let mut fit_seconds = 0.0;
        let mut parts = Vec::with_capacity(kinds.len());
        for kind in kinds {
            search_seconds += self.choose(kind)?.seconds;
            let ready = self.fit(kind)?;
            fit_seconds += ready.seconds;
            parts.push(part(ready.model.clone()));
        }
        let model = self.assemble(parts, self.final_histories(), Some(&learned))?;
        let model = match forest {
            Some(forest) => reordered(model, forest, facts(self.final_histories()), settings)?,
            None => model,
        };
        debug_assert_eq!(tastemaker_core::Recommender::n_items(&model), n_items);
        Ok(FusedReady { model, learned, fit_seconds, search_seconds, left_out })
    }

    /// Puts parts together, with the weights that were learnt or, to learn them, any.
    fn assemble(
        &self,
        parts: Vec<Part<Arc<Model>>>,
        histories: &Histories,
        learned: Option<&Learned>,
    ) -> Result<FusedModel, Error> {
        let n_items = self.job.n_items;
        let settings = &self.job.loaded.config.fusion;
        let (normalise, gate, cold) = match learned {
            Some(learned) => {
                let cold = cold(
                    self.job.vectors.map(AsRef::as_ref),
                    &histories.item_counts(n_items),
                    settings,
                );
                (learned.normalise, learned.gate.clone(), cold)
            }
            None => {
                let equal = vec![1.0 / parts.len().max(1) as f32; parts.len()];
                (Normalise::ZScore, Gate::same(equal), Cold::default())
            }
        };
        Fused::new(parts, n_items, normalise, gate, cold).ok_or(Error::NoParts)
    }
}

/// Chooses the validation users that settings are judged on.
pub(crate) fn search_rows(loaded: &Loaded, split: &Split) -> Vec<usize> {
    let config = &loaded.config;
    let mut rows: Vec<usize> = (0..split.valid.len()).collect();
    rows.shuffle(&mut seed::stream(config.run.seed, "search/users"));
    rows.truncate(config.search.users);
    rows.sort_unstable();
    rows
}

/// Lets trees order the heads of a fused model's lists.
pub(crate) fn reordered(
    model: FusedModel,
    forest: Forest,
    facts: ItemFacts,
    settings: &FusionSettings,
) -> Result<FusedModel, Error> {
    let reorder = Reorder::new(forest, &model.names(), facts, settings.boost.depth);
    let reorder = reorder.ok_or(Error::NoParts)?;
    Ok(model.with_reorder(Some(reorder)))
}

/// Finds from whom the items without events borrow; from nobody when there are no texts.
pub(crate) fn cold(vectors: Option<&Vectors>, counts: &[u32], settings: &FusionSettings) -> Cold {
    let warm: Vec<bool> = counts.iter().map(|&count| count > 0).collect();
    match vectors {
        Some(vectors) if settings.cold_neighbours > 0 => {
            Cold::new(vectors, &warm, settings.cold_neighbours, settings.cold_trust)
        }
        _ => Cold::default(),
    }
}

/// Names a fitted model as a part of the sum.
pub(crate) fn part(model: Arc<Model>) -> Part<Arc<Model>> {
    let kind = model.kind();
    // A sequence model that reads texts still borrows for cold items: it cannot take in items that come later.
    let ignores_order = [Kind::Ials, Kind::Ease, Kind::ItemKnn, Kind::Bpr].contains(&kind);
    Part { name: kind.name().into(), model, reads_text: kind == Kind::TextKnn, ignores_order }
}
