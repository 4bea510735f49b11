//! `tastemaker weights prune`.

use serde_json::Value;
use tastemaker_engine::core::SystemClock;
use tastemaker_engine::data::Dataset;
use tastemaker_engine::export::TextSource;
use tastemaker_engine::weights::{Cut, ModelSide, Prune, PruneReport, PrunedLayer};

use super::args;
use crate::command::Usage;
use crate::context::Context;
use crate::output::{self, thousands};

pub(crate) fn run(args: &args::Prune, context: &Context) -> anyhow::Result<()> {
    let encoder = format!("text.encoder={}", Value::from(args.encoder.as_str()));
    let loaded = context.settings(&args.settings, &[encoder])?;
    let cut = match (args.heads, args.share, args.layers) {
        (Some(heads), _, _) => Cut::Heads(heads),
        (_, Some(share), _) => Cut::Share(share),
        (_, _, Some(layers)) => Cut::Layers(layers),
        (None, None, None) => anyhow::bail!(Usage("give --heads, --share or --layers".into())),
    };
    let data = args.data.as_deref().map(Dataset::open).transpose()?;
    let source = match (&data, &args.texts) {
        (Some(data), _) => TextSource::Items(data),
        (None, Some(path)) => TextSource::Lines(path),
        (None, None) => anyhow::bail!(Usage("give --data or --texts".into())),
    };
    let report = Prune {
        loaded: &loaded,
        source,
        cut,
        out: &args.out,
        places: &context.places,
        clock: &SystemClock::default(),
        progress: context.progress.as_ref(),
    }
    .run()?;
    output::result(context.format, &report, || text(&report))
}

fn text(report: &PruneReport) -> String {
    let layer = |layer: &PrunedLayer| {
        let taken: Vec<String> = layer.taken.iter().map(usize::to_string).collect();
        let left = if layer.kept {
            format!("{} of {}", layer.heads, layer.heads_before)
        } else {
            "gone".into()
        };
        vec![layer.layer.to_string(), left, taken.join(" ")]
    };
    let layers =
        output::table(&["layer", "heads", "heads taken"], report.layers.iter().map(layer), &[0]);
    let PruneReport { before, after, .. } = report;
    let large = |n: u64| thousands(usize::try_from(n).unwrap_or(usize::MAX));
    let mut rows = Vec::new();
    let mut row = |what: &str, cell: &dyn Fn(&ModelSide) -> String| {
        rows.push(vec![what.to_owned(), cell(before), cell(after)]);
    };
    row("layers", &|side| side.layers.to_string());
    row("heads", &|side| side.heads.to_string());
    row("parameters", &|side| large(side.parameters));
    row("bytes of weights", &|side| large(side.bytes));
    row("texts/s", &|side| thousands(side.texts_per_second as usize));
    if report.protocol.is_some() {
        row("ndcg@10", &|side| side.ndcg.map_or_else(|| "–".into(), |ndcg| format!("{ndcg:.4}")));
    }
    let table = output::table(&["", "before", "after"], rows, &[1, 2]);
    let PruneReport { texts, sample, held_out, threads, .. } = report;
    let mut about = format!(
        "{}: cosine to {} of {} held-out texts {:.5}, least {:.5}",
        report.folder.display(),
        report.encoder,
        thousands(*held_out),
        report.cosine_mean,
        report.cosine_least,
    );
    if let Some(change) = report.ndcg_change {
        about.push_str(&format!("; ndcg@10 {:+.2} %", change * 100.0));
    }
    about.push_str(&format!(
        "\n{} texts, {} of them to choose by, {threads} threads",
        thousands(*texts),
        thousands(*sample)
    ));
    if let Some(protocol) = &report.protocol {
        about.push_str(&format!("; lists: {protocol}"));
    }
    format!("{layers}\n\n{table}\n\n{about}")
}
