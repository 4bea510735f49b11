//! `tastemaker weights|data list|get` and `weights distill`.

use serde_json::json;
use tastemaker_engine::config::TextSettings;
use tastemaker_engine::fetch::{self, Kind};
use tastemaker_engine::texts::{DistillSettings, distill_encoder};

use super::Usage;
use crate::args::{AssetAction, Assets, Distill, Weights, WeightsAction};
use crate::context::Context;
use crate::output;

pub(crate) fn data(args: &Assets, context: &Context) -> anyhow::Result<()> {
    run(Kind::Data, &args.action, context)
}

pub(crate) fn weights(args: &Weights, context: &Context) -> anyhow::Result<()> {
    match &args.action {
        WeightsAction::Assets(action) => run(Kind::Weights, action, context),
        WeightsAction::Distill(args) => distill(args, context),
    }
}

fn distill(args: &Distill, context: &Context) -> anyhow::Result<()> {
    if args.encoder == "tfidf" {
        let text = "--encoder tfidf is no language model: name one of `weights list`, or a folder";
        anyhow::bail!(Usage(text.into()));
    }
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

fn run(kind: Kind, action: &AssetAction, context: &Context) -> anyhow::Result<()> {
    let places = &context.places.fetch;
    match action {
        AssetAction::List => {
            let assets = fetch::catalogue(kind);
            let here = |asset: &fetch::Asset| fetch::is_cached(asset, places);
            let rows: Vec<_> = assets
                .iter()
                .map(|a| json!({ "name": a.name, "about": a.about, "licence": a.licence, "bytes": a.bytes(), "cached": here(a) }))
                .collect();
            output::result(context.format, &rows, || {
                let row = |a: &fetch::Asset| {
                    let megabytes = format!("{:.1}", a.bytes() as f64 / 1e6);
                    let state = if here(a) { "yes" } else { "" };
                    vec![a.name.into(), megabytes, state.into(), a.about.into(), a.licence.into()]
                };
                output::table(
                    &["name", "MB", "here", "what", "licence"],
                    assets.iter().map(row),
                    &[1],
                )
            })
        }
        AssetAction::Get { name } => {
            let asset = fetch::find(kind, name)?;
            let folder = fetch::get(asset, places, context.progress.as_ref())?;
            output::result(context.format, &json!({ "name": asset.name, "folder": folder }), || {
                folder.display().to_string()
            })
        }
    }
}
