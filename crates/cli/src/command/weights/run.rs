//! `tastemaker weights list|get|distill|inspect|merge|prune|quantize`.

use serde_json::json;
use tastemaker_engine::config::TextSettings;
use tastemaker_engine::fetch::Kind;
use tastemaker_engine::texts::{DistillSettings, distill_encoder};
use tastemaker_engine::weights;

use super::args::{Distill, Merge, Weights, WeightsAction};
use super::{inspect, prune, quantize};
use crate::command::{Usage, assets};
use crate::context::Context;
use crate::output;

pub(crate) fn run(args: &Weights, context: &Context) -> anyhow::Result<()> {
    match &args.action {
        WeightsAction::Assets(action) => assets::run(Kind::Weights, action, context),
        WeightsAction::Distill(args) => {
            named("--encoder", &args.encoder)?;
            distill(args, context)
        }
        WeightsAction::Inspect(args) => {
            named("NAME", &args.encoder)?;
            inspect::run(args, context)
        }
        WeightsAction::Merge(args) => {
            named("--base", &args.base)?;
            merge(args, context)
        }
        WeightsAction::Prune(args) => {
            named("NAME", &args.encoder)?;
            prune::run(args, context)
        }
        WeightsAction::Quantize(args) => {
            named("--encoder", &args.encoder)?;
            quantize::run(args, context)
        }
    }
}

/// Refuses what is an encoder and no language model.
fn named(place: &str, encoder: &str) -> anyhow::Result<()> {
    if matches!(encoder, "tfidf" | "none") {
        let text = format!(
            "{place} {encoder} is no language model: name one of `weights list`, or a folder"
        );
        anyhow::bail!(Usage(text));
    }
    Ok(())
}

fn distill(args: &Distill, context: &Context) -> anyhow::Result<()> {
    let text = TextSettings { encoder: args.encoder.clone(), ..TextSettings::default() };
    let settings = DistillSettings { dim: args.dim, smoothing: args.smoothing };
    let progress = context.progress.as_ref();
    let distilled = distill_encoder(&text, settings, &context.places, progress)?;
    distilled.save(&args.out)?;
    let (tokens, dim) = distilled.shape();
    let result = json!({ "folder": args.out, "tokens": tokens, "dim": dim });
    output::result(context.format, &result, || {
        format!("{}: {tokens} tokens of {dim} numbers", args.out.display())
    })
}

fn merge(args: &Merge, context: &Context) -> anyhow::Result<()> {
    let progress = context.progress.as_ref();
    let of = (&args.base[..], args.adapter.as_path());
    let report = weights::merge(of, &args.out, &context.places, progress)?;
    output::result(context.format, &report, || {
        let parts = if report.kind == "LORA" { "matrices" } else { "tokens" };
        let out = report.out.display();
        format!("{out}: {} of {} {parts}", report.kind, report.parts)
    })
}
