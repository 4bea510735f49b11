//! Measures two sides and tests their difference.

use std::path::Path;

use tastemaker_engine::artifact::Manifest;
use tastemaker_engine::chat::Writer;
use tastemaker_engine::config::Loaded;
use tastemaker_engine::data::Dataset;
use tastemaker_engine::registry::FUSED;
use tastemaker_engine::{
    Compared, Evaluated, PipelineFile, artifact, check_models, compared, eval,
};

use super::Compare;
use crate::command::{Usage, evaluate};
use crate::context::Context;
use crate::output;

/// One side: what is fitted, and with which settings.
struct Side {
    /// What it is called in tables.
    name: String,
    models: Vec<String>,
    pipelines: Vec<(String, PipelineFile)>,
    loaded: Loaded,
    /// Fitted with the settings of the command line.
    is_plain: bool,
}

pub(crate) fn run(args: &Compare, context: &Context) -> anyhow::Result<()> {
    let mut flags = args.model.flags();
    flags.extend(args.users.map(|users| format!("eval.users={users}")));
    flags.extend(args.split.as_ref().map(|kind| format!("split.kind=\"{kind}\"")));
    let loaded = context.settings(&args.settings, &flags)?;
    if args.a == args.b {
        anyhow::bail!(Usage(format!("both sides are `{}`: name two", args.a)));
    }
    let (a, b) = (side(&args.a, &loaded)?, side(&args.b, &loaded)?);
    if a.name == b.name {
        anyhow::bail!(Usage(format!("both sides are called `{}`: rename one", a.name)));
    }
    let data = Dataset::open(&args.data)?;
    let writer = args.model.open(&loaded, context)?;
    let found = if a.is_plain && b.is_plain {
        let models = check_models(&[a.models.clone(), b.models.clone()].concat())?;
        let pipelines = [a.pipelines, b.pipelines].concat();
        let all = measured(&data, (&loaded, &models, &pipelines), writer.as_ref(), context)?;
        let facts = (&all.report.protocol, &all.report.data);
        compared((&a.name, of(&all, &a.name)?), (&b.name, of(&all, &b.name)?), facts)?
    } else {
        let one = |side: &Side| {
            let what = (&side.loaded, &side.models[..], &side.pipelines[..]);
            measured(&data, what, writer.as_ref(), context)
        };
        let (first, second) = (one(&a)?, one(&b)?);
        let facts = (&first.report.protocol, &first.report.data);
        // A folder has one run of its own: the last, which is its pipeline where it has one.
        let last = |all: &Evaluated, side: &Side| {
            let name = side.pipelines.first().map_or(&side.models[0], |(name, _)| name).clone();
            of(all, &name).cloned()
        };
        let (run_a, run_b) = (last(&first, &a)?, last(&second, &b)?);
        compared((&a.name, &run_a), (&b.name, &run_b), facts)?
    };
    output::result(context.format, &found, || table(&found))
}

fn measured(
    data: &Dataset,
    (loaded, models, pipelines): (&Loaded, &[String], &[(String, PipelineFile)]),
    writer: Option<&Writer>,
    context: &Context,
) -> anyhow::Result<Evaluated> {
    let wanted = evaluate::Wanted {
        models,
        pipelines,
        skip_unfit: false,
        refit: true,
        ablate: false,
        writer,
    };
    evaluate::evaluate(data, loaded, &wanted, context)
}

/// Returns the run of a model or pipeline.
fn of<'a>(all: &'a Evaluated, name: &str) -> anyhow::Result<&'a eval::Run> {
    let found = all.runs.iter().find(|(known, _)| known == name).map(|(_, run)| run);
    found.ok_or_else(|| anyhow::anyhow!("`{name}` could not be measured"))
}

/// Reads what a side is from what it is called.
fn side(given: &str, loaded: &Loaded) -> anyhow::Result<Side> {
    let path = Path::new(given);
    if path.is_dir() {
        return folder(given, path, loaded);
    }
    let is_file = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"));
    let (models, pipelines) = match is_file {
        true => (vec![FUSED.to_owned()], evaluate::pipelines(&[path.to_owned()], loaded)?),
        false => (check_models(&[given.to_owned()])?, Vec::new()),
    };
    let name = pipelines.last().map_or(given.to_owned(), |(name, _)| name.clone());
    Ok(Side { name, models, pipelines, loaded: loaded.clone(), is_plain: true })
}

/// Takes the settings of a saved model.
fn folder(given: &str, path: &Path, loaded: &Loaded) -> anyhow::Result<Side> {
    let manifest: Manifest = artifact::manifest(path)?;
    let mut loaded = loaded.as_trained(&manifest);
    loaded.config.pipeline = tastemaker_engine::pipeline::PipelineSettings::default();
    let file = PipelineFile { pipeline: manifest.pipeline.clone(), rerank: None };
    let has_pipeline = !manifest.pipeline.is_plain();
    if has_pipeline && manifest.model != FUSED {
        anyhow::bail!(Usage(format!(
            "{given} has a pipeline over {}, and only pipelines over {FUSED} are measured",
            manifest.model
        )));
    }
    let pipelines = has_pipeline.then(|| (given.to_owned(), file)).into_iter().collect();
    Ok(Side {
        name: given.into(),
        models: vec![manifest.model],
        pipelines,
        loaded,
        is_plain: false,
    })
}

fn table(found: &Compared) -> String {
    let rows = found.rows.iter().map(|row| {
        let test = &row.test;
        vec![
            test.metric.clone(),
            format!("{:.4}", row.mean_a),
            format!("{:.4}", row.mean_b),
            format!("{:+.4}", test.difference),
            format!("{:+.4} to {:+.4}", test.low, test.high),
            format!("{:.4}", test.p),
            format!("{:.4}", test.p_holm),
            format!("{} : {}", test.higher, test.lower),
        ]
    });
    let header = [
        "metric",
        &found.a,
        &found.b,
        "difference",
        "95 % interval",
        "p",
        "p, Holm",
        "users higher : lower",
    ];
    let table = output::table(&header, rows, &[1, 2, 3, 5, 6]);
    let users = found.rows.first().map_or(0, |row| row.test.users);
    format!(
        "{} against {}, {} users, {} of {}\n\n{table}\n\nPaired sign-flip tests; Holm's correction for all rows.",
        found.a,
        found.b,
        output::thousands(users),
        found.protocol["split"].as_str().unwrap_or_default(),
        found.data["name"].as_str().unwrap_or_default(),
    )
}
