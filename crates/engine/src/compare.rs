//! Two models or pipelines on the same users: what each reaches, and whether the difference is one.

use serde::Serialize;
use serde_json::{Value, json};
use tastemaker_eval::{self as eval, Comparison, Run};

use crate::Error;
use crate::artifact::Manifest;
use crate::config::Loaded;
use crate::registry::plain;
use crate::texts::EncoderChoice;

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// One.
    pub a: String,
    /// The other.
    pub b: String,
    /// Means of both and the difference, metric by metric.
    pub rows: Vec<ComparedRow>,
    /// How it was measured.
    pub protocol: Value,
    /// What it was measured on.
    pub data: Value,
}

/// One metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparedRow {
    /// Mean of one.
    pub mean_a: f64,
    /// Mean of the other.
    pub mean_b: f64,
    /// The paired test; above 0 where the first has more.
    #[serde(flatten)]
    pub test: Comparison,
}

impl Loaded {
    /// Returns these settings with those that a saved model was trained with laid over, its pipeline apart.
    ///
    /// What it learnt stays behind: it learnt from the events that it would be tested on.
    #[must_use]
    pub fn as_trained(&self, manifest: &Manifest) -> Self {
        let models: serde_json::Map<String, Value> =
            manifest.parts.iter().map(|part| (part.name.clone(), part.settings.clone())).collect();
        let mut over = json!({ "models": models, "rerank": plain(&manifest.rerank) });
        let mut put = |section: &str, value: Value| {
            if let Some(tree) = over.as_object_mut() {
                tree.insert(section.into(), value);
            }
        };
        if let Some(fusion) = &manifest.fusion {
            put("fusion", plain(fusion));
        }
        let encoder = manifest.encoder.as_ref().map(EncoderChoice::name);
        if let Some((encoder, template)) = encoder.zip(manifest.template.as_ref()) {
            put("text", json!({ "encoder": encoder, "template": template }));
        }
        self.over(over)
    }
}

/// Tests one run against another, on the metrics that lists are judged by.
pub fn compared(
    (a, run_a): (&str, &Run),
    (b, run_b): (&str, &Run),
    (protocol, data): (&Value, &Value),
) -> Result<Compared, Error> {
    let mut rows = Vec::new();
    let cutoffs = run_a.settings().cutoffs.clone();
    let metrics =
        cutoffs.iter().flat_map(|k| ["ndcg", "hit", "mrr"].map(|name| format!("{name}@{k}")));
    for metric in metrics {
        let tests = eval::compare(&[(a, run_a), (b, run_b)], &metric, Some(b))?;
        let (mean_a, mean_b) = (run_a.mean(&metric)?, run_b.mean(&metric)?);
        rows.extend(tests.into_iter().map(|test| ComparedRow { mean_a, mean_b, test }));
    }
    let corrected = eval::holm(&rows.iter().map(|row| row.test.p).collect::<Vec<_>>());
    for (row, p) in rows.iter_mut().zip(corrected) {
        (row.test.p_holm, row.test.significant) = (p, p < 0.05);
    }
    Ok(Compared { a: a.into(), b: b.into(), rows, protocol: protocol.clone(), data: data.clone() })
}
