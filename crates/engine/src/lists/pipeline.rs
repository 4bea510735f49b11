//! Pipelines over a data set: made ready, read from files, their traces in outside names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tastemaker_core::{Labels, Vectors};
use tastemaker_data::Dataset;
use tastemaker_pipeline::{Catalogue, Found, PipelineSettings, Plan, RerankSettings, Step, Trace};

use super::lookup::Columns;
use super::shown::mixer;
use crate::config::{Problem, read_toml};
use crate::{Engine, Error};

/// What a file with a pipeline holds: the tables `[pipeline]` and `[rerank]` of the settings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineFile {
    /// The pipeline.
    pub pipeline: PipelineSettings,
    /// The variety of its lists, if it is other than the model was trained with.
    pub rerank: Option<RerankSettings>,
}

impl PipelineFile {
    /// Reads a TOML file; reports all faults at once.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let place = path.display().to_string();
        let syntax = |why: String| Error::ConfigSyntax { place: place.clone(), why };
        let file: Self = serde_json::from_value(read_toml(path)?).map_err(|error| {
            syntax(format!("{error}: such a file holds [pipeline] and, if wanted, [rerank]"))
        })?;
        let all = file.pipeline.faults().into_iter().map(|fault| ("pipeline", fault));
        let more =
            file.rerank.iter().flat_map(RerankSettings::faults).map(|fault| ("rerank", fault));
        // A preset chooses models, which are trained by now.
        let preset = file.pipeline.preset.map(|_| tastemaker_core::Fault {
            field: "preset",
            problem: "is for `train` and `evaluate --config`: leave it out of a pipeline's file"
                .into(),
        });
        let problems: Vec<Problem> = all
            .chain(preset.map(|fault| ("pipeline", fault)))
            .chain(more)
            .map(|(table, fault)| Problem {
                key: format!("{table}.{}", fault.field),
                what: fault.problem,
            })
            .collect();
        if problems.is_empty() { Ok(file) } else { Err(Error::Config { place, problems }) }
    }
}

/// Gathers what a pipeline knows of the items of a data set.
pub(crate) fn catalogue(
    data: &Dataset,
    counts: &[u32],
    vectors: Option<&Arc<Vectors>>,
) -> Catalogue {
    let mut dates = vec![f64::NAN; data.n_items()];
    for history in data.histories.iter() {
        for (item, time) in history.items.iter().zip(history.times) {
            let date = &mut dates[item.index()];
            *date = date.min(*time as f64); // NaN gives way to a number
        }
    }
    let latest = dates.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // What nobody has taken yet counts as the newest.
    let unborn = if latest.is_finite() { latest + 1.0 } else { 0.0 };
    dates.iter_mut().filter(|date| date.is_nan()).for_each(|date| *date = unborn);
    Catalogue { counts: counts.to_vec(), dates, vectors: vectors.cloned() }
}

/// Makes a pipeline ready for a model with these parts.
pub(crate) fn plan(
    (settings, rerank): (&PipelineSettings, &RerankSettings),
    parts: &[&str],
    catalogue: Catalogue,
    (data, labels): (&Dataset, Option<&Labels>),
    seed: u64,
) -> Result<Plan, Error> {
    let mixer = mixer((catalogue.vectors.as_ref(), labels), rerank)?;
    let tables = Columns { items: &data.items, users: &data.users };
    Plan::new(settings.clone(), parts, catalogue, (mixer, seed), &tables).map_err(|faults| {
        let problem = |fault: tastemaker_core::Fault| Problem {
            key: format!("pipeline.{}", fault.field),
            what: fault.problem,
        };
        Error::Pipeline { problems: faults.into_iter().map(problem).collect() }
    })
}

/// Time of one stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageTime {
    /// The stage.
    pub stage: &'static str,
    /// Milliseconds it took.
    pub ms: f64,
    /// Items there were after it; 0 for stages that make no list.
    pub items: usize,
}

/// How a list came about.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ListTrace {
    /// The variant of the pipeline that was used, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Candidates that each source brought.
    pub sources: BTreeMap<String, usize>,
    /// The stages with their times.
    pub stages: Vec<StageTime>,
    /// The way of every item of the list.
    pub items: Vec<ItemTrace>,
    /// What went otherwise than the pipeline says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// How an item came to its place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ItemTrace {
    /// Its id.
    pub item_id: String,
    /// Where it came from.
    pub from: Vec<Found>,
    /// The stages that moved it.
    pub steps: Vec<Step>,
    /// The chance with which it was shown at its place, where lists explore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chance: Option<f32>,
}

impl ListTrace {
    /// Tells a trace in outside names; `list` is the list it is of.
    pub(crate) fn new(trace: &Trace, list: &[tastemaker_core::Scored], engine: &Engine) -> Self {
        let stages = trace.stages.iter().map(|stage| StageTime {
            stage: stage.name,
            ms: stage.seconds * 1e3,
            items: stage.list.len(),
        });
        let items = list.iter().enumerate().map(|(place, scored)| {
            let passage = trace.passage(scored.item);
            ItemTrace {
                item_id: engine.item_name(scored.item).to_owned(),
                from: passage.from,
                steps: passage.steps,
                chance: trace.chances.get(place).copied(),
            }
        });
        let sources = trace.sources.iter().map(|(name, found)| (name.clone(), found.len()));
        Self {
            variant: trace.variant.clone(),
            sources: sources.collect(),
            stages: stages.collect(),
            items: items.collect(),
            notes: trace.notes.clone(),
        }
    }
}
