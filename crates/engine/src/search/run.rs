//! Puts a search together: split, space, bench, journal; and writes what it found.

use std::path::Path;

use serde_json::{Value, json};
use tastemaker_core::{Clock, Judge as _, Progress, Shape};
use tastemaker_data::{Dataset, Split, split};
use tastemaker_train::search::{Limits, Method, Plan, search};

use super::folder::Folder;
use super::result::{About, Searched};
use super::space::{self, Ground};
use super::trial::{Bench, Machine, Resource};
use crate::config::{Config, Loaded};
use crate::predictions::{OnValidation, Task, features};
use crate::registry::{FUSED, Kind};
use crate::texts::Reader;
use crate::workbench::search_rows;
use crate::{Error, Places};

/// The least share of a fit that is taken to tell anything.
const LEAST: f64 = 1.0 / 27.0;

/// What to search, and with what at hand.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// The data.
    pub data: &'a Dataset,
    /// Settings; those given by hand bind.
    pub loaded: &'a Loaded,
    /// The model.
    pub model: &'a str,
    /// What the model is to predict; left out: lists.
    pub task: Option<Task>,
    /// `KEY=VALUES`; empty: `search.space` of the settings, or what the model itself would try.
    pub space: &'a [String],
    /// Which settings are tried: `least` of a halving is found by the model.
    pub method: Method,
    /// Where it ends.
    pub limits: Limits,
    /// Trials at once; 0 = as many as cores and memory allow.
    pub jobs: usize,
    /// Folder of the journal and the result.
    pub out: &'a Path,
    /// Where downloads and vectors lie.
    pub places: &'a Places,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Is told of progress.
    pub progress: &'a dyn Progress,
}

impl Search<'_> {
    /// Runs it, or goes on with it where an interrupted run left off.
    pub fn run(&self) -> Result<Searched, Error> {
        let kind = self.kind()?;
        if let Some(task) = self.task {
            task.check(&self.data.histories)?;
        }
        let wanted = self.task.filter(|_| kind.predicts());
        let keys = wanted.map(|task| task.settings(&self.loaded.config.eval)).unwrap_or_default();
        let loaded = self.loaded.with_model(kind.name(), keys.into_iter());
        Search { loaded: &loaded, ..*self }.of(kind)
    }

    /// Searches settings of a model that was told its task.
    fn of(&self, kind: Kind) -> Result<Searched, Error> {
        let folder = Folder::open(self.out)?;
        let config = &self.loaded.config;
        let n_items = self.data.n_items();
        let parts = split(&self.data.histories, n_items, &config.split)?;
        let rows = search_rows(self.loaded, &parts);
        if rows.is_empty() {
            let hint = "no validation events are left to judge settings on: take data with longer histories".into();
            return Err(Error::NoCases { split: config.split.kind.to_string(), hint });
        }
        let validation_users = rows.len();
        let task = self.task.map(|task| task.judged(kind, &config.models.of(kind)));
        let judge = OnValidation::new(&parts, n_items, rows, (task, &config.eval))?;
        let n_users = parts.train.iter().filter(|h| !h.is_empty()).count();
        let shape = Shape { n_users, n_items, n_events: parts.train.n_events() };
        let ground = space::ground(kind, self.loaded, self.space, &shape)?;
        let method = self.method(kind);
        let plan = Plan {
            space: &ground.space,
            start: ground.start.as_ref(),
            method,
            limits: self.limits,
            seed: config.run.seed,
        };
        let reader = match plan.candidates().iter().any(|trial| self.reads_text(kind, trial)) {
            true => Reader::open(
                &self.data.items,
                &config.text,
                config.run.seed,
                self.places,
                self.progress,
            )?,
            false => None,
        };
        let encode = |reader: &Reader| reader.encode(self.data, self.progress);
        let encoded = reader.as_ref().map(encode).transpose()?;
        let names = [kind.name().to_owned()];
        let tokens = reader.as_ref().map(|reader| reader.tokens(self.data, config, &names));
        let tokens = tokens.transpose()?.flatten();
        let encoder = reader.as_ref().map(|reader| reader.choice.name());
        let facts = json!({
            "judge": format!("{:016x}", judge.identity()),
            "encoder": encoder,
            "template": reader.as_ref().map(|reader| &reader.template_text),
        });
        let features = kind.reads_columns().then(|| features(self.data));
        let bench = Bench {
            kind,
            loaded: self.loaded,
            train: &parts.train,
            n_items,
            vectors: encoded.as_ref().map(|encoded| encoded.vectors.as_ref()),
            tokens: tokens.as_ref(),
            features: features.as_ref(),
            judge: &judge,
            progress: self.progress,
            folder: &folder,
            wanted_jobs: self.jobs,
            machine: Machine::default(),
        };
        let _held = folder.hold()?;
        let journal = folder.journal(&self.identity(kind, &ground, &parts, facts))?;
        let found = search(&plan, journal, &bench, (self.clock, self.progress))
            .map_err(|why| Error::io(folder.journal_path())(std::io::Error::other(why)))?;
        if found.cancelled {
            let (done, path) = (found.journal.trials.len(), folder.journal_path());
            return Err(Error::SearchStopped { done, path });
        }
        let about = About {
            model: kind.name(),
            method: name(method),
            seed: config.run.seed,
            metric: task.map_or("ndcg@10", Task::metric),
            validation_users,
            resource: Resource::of(&config.models.of(kind)),
        };
        let toml = |best: &_| space::to_toml(self.loaded, best);
        let searched = Searched::new(&about, &found, toml)?;
        folder.put("best.toml", &searched.toml)?;
        folder.put("trials.svg", &searched.to_svg()?)?;
        Ok(searched)
    }

    fn kind(&self) -> Result<Kind, Error> {
        if self.model == FUSED {
            let instead = "search its parts; its weights are always found on validation events";
            return Err(Error::NothingToSearch { model: FUSED.into(), instead: instead.into() });
        }
        Kind::named(self.model).ok_or_else(|| Error::unknown_model(self.model))
    }

    /// Fills in the least share of a fit: no less than one round.
    fn method(&self, kind: Kind) -> Method {
        let Method::Halving { eta, .. } = self.method else { return self.method };
        let least = match Resource::of(&self.loaded.config.models.of(kind)) {
            Resource::Rounds(_, all) => LEAST.max(1.0 / all.max(1) as f64),
            Resource::Users => LEAST,
        };
        Method::Halving { eta, least }
    }

    fn reads_text(&self, kind: Kind, trial: &serde_json::Map<String, Value>) -> bool {
        let settings = space::settings(kind, self.loaded, trial);
        let tree = json!({ "models": { kind.name(): settings } });
        let config: Option<Config> = serde_json::from_value(tree).ok();
        config.is_some_and(|config| config.models.reads_text(kind))
    }

    /// Stands for all that a trial's value depends on.
    fn identity(&self, kind: Kind, ground: &Ground, parts: &Split, facts: Value) -> Value {
        let config = &self.loaded.config;
        let files = &self.data.manifest.files;
        let sums: Vec<String> =
            files.iter().map(|(name, file)| format!("{name} {}", file.sha256)).collect();
        // The rungs of a halving follow from how many begin.
        let begin = matches!(self.method, Method::Halving { .. }).then_some(self.limits.trials);
        json!({
            "format": 2,
            "model": kind.name(),
            "settings": config.models.of(kind),
            "space": ground.space.domains(),
            "start": ground.start,
            "method": self.method(kind),
            "begin": begin,
            "seed": config.run.seed,
            "split": config.split,
            "events": parts.train.n_events(),
            "data": sums,
            "facts": facts,
        })
    }
}

const fn name(method: Method) -> &'static str {
    match method {
        Method::Grid => "grid",
        Method::Random => "random",
        Method::Halving { .. } => "halving",
    }
}
