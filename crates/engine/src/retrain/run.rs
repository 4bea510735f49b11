//! The way from a serving model to the next one.

use std::path::{Path, PathBuf};

use serde_json::json;
use tastemaker_core::{Clock, Progress};
use tastemaker_data::{Dataset, Sources, Staging, TimeUnit, import};

use super::judge::{Case, cases, held_from, scores};
use super::merge::{Files, Line, Writer, merge};
use super::report::{Judged, Report, Rule};
use crate::artifact::{self, FORMAT, Manifest, write_whole};
use crate::config::Loaded;
use crate::lists::Newcomer;
use crate::{Engine, Error, Places, Trained, train};

/// A retraining to be run.
pub struct Retraining<'a> {
    /// The folder of the serving model; it is read alone.
    pub serving: &'a Path,
    /// The folder with what was heard since.
    pub changes: &'a Path,
    /// Where the new model goes.
    pub out: &'a Path,
    /// Settings; those of the serving model are laid over.
    pub loaded: &'a Loaded,
    /// Decides whether it should be promoted.
    pub rule: Rule,
    /// Where things lie.
    pub places: &'a Places,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Is told of progress.
    pub progress: &'a dyn Progress,
}

/// Returns where the report on the model in `out` lies.
pub fn report_path(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".report.json");
    out.with_file_name(name)
}

impl Retraining<'_> {
    /// Merges, judges, trains on everything, and writes the model and its report. Promoting is left to whoever serves.
    pub fn run(&self) -> Result<Report, Error> {
        drop(Staging::open(self.out, FORMAT)?);
        let began = self.clock.seconds();
        let (serving, manifest) = artifact::open(self.serving, self.places)?;
        let mut loaded = self.loaded.as_trained(&manifest);
        loaded.config.run.seed = manifest.seed;
        loaded.config.pipeline = manifest.pipeline.clone();
        let parent = self.out.parent().filter(|parent| *parent != Path::new(""));
        let parent = parent.unwrap_or(Path::new("."));
        let work = tempfile::Builder::new().prefix(".retrain-").tempdir_in(parent);
        let work = work.map_err(Error::io(parent.to_owned()))?;
        let files = merge(serving.data(), self.changes, work.path())?;
        let whole = work.path().join("data");
        import(&files.sources, &files.options, &whole, self.progress)?;
        let data = Dataset::open(&whole)?;
        let mut notes = kinds(serving.data(), &data);
        if serving.data().manifest.time == TimeUnit::Order && files.merged.new > 0 {
            notes.push("old events have an order and no dates, new ones have dates".into());
        }
        let judged = self.judge((serving, &manifest), &data, (&files, work.path()), &loaded)?;
        let facts = json!({
            "name": data.manifest.name,
            "users": data.manifest.counts.users,
            "items": data.manifest.counts.items,
            "events": data.manifest.counts.events,
            "dropped": data.manifest.dropped,
            "events_sha256": data.manifest.files.get("events.parquet").map(|file| &file.sha256),
        });
        let trained = self.train(data, &loaded, &manifest)?;
        let created = self.clock.unix_seconds();
        let saved = artifact::save(&trained, &whole, self.out, created)?;
        notes.extend(trained.notes);
        let (promote, why) = self.rule.decide(judged.as_ref());
        let report = Report {
            serving: self.serving.display().to_string(),
            model: saved.model,
            parts: json!(saved.parts),
            seed: saved.seed,
            data: facts,
            merged: files.merged,
            judged,
            rule: self.rule,
            promote,
            why,
            notes,
            created,
            seconds: self.clock.seconds() - began,
        };
        let text = serde_json::to_string_pretty(&report).expect("a report is plain data");
        write_whole(&report_path(self.out), text)?;
        Ok(report)
    }

    fn train(&self, data: Dataset, loaded: &Loaded, manifest: &Manifest) -> Result<Trained, Error> {
        let trained = train(data, loaded, &manifest.model, self.places, self.progress)?;
        let engine = trained.engine.with_wording(manifest.wording.clone());
        Ok(Trained { engine, ..trained })
    }

    /// Asks the serving model and one that learnt from everything before a moment for the events after it.
    fn judge(
        &self,
        (serving, manifest): (Engine, &Manifest),
        data: &Dataset,
        (files, work): (&Files, &Path),
        loaded: &Loaded,
    ) -> Result<Option<Judged>, Error> {
        let seen = serving.data().histories.events().times.iter().copied().max();
        let from = held_from(&data.histories, seen.unwrap_or(i64::MIN), self.rule.holdout);
        let Some(from) = from else { return Ok(None) };
        let cases: Vec<Case> = cases(data, from, manifest.seed);
        if cases.len() < self.rule.min_users.max(1) {
            return Ok(None);
        }
        let sources = Sources { interactions: work.join("before.jsonl"), ..files.sources.clone() };
        before(data, from, &sources.interactions)?;
        let part = work.join("part");
        import(&sources, &files.options, &part, self.progress)?;
        let candidate = self.train(Dataset::open(&part)?, loaded, manifest)?.engine;
        let new = scores(&candidate, &cases)?;
        drop(candidate);
        let old = scores(&with_newcomers(serving, data), &cases)?;
        let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
        let count =
            |is: fn(f64, f64) -> bool| new.iter().zip(&old).filter(|(a, b)| is(**a, **b)).count();
        let events = data.histories.events().times.iter().filter(|time| **time >= from).count();
        Ok(Some(Judged {
            users: cases.len(),
            from,
            events,
            serving: mean(&old),
            candidate: mean(&new),
            better: count(|a, b| a > b),
            worse: count(|a, b| a < b),
        }))
    }
}

/// Writes all events before a moment.
fn before(data: &Dataset, from: i64, path: &Path) -> Result<(), Error> {
    let mut out = Writer::new(path)?;
    for (user, history) in (0u32..).zip(data.histories.iter()) {
        let events = history.items.iter().zip(history.values).zip(history.times);
        for ((item, value), time) in events.filter(|(_, time)| **time < from) {
            out.put(&Line {
                user_id: data.users.ids().name(user),
                item_id: data.items.ids().name(item.0),
                rating: *value,
                timestamp: *time,
            })?;
        }
    }
    out.end()
}

/// Lets a serving model take in the items that are new, as it does while it serves.
fn with_newcomers(engine: Engine, data: &Dataset) -> Engine {
    if engine.can_grow().is_err() {
        return engine;
    }
    let columns = engine.data().items.columns();
    let mut newcomers: Vec<Newcomer> = Vec::new();
    for (row, id) in data.items.ids().iter().enumerate() {
        if engine.item(id).is_err() {
            let field = |name: &String| Some((name.clone(), data.items.field(row, name)?));
            let fields: Vec<_> = columns.iter().filter_map(|column| field(&column.name)).collect();
            newcomers.push((id.to_owned(), fields));
        }
    }
    newcomers.retain(|(_, fields)| !fields.is_empty());
    match engine.grown(&newcomers) {
        Ok(grown) => grown,
        Err(error) => {
            tracing::warn!("the serving model is judged without new items: {error}");
            engine
        }
    }
}

/// Says which columns have become another kind, for conditions and models that read them may not any more.
fn kinds(old: &Dataset, new: &Dataset) -> Vec<String> {
    let mut notes = Vec::new();
    for (old, new) in [(&old.items, &new.items), (&old.users, &new.users)] {
        for column in old.columns() {
            let (was, name) = (column.values.kind(), &column.name);
            let is = new.column(name).map_or("gone", |column| column.values.kind());
            if was != is {
                notes.push(format!("the column `{name}` was {was} and is {is}"));
            }
        }
    }
    notes
}
