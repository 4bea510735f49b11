//! `tastemaker weights quantize`.

use serde_json::Value;
use tastemaker_engine::core::SystemClock;
use tastemaker_engine::data::Dataset;
use tastemaker_engine::export::TextSource;
use tastemaker_engine::weights::{Precision, PrecisionRow, Quantize, Quantized};

use super::args::{self, SmallNumbers};
use crate::command::Usage;
use crate::context::Context;
use crate::output::{self, thousands};

pub(crate) fn run(args: &args::Quantize, context: &Context) -> anyhow::Result<()> {
    let encoder = format!("text.encoder={}", Value::from(args.encoder.as_str()));
    let loaded = context.settings(&args.settings, &[encoder])?;
    let data = args.data.as_deref().map(Dataset::open).transpose()?;
    let source = match (&data, &args.texts) {
        (Some(data), _) => TextSource::Items(data),
        (None, Some(path)) => TextSource::Lines(path),
        (None, None) => anyhow::bail!(Usage("give --data or --texts".into())),
    };
    let mut precisions: Vec<Precision> = Vec::new();
    for precision in args.precision.iter().map(|&small| precision(small)) {
        if !precisions.contains(&precision) {
            precisions.push(precision);
        }
    }
    let quantized = Quantize {
        loaded: &loaded,
        source,
        precisions: &precisions,
        places: &context.places,
        clock: &SystemClock::default(),
        progress: context.progress.as_ref(),
    }
    .run()?;
    output::result(context.format, &quantized, || text(&quantized))
}

const fn precision(small: SmallNumbers) -> Precision {
    match small {
        SmallNumbers::Bf16 => Precision::Bf16,
        SmallNumbers::Int8 => Precision::Int8,
    }
}

fn text(quantized: &Quantized) -> String {
    let with_lists = quantized.protocol.is_some();
    let row = |row: &PrecisionRow| {
        let mut cells = vec![
            name(row.precision).to_owned(),
            thousands(row.texts_per_second as usize),
            format!("{:.5}", row.cosine_mean),
            format!("{:.5}", row.cosine_least),
        ];
        if with_lists {
            cells.push(row.ndcg.map_or_else(|| "–".into(), |ndcg| format!("{ndcg:.4}")));
            let change = row.ndcg_change.map(|change| format!("{:+.2} %", change * 100.0));
            cells.push(change.unwrap_or_else(|| "–".into()));
        }
        cells
    };
    let header = ["precision", "texts/s", "cosine to f32", "least", "ndcg@10", "change"];
    let shown = if with_lists { 6 } else { 4 };
    let right: Vec<usize> = (1..shown).collect();
    let table = output::table(&header[..shown], quantized.rows.iter().map(row), &right);
    let Quantized { encoder, texts, empty, threads, .. } = quantized;
    let mut about = format!(
        "{encoder}: {} texts, {} without content, {threads} threads",
        thousands(*texts),
        thousands(*empty)
    );
    if let Some(protocol) = &quantized.protocol {
        about.push_str(&format!("; lists: {protocol}"));
    }
    format!("{table}\n\n{about}")
}

const fn name(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::Bf16 => "bf16",
        Precision::Int8 => "int8",
    }
}
