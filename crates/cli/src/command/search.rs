//! `tastemaker search`.

use serde_json::Value;
use tastemaker_engine::core::SystemClock;
use tastemaker_engine::data::Dataset;
use tastemaker_engine::search::{Limits, Method, Search, Searched, Tried};

use super::train::end_with_a_checkpoint;
use crate::args::{self, SearchMethod};
use crate::context::Context;
use crate::output;

/// Settings tried when nothing else is said.
const TRIALS: usize = 20;

pub(crate) fn run(args: &args::Search, context: &Context) -> anyhow::Result<()> {
    let loaded = context.settings(&args.settings, &[])?;
    let data = Dataset::open(&args.data)?;
    let (method, usual) = match args.method {
        SearchMethod::Grid => (Method::Grid, usize::MAX),
        SearchMethod::Random => (Method::Random, TRIALS),
        SearchMethod::Halving => (Method::Halving { eta: args.eta as usize, least: 0.0 }, TRIALS),
    };
    let trials = args.trials.map_or(usual, |n| n as usize);
    end_with_a_checkpoint(context)?;
    let searched = Search {
        data: &data,
        loaded: &loaded,
        model: &args.model,
        task: args.task.as_deref().map(str::parse).transpose()?,
        space: &args.space,
        method,
        limits: Limits { trials, seconds: args.budget_s },
        jobs: args.jobs as usize,
        out: &args.out,
        places: &context.places,
        clock: &SystemClock::default(),
        progress: context.progress.as_ref(),
    }
    .run()?;
    if searched.cut {
        output::note(format!(
            "the time was up after {} trials; the same command with a larger --budget-s goes on from there",
            searched.trials.len()
        ));
    }
    output::result(context.format, &searched, || {
        let out = args.out.display();
        format!(
            "{}\n\nbest: trial {} with {} {:.4} on {} validation users\n\n{}\nsaved in {out}: best.toml, trials.svg, journal.json\n\
             next: tastemaker train --data {} --model {} --config {out}/best.toml --out model",
            table(&searched),
            searched.best.trial,
            searched.metric,
            searched.best.value.unwrap_or_default(),
            searched.validation_users,
            searched.toml,
            args.data.display(),
            searched.model,
        )
    })
}

/// Lists all trials, the best first: whole fits before shares of one, failures last.
fn table(searched: &Searched) -> String {
    let mut trials: Vec<&Tried> = searched.trials.iter().collect();
    trials.sort_by(|a, b| {
        let value = |tried: &Tried| tried.value.unwrap_or(f64::NEG_INFINITY);
        let is_failure = |tried: &Tried| tried.value.is_none();
        is_failure(a)
            .cmp(&is_failure(b))
            .then(b.share.total_cmp(&a.share))
            .then(value(b).total_cmp(&value(a)))
            .then(a.trial.cmp(&b.trial))
    });
    let keys: Vec<&String> = searched.best.settings.keys().collect();
    let prefix = format!("models.{}.", searched.model);
    let share = format!("share of {}", searched.resource);
    let mut header = vec!["trial", share.as_str()];
    header.extend(keys.iter().map(|key| key.strip_prefix(&prefix).unwrap_or(key)));
    header.extend([searched.metric, "seconds"]);
    let row = |tried: &&Tried| {
        let mut row = vec![tried.trial.to_string(), format!("{:.3}", tried.share)];
        row.extend(keys.iter().map(|key| short(tried.settings.get(*key))));
        let outcome = tried.value.map(|value| format!("{value:.4}"));
        row.push(outcome.or_else(|| tried.failure.clone()).unwrap_or_default());
        row.push(format!("{:.1}", tried.seconds));
        row
    };
    let right: Vec<usize> = (0..header.len()).collect();
    output::table(&header, trials.iter().map(row), &right)
}

/// Writes a value for people; what follows from the data is a dash.
fn short(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
