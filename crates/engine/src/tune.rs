//! Tuning of a text encoder on a data set's own behaviour: a Hugging Face folder in, another one out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;
use tastemaker_core::{Checkpoints, Clock, Epoch, Judge, Progress, TrainData};
use tastemaker_data::{Dataset, FileRecord, Staging, split};
use tastemaker_neural::{Encoder, TaskData, TuneTask, Tuned, prepare, tune};
use tastemaker_text::{BertSettings, HeadUse, TunableBert};

use crate::artifact::Folder;
use crate::config::Loaded;
use crate::predictions::{OnValidation, single_labels};
use crate::reading::{Reading, holds_words};
use crate::texts::{template, texts, weights};
use crate::workbench::search_rows;
use crate::{Error, Places};

/// Value of `format` in the manifest of a tuned encoder.
pub const TUNED_FORMAT: &str = "tastemaker-encoder";

/// What to tune, and with what at hand.
#[derive(Clone, Copy)]
pub struct Tuning<'a> {
    /// The data.
    pub data: &'a Dataset,
    /// Settings: `text.encoder` is what is tuned, `split` says which events are kept out.
    pub loaded: &'a Loaded,
    /// Folder for the tuned encoder.
    pub out: &'a Path,
    /// Where downloads lie, and the state of a run that can be gone on with.
    pub places: &'a Places,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Is told of progress.
    pub progress: &'a dyn Progress,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct TuneReport {
    /// Folder of the tuned encoder.
    pub out: PathBuf,
    /// Folder of the encoder it was made of.
    pub encoder: PathBuf,
    /// What it was tuned on, as in the settings.
    pub task: TuneTask,
    /// What `validation_…` is; what is better when lower stands with a minus.
    pub measure: String,
    /// What else was said of what was not learnt from, before the first step.
    pub facts_before: BTreeMap<&'static str, f64>,
    /// The same of the weights that were written.
    pub facts_after: BTreeMap<&'static str, f64>,
    /// For `sequence`: the logarithm of how much an item of the history counts, the newest first.
    pub fading: Vec<f32>,
    /// What was trained, as in the settings.
    pub what: serde_json::Value,
    /// Parameters that were trained.
    pub trained_parameters: usize,
    /// Parameters of the encoder.
    pub parameters: usize,
    /// The measure before the first step. NDCG@10 is by the newest items' texts, whitened where that is better.
    pub validation_before: Option<f64>,
    /// The same with the weights that were written, behind the head where there is one.
    pub validation_after: Option<f64>,
    /// Validation users this rests on.
    pub validation_users: usize,
    /// Number of the epoch whose weights were written, from 1.
    pub best_epoch: usize,
    /// Loss and validation of all epochs.
    pub epochs: Vec<Epoch>,
    /// Texts that were cut to `tune.max_tokens`.
    pub texts_cut: usize,
    /// Seconds of everything.
    pub seconds: f64,
}

impl Tuning<'_> {
    /// Tunes on the training part of the split, stops by its validation part, and writes the folder, all or nothing. A run
    /// that was ended goes on from its checkpoint.
    pub fn run(&self) -> Result<TuneReport, Error> {
        // Whether the folder can be written is found out before the work, not after it.
        let staging = Staging::open(self.out, TUNED_FORMAT)?;
        let checkpoints = self.places.checkpoints.clone().map(Folder::new);
        checkpoints.as_ref().map_or(Ok(()), Folder::check)?;
        let (config, n_items) = (&self.loaded.config, self.data.n_items());
        let folder = self.folder()?;
        let settings =
            BertSettings { max_tokens: Some(config.tune.max_tokens), ..BertSettings::default() };
        let (mut bert, mut before) = TunableBert::open(&folder, &settings)?;
        let Some((template, _)) = template(&self.data.items, &config.text)? else {
            return Err(self.untunable("the items have no text"));
        };
        let prefix = Reading::of(&config.text, &folder)?.prefix;
        let mut texts = texts(&self.data.items, &template);
        let plain = texts.clone();
        texts
            .iter_mut()
            .filter(|text| !text.is_empty())
            .for_each(|text| text.insert_str(0, &prefix));
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        let texts = bert.tokenise(&borrowed)?;
        prepare((&mut bert, &mut before), &texts, &config.tune, config.run.seed)?;
        let parts = split(&self.data.histories, n_items, &config.split)?;
        let rows = search_rows(self.loaded, &parts);
        let validation_users = rows.len();
        let judge = OnValidation::new(&parts, n_items, rows, (None, &config.eval))?;
        let train = TrainData {
            seed: config.run.seed,
            progress: self.progress,
            judge: (!judge.is_empty()).then_some(&judge as &dyn Judge),
            checkpoints: checkpoints.as_ref().map(|folder| folder as &dyn Checkpoints),
            ..TrainData::new(&parts.train, n_items)
        };
        let encoder = Encoder { bert: &bert, weights: &before, texts: &texts };
        let (labels, names) = match (&config.tune.labels, config.tune.task) {
            (Some(name), TuneTask::Classify) => single_labels(self.data, name)?,
            _ => (Vec::new(), Vec::new()),
        };
        let kind = config.tune.task_kind(names.len());
        let start = kind.map(|kind| bert.head_start(kind)).transpose()?.unwrap_or_default();
        let extra = TaskData {
            texts: &plain,
            held: Some((&parts.valid.histories, &parts.valid.targets)),
            labels: &labels,
            n_labels: names.len(),
            head: &start,
        };
        let tuned = tune(encoder, &config.tune, (&train, &extra))
            .map_err(|source| Error::Fit { model: "the encoder", source })?;
        let cut = texts.iter().filter(|text| text.is_cut()).count();
        let report = self.report(&tuned, folder, (before.len(), validation_users, cut));
        self.write(staging, &bert, (&tuned, &names), &report)?;
        if let Some(checkpoints) = checkpoints {
            checkpoints.clear();
        }
        Ok(report)
    }

    /// Says what came of it.
    fn report(
        &self,
        tuned: &Tuned,
        encoder: PathBuf,
        (parameters, validation_users, texts_cut): (usize, usize, usize),
    ) -> TuneReport {
        let settings = &self.loaded.config.tune;
        let is_sequence = settings.task == TuneTask::Sequence;
        TuneReport {
            out: self.out.to_owned(),
            encoder,
            task: settings.task,
            measure: settings.task.measure(settings.labels.is_some()).into(),
            facts_before: tuned.facts_before.clone(),
            facts_after: tuned.facts_after.clone(),
            fading: if is_sequence { tuned.task_head.clone() } else { Vec::new() },
            what: json!(settings.what),
            trained_parameters: tuned.n_trained,
            parameters,
            validation_before: tuned.before,
            validation_after: tuned.after,
            validation_users,
            best_epoch: tuned.best,
            epochs: tuned.epochs.clone(),
            texts_cut,
            seconds: self.clock.seconds(),
        }
    }

    /// Writes the files, and a manifest that says how they came about.
    fn write(
        &self,
        staging: Staging,
        bert: &TunableBert,
        (tuned, labels): (&Tuned, &[String]),
        report: &TuneReport,
    ) -> Result<(), Error> {
        let mut files: BTreeMap<String, FileRecord> = BTreeMap::new();
        let mut all = bert.files(&tuned.weights, tuned.head.as_ref())?;
        if let Some(kind) = tuned.task_kind {
            let meaning = match report.task {
                TuneTask::MaskedWords => HeadUse::Words,
                TuneTask::Rate => HeadUse::Number,
                _ if labels.is_empty() => HeadUse::Score,
                _ => HeadUse::Labels(labels),
            };
            all = bert.with_head(all, (kind, &tuned.task_head), meaning)?;
        }
        if let Some(lora) = &tuned.lora {
            all.extend(bert.lora_files(lora)?);
        }
        for (name, bytes) in all {
            let record = staging.put(&name, &bytes)?;
            files.insert(name, record);
        }
        let config = &self.loaded.config;
        let manifest = json!({
            "format": TUNED_FORMAT,
            "version": 1,
            "data": self.data.manifest.name,
            "seed": config.run.seed,
            "split": config.split,
            "made_for": config.tune.task,
            "settings": config.tune,
            "report": report,
            "files": files,
        });
        let words = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
        staging.put("manifest.json", &words)?;
        Ok(staging.commit()?)
    }

    /// Finds the folder of the encoder.
    fn folder(&self) -> Result<PathBuf, Error> {
        let name = &self.loaded.config.text.encoder;
        if name == "none" {
            return Err(self.untunable("it is none"));
        }
        let folder = weights(name, self.places, self.progress)?
            .ok_or_else(|| self.untunable("TF-IDF has no weights that learn"))?;
        if holds_words(&folder) {
            return Err(self.untunable("it is a table of word vectors"));
        }
        Ok(folder)
    }

    fn untunable(&self, why: &'static str) -> Error {
        Error::NotTunable { encoder: self.loaded.config.text.encoder.clone(), why }
    }
}
