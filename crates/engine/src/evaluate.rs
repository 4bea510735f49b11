//! Many models on one split, side by side: fit, rank, measure, compare.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::seq::SliceRandom;
use serde_json::{Value, json};
use tastemaker_core::{
    Clock, Features, Histories, HistoriesBuilder, History, Labels, Progress, Recommender, Tokens,
    Vectors, seed,
};
use tastemaker_data::{Dataset, Held, Split, SplitKind, split};
use tastemaker_eval::{self as eval, ColdRow, ColdTable, Mix, MixRange, ModelRow, Report, Run};
use tastemaker_pipeline::{Forest, Reorder};

use crate::artifact::{Recorder, Training};
use crate::chat::Writer;
use crate::config::Loaded;
use crate::lists::{PipelineFile, check_shown, shown};
use crate::memory;
use crate::predictions::{Task, features, labels};
use crate::registry::{FUSED, Kind, Model, plain};
use crate::workbench::{Job, Workbench};
use crate::{Error, FusedModel};

/// What to evaluate, and with what at hand.
#[derive(Clone, Copy)]
pub struct Evaluation<'a> {
    /// The data.
    pub data: &'a Dataset,
    /// Settings and which of them bind.
    pub loaded: &'a Loaded,
    /// Names of models, `fused` among them if wanted.
    pub models: &'a [String],
    /// Pipelines over the fused model, each with a name that no model has.
    pub pipelines: &'a [(String, PipelineFile)],
    /// Goes on without a model that cannot be fitted on this data, and says so, instead of failing.
    pub skip_unfit: bool,
    /// Text vectors of the catalogue and the encoder's name.
    pub vectors: Option<(&'a Arc<Vectors>, &'a str)>,
    /// Tokens of the catalogue's texts, where a model reads them.
    pub tokens: Option<&'a Tokens>,
    /// Lets the tested models learn from validation events too.
    pub refit: bool,
    /// Measures the fused model without each of its parts, too.
    pub ablate: bool,
    /// A language model, for pipelines that ask one.
    pub writer: Option<&'a Writer>,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Is told of progress.
    pub progress: &'a dyn Progress,
}

/// What came out.
pub struct Evaluated {
    /// Tables, intervals and tests.
    pub report: Report,
    /// Every model's per-user values and lists, in the order asked for.
    pub runs: Vec<(String, Run)>,
    /// The split that was used.
    pub split: Split,
}

/// What lists are measured on.
#[derive(Clone, Copy)]
pub(crate) struct Measured<'a> {
    /// The cases.
    pub(crate) held: &'a Held,
    /// What the models learnt from.
    pub(crate) train: &'a Histories,
    /// Labels of items.
    pub(crate) labels: Option<&'a Labels>,
    /// Items that compete, if not all.
    pub(crate) allowed: Option<&'a [bool]>,
}

/// A fitted model that is evaluated.
pub(crate) enum Candidate {
    Single(Arc<Model>),
    Fused(Box<FusedModel>),
}

impl Candidate {
    pub(crate) fn recommender(&self) -> &dyn Recommender {
        match self {
            Self::Single(model) => model,
            Self::Fused(model) => model.as_ref(),
        }
    }
}

/// Checks names of models and leaves out repetitions; all unknown ones are reported.
pub fn check_models(names: &[String]) -> Result<Vec<String>, Error> {
    let mut checked: Vec<String> = Vec::new();
    for name in names {
        if name != FUSED && Kind::named(name).is_none() {
            return Err(Error::unknown_model(name));
        }
        if !checked.contains(name) {
            checked.push(name.clone());
        }
    }
    Ok(checked)
}

impl Evaluation<'_> {
    /// Runs it.
    pub fn run(&self) -> Result<Evaluated, Error> {
        let names = check_models(self.models)?;
        let config = &self.loaded.config;
        let mut parts = split(&self.data.histories, self.data.n_items(), &config.split)?;
        draw(&mut parts.test, config.eval.users, config.eval.seed);
        let features = self.features(&names);
        let recorder = Recorder::new(self.progress);
        let job = Job { progress: &recorder, ..self.job(&parts, features.as_ref(), None) };
        let mut bench = Workbench::new(job);
        let mut report = Report {
            title: format!("{}: {}", self.data.manifest.name, self.loaded.config.split.kind),
            data: self.data_facts(),
            protocol: self.protocol(&parts),
            cold: parts.warm.as_ref().map(|_| ColdTable {
                items: parts.cold_items.iter().filter(|&&cold| cold).count(),
                share: self.loaded.config.split.share,
                cases: parts.test.len(),
                ..ColdTable::default()
            }),
            ..Report::default()
        };
        report.notes.extend(repeats(&parts.test));
        let labels = labels(self.data, self.loaded.config.rerank.labels.as_deref())?;
        let labels = labels.as_ref();
        let known = (self.vectors.is_some(), labels.is_some());
        check_shown(known, &self.loaded.config.rerank)?;
        self.check_pipelines(labels)?;
        let mut runs = Vec::new();
        let mut fused: Option<Box<FusedModel>> = None;
        for name in &names {
            memory::reset_peak();
            let (candidate, mut row, notes) = match self.fit(&mut bench, name) {
                Err(error @ Error::Fit { .. }) if self.skip_unfit => {
                    report.notes.push(format!("{name} is left out: {error}"));
                    continue;
                }
                fitted => fitted?,
            };
            report.notes.extend(notes);
            let start = self.clock.seconds();
            let train = bench.final_histories();
            let measured = Measured { held: &parts.test, train, labels, allowed: None };
            let run = self.measure(&candidate, measured)?;
            row.score_seconds = self.clock.seconds() - start;
            row.peak_memory_bytes = memory::peak_bytes();
            let of_run = ModelRow::new(name, &run);
            row.metrics.extend(of_run.metrics);
            (row.by_history, row.by_popularity) = (of_run.by_history, of_run.by_popularity);
            if let (Some(cold), Some(warm)) = (&mut report.cold, &parts.warm) {
                let allowed = Some(&parts.cold_items[..]);
                let among = self.measure(&candidate, Measured { allowed, ..measured })?;
                let warm = self.measure(&candidate, Measured { held: warm, ..measured })?;
                cold.rows.push(ColdRow {
                    name: name.clone(),
                    cold: run.summary().clone(),
                    cold_among_cold: among.summary().clone(),
                    warm: warm.summary().clone(),
                });
            }
            report.models.push(row);
            runs.push((name.clone(), run));
            if let Candidate::Fused(model) = candidate {
                report.mixes.push(mix(&model));
                if self.ablate {
                    self.without_each(&model, (&mut report, &mut runs), &mut bench, &measured)?;
                }
                fused = Some(model);
            }
        }
        self.add_pipelines(&mut report, &mut runs, (&mut bench, fused), (&parts, labels))?;
        report.courses = recorder.trainings().iter().map(Training::course).collect();
        report.tests = self.tests(&runs)?;
        Ok(Evaluated { report, runs, split: parts })
    }

    /// Measures the fused model without each of its parts in turn, with weights learnt anew.
    fn without_each(
        &self,
        fused: &FusedModel,
        (report, runs): (&mut Report, &mut Vec<(String, Run)>),
        bench: &mut Workbench<'_>,
        measured: &Measured<'_>,
    ) -> Result<(), Error> {
        let names: Vec<String> = fused.parts().iter().map(|part| part.name.clone()).collect();
        for left_out in names.iter().filter(|_| names.len() > 1) {
            let rest: Vec<String> =
                names.iter().filter(|name| *name != left_out).cloned().collect();
            let ready = bench.fuse_of(&rest)?;
            let start = self.clock.seconds();
            let run = self.measure(&Candidate::Fused(Box::new(ready.model)), *measured)?;
            let name = format!("{FUSED} without {left_out}");
            let mut row = ModelRow::new(&name, &run);
            row.score_seconds = self.clock.seconds() - start;
            (row.fit_seconds, row.search_seconds) = (ready.fit_seconds, ready.search_seconds);
            row.settings = json!({ "weights": plain(&ready.learned) });
            report.models.push(row);
            runs.push((name, run));
        }
        Ok(())
    }

    /// Measures pipelines, over the fused model at hand or one that is fitted for them.
    fn add_pipelines(
        &self,
        report: &mut Report,
        runs: &mut Vec<(String, Run)>,
        (bench, fused): (&mut Workbench<'_>, Option<Box<FusedModel>>),
        (parts, labels): (&Split, Option<&Labels>),
    ) -> Result<(), Error> {
        if self.pipelines.is_empty() {
            return Ok(());
        }
        let fused = match fused {
            Some(fused) => fused,
            None => Box::new(bench.fuse()?.model),
        };
        let train = bench.final_histories();
        let measured = Measured { held: &parts.test, train, labels, allowed: None };
        for pipeline in self.pipelines {
            let (row, run, stages) = self.piped(&fused, pipeline, measured)?;
            report.models.push(row);
            report.stages.extend(stages);
            runs.push((pipeline.0.clone(), run));
        }
        Ok(())
    }

    /// Reads the columns of users and items where a model of `names` wants them.
    pub(crate) fn features(&self, names: &[String]) -> Option<Features> {
        let parts = &self.loaded.config.fusion.parts;
        let parts = if names.iter().any(|name| name == FUSED) { &parts[..] } else { &[] };
        let mut kinds = names.iter().chain(parts).filter_map(|name| Kind::named(name));
        kinds.any(Kind::reads_columns).then(|| features(self.data))
    }

    pub(crate) fn job<'a>(
        &'a self,
        split: &'a Split,
        features: Option<&'a Features>,
        task: Option<Task>,
    ) -> Job<'a> {
        Job {
            loaded: self.loaded,
            split,
            n_items: self.data.n_items(),
            vectors: self.vectors.map(|(vectors, _)| vectors),
            tokens: self.tokens,
            features,
            task,
            refit: self.refit,
            clock: self.clock,
            progress: self.progress,
            checkpoints: None,
        }
    }

    pub(crate) fn fit(
        &self,
        bench: &mut Workbench<'_>,
        name: &str,
    ) -> Result<(Candidate, ModelRow, Vec<String>), Error> {
        let mut row = ModelRow { name: name.to_owned(), ..ModelRow::default() };
        let Some(kind) = Kind::named(name) else {
            let fused = bench.fuse()?;
            row.fit_seconds = fused.fit_seconds;
            row.search_seconds = fused.search_seconds;
            let settings = plain(&self.loaded.config.fusion);
            row.settings = json!({ "fusion": settings, "weights": plain(&fused.learned) });
            let why = |(part, why): (String, String)| format!("{FUSED} goes without {part}: {why}");
            let notes = fused.left_out.into_iter().map(why).collect();
            return Ok((Candidate::Fused(Box::new(fused.model)), row, notes));
        };
        let chosen = bench.choose(kind)?;
        (row.settings, row.search_seconds) = (chosen.settings.clone(), chosen.seconds);
        if let Some(keys) = row.settings.as_object_mut()
            && chosen.tried > 1
        {
            keys.insert(
                "searched".into(),
                json!(format!("best of {} on validation", chosen.tried)),
            );
        }
        let ready = bench.fit(kind)?;
        row.fit_seconds = ready.seconds;
        let model = ready.model.clone();
        if let Some(rate) = model.as_rate() {
            row.metrics.extend(self.rating_metrics(rate, bench)?);
        }
        Ok((Candidate::Single(model), row, Vec::new()))
    }

    fn rating_metrics(
        &self,
        rate: &dyn tastemaker_core::Rate,
        bench: &Workbench<'_>,
    ) -> Result<BTreeMap<String, eval::Stat>, Error> {
        let test = bench.test();
        let ratings = eval::ratings(rate, &cases(test), &self.loaded.config.eval)?;
        Ok(BTreeMap::from([("rmse".to_owned(), ratings.rmse), ("mae".to_owned(), ratings.mae)]))
    }

    fn measure(&self, candidate: &Candidate, measured: Measured<'_>) -> Result<Run, Error> {
        let known = (self.vectors.map(|(vectors, _)| vectors), measured.labels);
        let shown = shown(candidate.recommender(), known, &self.loaded.config.rerank)?;
        self.ranked(shown.as_ref(), measured)
    }

    /// Ranks all cases.
    pub(crate) fn ranked(
        &self,
        lists: &dyn Recommender,
        measured: Measured<'_>,
    ) -> Result<Run, Error> {
        let Measured { held, train, labels, allowed } = measured;
        let vectors = self.vectors.map(|(vectors, _)| vectors.as_ref());
        let context =
            eval::Context { n_items: self.data.n_items(), train, vectors, labels, allowed };
        let settings = &self.loaded.config.eval;
        Ok(eval::run(lists, &cases(held), &context, settings, self.progress)?)
    }

    /// Tests every model against the best single one.
    fn tests(&self, runs: &[(String, Run)]) -> Result<Vec<eval::Comparison>, Error> {
        let k = self.loaded.config.eval.cutoffs.first().copied().unwrap_or(10);
        let metric = format!("ndcg@{k}");
        let mut best: Option<(f64, &str)> = None;
        for (name, run) in runs.iter().filter(|(name, _)| Kind::named(name).is_some()) {
            let mean = run.mean(&metric)?;
            if best.is_none_or(|(value, _)| mean > value) {
                best = Some((mean, name));
            }
        }
        let Some((_, best)) = best.filter(|_| runs.len() > 1) else { return Ok(Vec::new()) };
        let runs: Vec<(&str, &Run)> = runs.iter().map(|(name, run)| (name.as_str(), run)).collect();
        let mut tests = eval::compare(&runs, &metric, Some(best))?;
        let is_piped = |name: &str| name == FUSED || Kind::named(name).is_none();
        let piped: Vec<(&str, &Run)> =
            runs.iter().copied().filter(|(name, _)| is_piped(name)).collect();
        if piped.len() > 1 && piped.iter().any(|(name, _)| *name == FUSED) {
            tests.extend(eval::compare(&piped, &metric, Some(FUSED))?);
        }
        Ok(tests)
    }

    pub(crate) fn data_facts(&self) -> Value {
        let manifest = &self.data.manifest;
        let counts = &manifest.counts;
        let events = manifest.files.get("events.parquet").map(|file| file.sha256.clone());
        json!({
            "name": manifest.name,
            "users": counts.users,
            "items": counts.items,
            "events": counts.events,
            "events_sha256": events,
            "text_encoder": self.vectors.map(|(_, name)| name),
        })
    }

    fn protocol(&self, parts: &Split) -> Value {
        let config = &self.loaded.config;
        let kind = config.split.kind;
        let share = (kind != SplitKind::LeaveOneOut).then_some(config.split.share);
        let mut facts = json!({
            "split": kind,
            "candidates": config.eval.candidates.to_string(),
            "seen": "excluded",
            "ties": "half",
            "fit": if self.refit { "refit: all events before the test" } else { "train-only: without validation events" },
            "settings": if config.search.enabled { "searched on validation events where not given" } else { "as given" },
            "cutoffs": config.eval.cutoffs,
            "test_users": parts.test.len(),
            "validation_users": parts.valid.len(),
            "intervals": format!("95 %, {} bootstrap samples over users", config.eval.bootstrap),
            "seed": config.run.seed,
            "split_seed": config.split.seed,
        });
        if let (Some(share), Some(facts)) = (share, facts.as_object_mut()) {
            facts.insert("share".into(), json!(share));
        }
        facts
    }
}

/// Says what a fused model has learnt about its parts.
fn mix(fused: &FusedModel) -> Mix {
    let mut from = 0;
    let ranges = fused.gate().buckets().iter().map(|bucket| {
        let label = bucket.up_to.map_or(format!("{from}+"), |end| format!("{from}-{end}"));
        from = bucket.up_to.map_or(0, |end| end + 1);
        MixRange { label, weights: bucket.weights.iter().copied().map(f64::from).collect() }
    });
    let ranges = ranges.collect();
    let trees = fused.reorder().map(Reorder::forest).filter(|forest| forest.n_trees() > 0);
    let share = |(name, share): (&str, f32)| (name.to_owned(), f64::from(share));
    let importance = trees.map(|forest| forest.importance().into_iter().map(share).collect());
    Mix {
        model: FUSED.into(),
        parts: fused.parts().iter().map(|part| part.name.clone()).collect(),
        ranges,
        trees: trees.map_or(0, Forest::n_trees),
        features: importance.unwrap_or_default(),
    }
}

/// Keeps so many cases, drawn; 0 keeps all.
fn draw(held: &mut Held, users: usize, root: u64) {
    if users == 0 || users >= held.len() {
        return;
    }
    let mut rows: Vec<usize> = (0..held.len()).collect();
    rows.shuffle(&mut seed::stream(root, "evaluate/users"));
    rows.truncate(users);
    rows.sort_unstable();
    let kept = |histories: &Histories| {
        let mut builder = HistoriesBuilder::default();
        for row in &rows {
            let History { items, values, times } = histories.row(*row);
            for ((item, value), time) in items.iter().zip(values).zip(times) {
                builder.push(*item, *value, *time);
            }
            builder.end_user();
        }
        builder.build()
    };
    (held.histories, held.targets) = (kept(&held.histories), kept(&held.targets));
    held.users = rows.iter().map(|row| held.users[*row]).collect();
}

/// Says how many cases cannot be won because all their targets are in the history, if there are any.
fn repeats(test: &Held) -> Option<String> {
    let is_repeat = |row: &usize| {
        let seen = test.histories.row(*row).items;
        test.targets.row(*row).items.iter().all(|target| seen.contains(target))
    };
    let lost = (0..test.len()).filter(is_repeat).count();
    let all = test.len();
    (lost > 0).then(|| {
        format!(
            "{lost} of {all} test users are asked only for items they had taken before, which count as missed: \
             import with --duplicates first to leave repeats out"
        )
    })
}

/// Shows held-back events to `eval`, which knows nothing of `data`.
pub(crate) fn cases(held: &Held) -> eval::Cases<'_> {
    eval::Cases { users: &held.users, histories: &held.histories, targets: &held.targets }
}
