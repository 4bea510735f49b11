//! Models that were trained: what they are made of, and how their trainings went, where the file of curves lies beside them.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tastemaker_engine::artifact::{self, Training};

use crate::Error;
use crate::call::{Answer, Call};

/// Longest file of curves that is read.
const MAX_BYTES: u64 = 8 << 20;
/// Models that are listed.
const MAX_RUNS: usize = 100;

/// Models, the newest first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RunsAnswer {
    runs: Vec<Run>,
}

/// One model.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Run {
    /// The name of its folder.
    name: String,
    /// `serving`, `previous`, `available`.
    roles: Vec<&'static str>,
    /// Unix seconds when it was made.
    created: i64,
    /// The kind of model.
    model: String,
    parts: Vec<String>,
    encoder: Option<String>,
    seed: u64,
    /// Bytes of all its files.
    bytes: u64,
    /// Loss and validation of every epoch, for each training; empty where nothing learnt by epochs.
    trainings: Vec<Value>,
    /// Why its folder cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

/// `GET /v1/models/runs`.
pub(super) async fn show(call: Call) -> Result<Answer, Error> {
    let slot = &call.tenant.slot;
    let loaded = [("serving", slot.now()), ("previous", slot.before())];
    let mut all: Vec<(PathBuf, Vec<&'static str>)> = Vec::new();
    let folders = call.app.model_dirs(&call.tenant.name).into_iter().map(|dir| (dir, "available"));
    let loaded = loaded.into_iter().filter_map(|(role, model)| Some((model?.dir.clone(), role)));
    for (dir, role) in loaded.chain(folders) {
        match all.iter_mut().find(|(known, _)| *known == dir) {
            Some((_, roles)) => roles.push(role),
            None => all.push((dir, vec![role])),
        }
    }
    let work = move || {
        let runs = all.into_iter().take(MAX_RUNS).map(|(dir, roles)| run(&dir, roles));
        let mut runs: Vec<Run> = runs.collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.created));
        Ok(RunsAnswer { runs })
    };
    Answer::json(&call.app.workers.run(work).await?)
}

fn run(dir: &Path, roles: Vec<&'static str>) -> Run {
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let empty = Run {
        name,
        roles,
        created: 0,
        model: String::new(),
        parts: Vec::new(),
        encoder: None,
        seed: 0,
        bytes: 0,
        trainings: Vec::new(),
        fault: None,
    };
    match artifact::manifest(dir) {
        Ok(manifest) => Run {
            created: manifest.created,
            parts: manifest.parts.into_iter().map(|part| part.name).collect(),
            encoder: manifest.encoder.map(|encoder| encoder.name()),
            seed: manifest.seed,
            bytes: manifest.files.values().map(|file| file.bytes).sum(),
            trainings: trainings(dir).unwrap_or_default(),
            model: manifest.model,
            ..empty
        },
        // Its path is nobody's business who only reads.
        Err(_) => Run { fault: Some("its folder is no model, or is damaged".into()), ..empty },
    }
}

fn trainings(dir: &Path) -> Option<Vec<Value>> {
    let mut name = dir.file_name()?.to_owned();
    name.push(".curves.json");
    let mut text = String::new();
    File::open(dir.with_file_name(name)).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    let trainings: Vec<Training> = serde_json::from_str(&text).ok()?;
    trainings.iter().map(|training| serde_json::to_value(training).ok()).collect()
}
