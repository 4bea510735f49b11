//! `tastemaker weights|data list|get`.

use serde_json::json;
use tastemaker_engine::fetch::{self, Kind};

use crate::args::{AssetAction, Assets};
use crate::context::Context;
use crate::output;

pub(crate) fn data(args: &Assets, context: &Context) -> anyhow::Result<()> {
    run(Kind::Data, &args.action, context)
}

/// Lists or fetches what there is of a kind.
pub(crate) fn run(kind: Kind, action: &AssetAction, context: &Context) -> anyhow::Result<()> {
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
