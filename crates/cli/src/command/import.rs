//! `tastemaker import`.

use serde_json::Value;
use tastemaker_engine::data::{
    ColumnOverrides, Format as FileFormat, ImportOptions, Manifest, Sources, import,
};

use super::Usage;
use crate::args::Import;
use crate::context::Context;
use crate::output::{self, thousands};

pub(crate) fn run(args: &Import, context: &Context) -> anyhow::Result<()> {
    let format = args.file_format.as_deref().map(str::parse::<FileFormat>).transpose();
    let sources = Sources {
        interactions: args.interactions.clone(),
        items: args.items.clone(),
        users: args.users.clone(),
        format: format.map_err(|e| Usage(e.to_string()))?,
        columns: ColumnOverrides {
            user: args.user_column.clone(),
            item: args.item_column.clone(),
            rating: args.rating_column.clone(),
            time: args.time_column.clone(),
        },
    };
    let options = ImportOptions {
        name: args.name.clone(),
        duplicates: policy("--duplicates", &args.duplicates)?,
        min_rating: args.min_rating,
        k_core: args.k_core,
        min_history: args.min_history,
        unknown_items: policy("--unknown-items", &args.unknown_items)?,
        bad_rows: policy("--bad-rows", &args.bad_rows)?,
    };
    let manifest = import(&sources, &options, &args.out, context.progress.as_ref())?;
    output::result(context.format, &manifest, || text(&manifest, args))
}

/// Reads a policy by its name; the error lists the names there are.
fn policy<T: serde::de::DeserializeOwned>(flag: &str, name: &str) -> anyhow::Result<T> {
    let value = Value::String(name.into());
    serde_json::from_value(value).map_err(|e| Usage(format!("{flag} {name}: {e}")).into())
}

/// Says what was read, which column was taken for what, what was dropped, and what to do next.
pub(crate) fn text(manifest: &Manifest, args: &Import) -> String {
    let counts = &manifest.counts;
    let mut out = format!(
        "{}: {} events of {} users with {} items\n\n",
        manifest.name,
        thousands(counts.events),
        thousands(counts.users),
        thousands(counts.items)
    );
    let rows = manifest.sources.iter().flat_map(|source| {
        let file = source.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        source
            .columns
            .iter()
            .map(move |column| vec![file.clone(), column.column.clone(), column.taken_for.clone()])
    });
    out.push_str(&output::table(&["file", "column", "taken for"], rows, &[]));
    for dropped in &manifest.dropped {
        out.push_str(&format!("\ndropped {dropped}"));
    }
    for problem in &manifest.problems {
        out.push_str(&format!("\nnote: {problem}"));
    }
    out.push_str(&format!("\n\nnext: tastemaker evaluate --data {}", args.out.display()));
    out
}
