//! `tastemaker evaluate`.

use std::path::PathBuf;

use tastemaker_engine::chat::Writer;
use tastemaker_engine::config::Loaded;
use tastemaker_engine::core::SystemClock;
use tastemaker_engine::data::Dataset;
use tastemaker_engine::registry::{FUSED, Kind};
use tastemaker_engine::texts::Reader;
use tastemaker_engine::{
    Error, Evaluated, Evaluation, PipelineFile, Predicted, Task, check_models, eval, predictions,
};

use super::Usage;
use crate::args::{Evaluate, Format};
use crate::context::Context;
use crate::output;
use crate::side_files::SideFiles;

pub(crate) fn run(args: &Evaluate, context: &Context) -> anyhow::Result<()> {
    let loaded = context.settings(&args.settings, &flags(args))?;
    let task: Option<Task> = args.task.as_deref().map(str::parse).transpose()?;
    let usual: &[&str] = if task.is_some() { &TASK_MODELS } else { &DEFAULT_MODELS };
    let mut models = check_models(&names(&args.models, usual))?;
    if models.is_empty() {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        let known = known.join(", ");
        anyhow::bail!(Usage(format!("--models names no model: choose among {known}, {FUSED}")));
    }
    if args.ablate && !models.iter().any(|name| name == FUSED) {
        models.push(FUSED.into());
    }
    let pipelines = pipelines(&args.pipelines, &loaded)?;
    let rows: Vec<String> =
        models.iter().cloned().chain(pipelines.iter().map(|(name, _)| name.clone())).collect();
    let files = SideFiles::of(args, &rows)?;
    let skip_unfit = args.models.is_empty();
    let data = Dataset::open(&args.data)?;
    let writer = args.model.open(&loaded, context)?;
    let wanted = Wanted {
        models: &models,
        pipelines: &pipelines,
        skip_unfit,
        refit: !args.no_refit,
        ablate: args.ablate,
        writer: writer.as_ref(),
    };
    if let Some(task) = task {
        let predicted =
            prepared(&data, &loaded, &wanted, context, |evaluation| predictions(evaluation, task))?;
        return output::result(context.format, &predicted, || predicted_table(&predicted));
    }
    let evaluated = evaluate(&data, &loaded, &wanted, context)?;
    // A file that cannot be written must not take the result with it.
    let written = files.write(&evaluated, &data);
    match context.format {
        Format::Json => output::line(eval::to_json(&evaluated.report)?)?,
        Format::Table => output::text(eval::to_table(&evaluated.report).trim_end())?,
    }
    written
}

/// What is asked for.
pub(crate) struct Wanted<'a> {
    /// Names of models.
    pub(crate) models: &'a [String],
    /// Pipelines by name.
    pub(crate) pipelines: &'a [(String, PipelineFile)],
    /// Goes on without those that cannot be fitted.
    pub(crate) skip_unfit: bool,
    /// Fits on validation events too.
    pub(crate) refit: bool,
    /// Measures the fused model without each of its parts, too.
    pub(crate) ablate: bool,
    /// A language model for pipelines that ask one.
    pub(crate) writer: Option<&'a Writer>,
}

/// Evaluates lists.
pub(crate) fn evaluate(
    data: &Dataset,
    loaded: &Loaded,
    wanted: &Wanted<'_>,
    context: &Context,
) -> anyhow::Result<Evaluated> {
    prepared(data, loaded, wanted, context, |evaluation| evaluation.run())
}

/// Encodes the texts where a model or a metric wants them, and hands the evaluation over.
fn prepared<T>(
    data: &Dataset,
    loaded: &Loaded,
    wanted: &Wanted<'_>,
    context: &Context,
    run: impl FnOnce(&Evaluation<'_>) -> Result<T, Error>,
) -> anyhow::Result<T> {
    let config = &loaded.config;
    let progress = context.progress.as_ref();
    let &Wanted { models, pipelines, skip_unfit, refit, ablate, writer } = wanted;
    let fused = [FUSED.to_owned()];
    let read = if pipelines.is_empty() { models } else { &fused };
    let reader = match config.reads_texts(models) || config.reads_texts(read) {
        true => {
            Reader::open(&data.items, &config.text, config.run.seed, &context.places, progress)?
        }
        false => None,
    };
    let encoded = reader.as_ref().map(|reader| reader.encode(data, progress)).transpose()?;
    if let Some(encoded) = &encoded {
        tracing::info!(
            texts = encoded.with_text,
            truncated = encoded.truncated,
            from_cache = encoded.from_cache,
            "encoded the items' texts"
        );
    }
    let encoder = reader.as_ref().map(|reader| reader.choice.name()).unwrap_or_default();
    let vectors = encoded.as_ref().map(|encoded| (&encoded.vectors, encoder.as_str()));
    let tokens = match &reader {
        Some(reader) => reader.tokens(data, config, models)?,
        None => None,
    };
    let clock = SystemClock::default();
    let evaluation = Evaluation {
        data,
        loaded,
        models,
        pipelines,
        vectors,
        tokens: tokens.as_ref(),
        refit,
        skip_unfit,
        ablate,
        writer,
        clock: &clock,
        progress,
    };
    Ok(run(&evaluation)?)
}

/// Reads pipelines, each called like its file, and the one of the settings.
pub(crate) fn pipelines(
    files: &[PathBuf],
    loaded: &Loaded,
) -> anyhow::Result<Vec<(String, PipelineFile)>> {
    let mut pipelines: Vec<(String, PipelineFile)> = Vec::new();
    if !loaded.config.pipeline.is_plain() {
        let own = PipelineFile { pipeline: loaded.config.pipeline.clone(), rerank: None };
        pipelines.push(("pipeline".into(), own));
    }
    for path in files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let is_taken = pipelines.iter().any(|(known, _)| *known == name)
            || Kind::named(&name).is_some()
            || name == FUSED;
        if is_taken {
            anyhow::bail!(Usage(format!(
                "{}: a model or another pipeline is called `{name}` already: rename the file",
                path.display()
            )));
        }
        pipelines.push((name, PipelineFile::read(path)?));
    }
    Ok(pipelines)
}

/// Shows what models predict: how it was measured, and a row a model.
fn predicted_table(predicted: &Predicted) -> String {
    let number = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), |x| format!("{x:.4}"));
    let rows = predicted.models.iter().map(|row| {
        let measures = [row.auc, row.auc_per_user, row.log_loss, row.rmse, row.mae].map(number);
        let seconds = [row.search_seconds, row.fit_seconds].map(|s| format!("{s:.1}"));
        [vec![row.name.clone()], measures.to_vec(), seconds.to_vec()].concat()
    });
    let header = ["model", "AUC", "AUC per user", "log-loss", "RMSE", "MAE", "search s", "fit s"];
    let table = output::table(&header, rows, &[1, 2, 3, 4, 5, 6, 7]);
    let facts = predicted.protocol.as_object().into_iter().flatten();
    let fact = |(key, value): (&String, &serde_json::Value)| match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(format!("- {}: {text}", key.replace('_', " "))),
        other => Some(format!("- {}: {other}", key.replace('_', " "))),
    };
    let facts: Vec<String> = facts.filter_map(fact).collect();
    let notes: String = predicted.notes.iter().map(|note| format!("\n> {note}\n")).collect();
    format!("# {}\n\n{}\n\n{table}\n{notes}", predicted.title, facts.join("\n"))
}

/// What is compared when nothing is named.
pub(crate) const DEFAULT_MODELS: [&str; 7] =
    ["popularity", "markov", "item-knn", "ease", "ials", "text-knn", FUSED];

/// What is compared when predictions are measured and nothing is named.
const TASK_MODELS: [&str; 7] = ["popularity", "ials", "linear", "fm", "dnn", "deepfm", "dcn"];

fn names(given: &[String], usual: &[&str]) -> Vec<String> {
    if given.is_empty() {
        return usual.iter().map(ToString::to_string).collect();
    }
    let every = || Kind::ALL.iter().map(|kind| kind.name().to_owned()).chain([FUSED.to_owned()]);
    let expand = |name: &String| {
        if name == "all" { every().collect() } else { vec![name.trim().to_owned()] }
    };
    given.iter().flat_map(expand).filter(|name| !name.is_empty()).collect()
}

/// Says the command's own flags as settings.
fn flags(args: &Evaluate) -> Vec<String> {
    let mut flags: Vec<String> = args.model.flags();
    flags.extend(args.users.map(|users| format!("eval.users={users}")));
    flags.extend(args.split.as_ref().map(|kind| format!("split.kind=\"{kind}\"")));
    flags.extend(args.share.map(|share| format!("split.share={share}")));
    flags.extend((!args.at.is_empty()).then(|| format!("eval.cutoffs={:?}", args.at)));
    flags.extend(
        args.sampled.map(|n| format!("eval.candidates={{ sampled = {{ negatives = {n} }} }}")),
    );
    flags.extend(args.negatives.map(|n| format!("eval.negatives={n}")));
    flags.extend(args.positive_at.map(|rating| format!("eval.positive_at={rating:?}")));
    flags
}
