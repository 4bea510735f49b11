//! Pipelines measured like models, and how long each of their stages takes.

use std::sync::Arc;

use tastemaker_core::{Clock, Labels, Request, SystemClock};
use tastemaker_data::Held;
use tastemaker_eval::StageRow;
use tastemaker_pipeline::{Asked, Blend, Piped, Plan, RerankSettings};

use super::{PipelineFile, Titles, catalogue, plan};
use crate::engine::title_of;
use crate::evaluate::{Evaluation, Measured};
use crate::predictions::labels as labels_of;
use crate::registry::plain;
use crate::{Error, FusedModel};

/// Requests whose time is taken.
const TIMED: usize = 1000;
/// The same where a language model is asked.
const TIMED_MODEL: usize = 20;
/// Items of a list whose time is taken.
const LISTED: usize = 20;
/// Places that a list has at least, whatever the cutoffs are.
const PLACES: usize = 100;

impl Evaluation<'_> {
    /// Makes a pipeline ready for models with these parts.
    fn plan_for(
        &self,
        parts: &[&str],
        file: &PipelineFile,
        (counts, labels): (&[u32], Option<&Labels>),
    ) -> Result<Plan, Error> {
        let vectors = self.vectors.map(|(vectors, _)| vectors);
        let known = catalogue(self.data, counts, vectors);
        let rerank: &RerankSettings = file.rerank.as_ref().unwrap_or(&self.loaded.config.rerank);
        let seed = self.loaded.config.run.seed;
        let own = match &rerank.labels {
            Some(column) => labels_of(self.data, Some(column))?,
            None => None,
        };
        let labels = own.as_ref().or(labels);
        let plan = plan((&file.pipeline, rerank), parts, known, (self.data, labels), seed)?;
        let items = &self.data.items;
        let titles = || (0..items.len()).map(|row| title_of(items, row));
        Ok(match self.writer.filter(|_| plan.asks_model()) {
            Some(writer) => plan.with_arbiter(Arc::new(Titles::new(writer.clone(), titles()))),
            None => plan,
        })
    }

    /// Refuses pipelines that cannot be before anything is learnt.
    pub(crate) fn check_pipelines(&self, labels: Option<&Labels>) -> Result<(), Error> {
        let parts: Vec<&str> = self.loaded.config.fusion.parts.iter().map(String::as_str).collect();
        let counts = vec![0; self.data.n_items()];
        let mut all = self.pipelines.iter();
        all.try_for_each(|(_, file)| self.plan_for(&parts, file, (&counts, labels)).map(|_| ()))
    }

    /// Measures one pipeline over the fused model; `name` is what it is called in tables.
    pub(crate) fn piped(
        &self,
        fused: &FusedModel,
        (name, file): &(String, PipelineFile),
        measured: Measured<'_>,
    ) -> Result<(tastemaker_eval::ModelRow, tastemaker_eval::Run, Vec<StageRow>), Error> {
        let counts = measured.train.item_counts(self.data.n_items());
        let plan = self.plan_for(&fused.part_names(), file, (&counts, measured.labels))?;
        let cutoffs = &self.loaded.config.eval.cutoffs;
        let depth = cutoffs.iter().copied().max().unwrap_or_default().max(PLACES);
        let start = self.clock.seconds();
        let run = self.ranked(&Piped::new(fused, &plan, depth), measured)?;
        let mut row = tastemaker_eval::ModelRow::new(name, &run);
        row.score_seconds = self.clock.seconds() - start;
        row.settings = plain(&file.pipeline);
        Ok((row, run, times(name, fused, &plan, measured.held)))
    }
}

/// Takes the time of each stage, one request after the other on one thread.
fn times(name: &str, fused: &FusedModel, plan: &Plan, held: &Held) -> Vec<StageRow> {
    let clock = SystemClock::default();
    let n = held.len().min(if plan.asks_model() { TIMED_MODEL } else { TIMED });
    let mut stages: Vec<(&'static str, Vec<f64>)> = Vec::new();
    let mut whole = Vec::with_capacity(n);
    for row in 0..n {
        let request = Request::new(Some(held.users[row]), held.histories.row(row));
        let asked = Asked { request, context: &[], n: LISTED, traced: false, draw: 0 };
        let start = clock.seconds();
        let (_, trace) = plan.run(fused, &asked, &clock);
        whole.push(1e3 * (clock.seconds() - start));
        for stage in trace.stages {
            match stages.iter_mut().find(|(name, _)| *name == stage.name) {
                Some((_, times)) => times.push(1e3 * stage.seconds),
                None => stages.push((stage.name, vec![1e3 * stage.seconds])),
            }
        }
    }
    stages.push(("whole", whole));
    let row = |(stage, mut ms): (&'static str, Vec<f64>)| {
        ms.sort_by(f64::total_cmp);
        let at = |share: f64| ms[((ms.len() as f64 - 1.0) * share).round() as usize];
        let (median_ms, p99_ms) = if ms.is_empty() { (0.0, 0.0) } else { (at(0.5), at(0.99)) };
        StageRow {
            pipeline: name.to_owned(),
            stage: stage.to_owned(),
            median_ms,
            p99_ms,
            requests: ms.len(),
        }
    };
    stages.into_iter().map(row).collect()
}
