//! The report as plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Bucket, Comparison, Error, Run, Stat};

/// All that an evaluation found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Heading.
    pub title: String,
    /// What was measured on: name, counts, checksums.
    pub data: Value,
    /// How it was measured: split, candidates, seen, cutoffs, seed.
    pub protocol: Value,
    /// One row per model.
    pub models: Vec<ModelRow>,
    /// Each model against the best single one.
    pub tests: Vec<Comparison>,
    /// Items that were withheld from training.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cold: Option<ColdTable>,
    /// How models that learn by epochs went about it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub courses: Vec<Course>,
    /// What models that add others up have learnt about them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub mixes: Vec<Mix>,
    /// How long each stage of each pipeline takes.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub stages: Vec<StageRow>,
    /// Sentences to stand below the tables.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

/// One model's numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelRow {
    /// Its name.
    pub name: String,
    /// The settings it was fitted with, searched ones included.
    pub settings: Value,
    /// Mean and 95 % interval of each metric, by canonical name.
    pub metrics: BTreeMap<String, Stat>,
    /// Seconds of the final fit.
    pub fit_seconds: f64,
    /// Seconds spent on finding the settings.
    pub search_seconds: f64,
    /// Seconds of scoring and ranking all cases.
    pub score_seconds: f64,
    /// Most memory the process held so far.
    pub peak_memory_bytes: u64,
    /// Quality by length of the user's history.
    pub by_history: Vec<Bucket>,
    /// Quality by training events of the target.
    pub by_popularity: Vec<Bucket>,
}

impl ModelRow {
    /// Starts a row from a run; times, memory and settings are the caller's to add.
    pub fn new(name: &str, run: &Run) -> Self {
        Self {
            name: name.to_owned(),
            metrics: run.summary().clone(),
            by_history: run.by_history().to_vec(),
            by_popularity: run.by_popularity().to_vec(),
            ..Self::default()
        }
    }
}

/// How long one stage of a pipeline takes, for one request on one thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageRow {
    /// The pipeline.
    pub pipeline: String,
    /// The stage, or `whole`.
    pub stage: String,
    /// Milliseconds that half of the requests stay below.
    pub median_ms: f64,
    /// Milliseconds that 99 of 100 requests stay below.
    pub p99_ms: f64,
    /// Requests whose time was taken.
    pub requests: usize,
}

/// The course of one training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// The model.
    pub model: String,
    /// Mean loss of a sample, by epoch.
    pub loss: Vec<f64>,
    /// Validation by epoch, where there was a judge.
    pub validation: Vec<Option<f64>>,
}

/// What a model that adds others up has learnt about them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mix {
    /// The model.
    pub model: String,
    /// Names of its parts.
    pub parts: Vec<String>,
    /// Weights by length of the history, from short ones to long ones.
    pub ranges: Vec<MixRange>,
    /// Trees that order the first items anew.
    pub trees: usize,
    /// Share of each feature in what the trees have learnt, the greatest first.
    pub features: Vec<(String, f64)>,
}

/// The weights for some histories.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MixRange {
    /// Which lengths: `0-4`, `100+`.
    pub label: String,
    /// One weight a part.
    pub weights: Vec<f64>,
}

/// How models treat items that were withheld from training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColdTable {
    /// Items withheld.
    pub items: usize,
    /// Share of the catalogue that they are.
    pub share: f64,
    /// Users whose targets are cold.
    pub cases: usize,
    /// One row per model.
    pub rows: Vec<ColdRow>,
    /// Each model against a reference on cold targets.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tests: Vec<Comparison>,
}

/// One model on cold and warm items; a table that was not measured is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColdRow {
    /// The model.
    pub name: String,
    /// Cold targets ranked among all items.
    pub cold: BTreeMap<String, Stat>,
    /// Cold targets ranked among cold items alone.
    pub cold_among_cold: BTreeMap<String, Stat>,
    /// Warm targets ranked among all items.
    pub warm: BTreeMap<String, Stat>,
}

impl Report {
    /// Returns the metric that leads tables and plots: NDCG at the smallest cutoff that was measured.
    pub(crate) fn lead(&self) -> Option<String> {
        let cutoffs = self.cutoffs();
        cutoffs.first().map(|k| format!("ndcg@{k}"))
    }

    /// Returns the cutoffs at which NDCG was measured, rising.
    pub(crate) fn cutoffs(&self) -> Vec<usize> {
        let names = self.models.iter().flat_map(|row| row.metrics.keys());
        let mut cutoffs: Vec<usize> =
            names.filter_map(|name| name.strip_prefix("ndcg@")?.parse().ok()).collect();
        cutoffs.sort_unstable();
        cutoffs.dedup();
        cutoffs
    }

    /// Returns a warning when candidates were sampled, since such numbers must not meet others.
    pub(crate) fn warning(&self) -> Option<String> {
        let candidates = self.protocol.get("candidates").map(short)?;
        (candidates != "full").then(|| {
            format!(
                "Candidates were {candidates}: these numbers are far above, and not comparable with, full ranking."
            )
        })
    }

    /// Returns the facts of a JSON object as pairs of words.
    pub(crate) fn facts(value: &Value) -> Vec<(String, String)> {
        match value {
            Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), short(v))).collect(),
            Value::Null => Vec::new(),
            other => vec![(String::new(), short(other))],
        }
    }
}

/// Writes a JSON value for people: text without quotes, lists with commas, numbers with thousands apart.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(short).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            let parts = map.iter().map(|(k, v)| format!("{k} {}", short(v)));
            parts.collect::<Vec<_>>().join(", ")
        }
        Value::Number(number) => match number.as_u64() {
            Some(n) if n >= 10_000 => thousands(n),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (j, digit) in digits.chars().enumerate() {
        if j > 0 && (digits.len() - j).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns the report as one JSON object, as `tastemaker evaluate --format json` prints it.
pub fn to_json(report: &Report) -> Result<String, Error> {
    Ok(serde_json::to_string_pretty(report)?)
}
