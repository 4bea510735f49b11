//! `tastemaker export` and `encode`.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tastemaker_engine::artifact;
use tastemaker_engine::core::SystemClock;
use tastemaker_engine::data::Dataset;
use tastemaker_engine::export::{
    self, BuiltIndex, EncodedFile, Encoding, Export, Exported, TextSource, VectorFormat,
    VectorStorage, Written,
};
use tastemaker_engine::index::{HnswSettings, Storage};

use super::Usage;
use crate::args::{self, IndexStorage, TextStorage};
use crate::context::Context;
use crate::output::{self, thousands};
use crate::side_files::check_files;

pub(crate) fn run(args: &args::Export, context: &Context) -> anyhow::Result<()> {
    check_targets(args)?;
    let (engine, _) = artifact::open(&args.model, &context.places)?;
    let usual = HnswSettings::default();
    let exported = Export {
        engine: &engine,
        items: &args.out,
        users: args.users.as_deref(),
        index: args.index.as_deref(),
        settings: HnswSettings {
            connectivity: args.connectivity.unwrap_or(usual.connectivity),
            ef_construction: args.ef_construction.unwrap_or(usual.ef_construction),
            ef_search: args.ef_search.unwrap_or(usual.ef_search),
            storage: args.storage.map_or(usual.storage, storage),
        },
        clock: &SystemClock::default(),
        progress: context.progress.as_ref(),
    }
    .run()?;
    output::result(context.format, &exported, || text(&exported))
}

pub(crate) fn encode(args: &args::Encode, context: &Context) -> anyhow::Result<()> {
    let encoder = args.encoder.as_deref().map(|name| format!("text.encoder={}", Value::from(name)));
    let loaded = context.settings(&args.settings, encoder.as_slice())?;
    let storage = match args.storage {
        TextStorage::F32 => VectorStorage::F32,
        TextStorage::F16 => VectorStorage::F16,
        TextStorage::Int8 => VectorStorage::Int8,
        TextStorage::Binary => VectorStorage::Binary,
    };
    check_files(&VectorFormat::of(&args.out)?.files(&args.out, storage))?;
    let data = args.data.as_deref().map(Dataset::open).transpose()?;
    let source = match (&data, &args.input) {
        (Some(data), _) => TextSource::Items(data),
        (None, Some(path)) => match &args.column {
            Some(text) => TextSource::Column { path, text, id: args.id_column.as_deref() },
            None if is_table(path) => {
                let text = format!(
                    "{} holds columns: say which one to encode with --column NAME",
                    path.display()
                );
                anyhow::bail!(Usage(text));
            }
            None => TextSource::Lines(path),
        },
        (None, None) => anyhow::bail!(Usage("give --data or --input".into())),
    };
    let (clock, progress) = (SystemClock::default(), context.progress.as_ref());
    let places = &context.places;
    let encoding = Encoding { source, out: &args.out, storage, is_query: args.query };
    let encoded = export::encode(encoding, &loaded.config, places, &clock, progress)?;
    output::result(context.format, &encoded, || encoded_text(&encoded))
}

/// Tells by the name whether a file holds more than one text a line.
fn is_table(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let bare = [".gz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    [".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq"]
        .iter()
        .any(|end| bare.ends_with(end))
}

fn encoded_text(encoded: &EncodedFile) -> String {
    let mut rows = vec![
        ("encoder", encoded.encoder.clone()),
        ("texts", thousands(encoded.texts)),
        ("without content", thousands(encoded.empty)),
        ("cut at the limit", thousands(encoded.truncated)),
        ("from the cache", thousands(encoded.from_cache)),
        ("numbers of a vector", encoded.dims.to_string()),
        ("encoded in", format!("{:.2} s", encoded.seconds)),
        ("texts a second", thousands(encoded.texts_per_second as usize)),
    ];
    if let Some(kept) = &encoded.kept {
        let (recall, again) = (kept.recall, kept.recall_rescored);
        let of = format!("of {} texts", thousands(kept.queries));
        rows.push(("nearest 10 found", format!("{:.1} % {of}", 100.0 * recall)));
        let candidates = format!("among {} scored again with f32", kept.candidates);
        rows.push(("nearest 10 found", format!("{:.1} % {candidates}", 100.0 * again)));
    }
    let facts = rows.into_iter().map(|(what, value)| vec![what.into(), value]);
    format!("{}\n\n{}", output::table(&["what", "value"], facts, &[]), sizes(&encoded.files))
}

/// Lists files with their sizes.
fn sizes(files: &[Written]) -> String {
    let rows = files.iter().map(|file| {
        let bytes = usize::try_from(file.bytes).unwrap_or(usize::MAX);
        vec![file.path.display().to_string(), thousands(bytes)]
    });
    output::table(&["file", "bytes"], rows, &[1])
}

const fn storage(asked: IndexStorage) -> Storage {
    match asked {
        IndexStorage::F32 => Storage::F32,
        IndexStorage::Bf16 => Storage::Bf16,
        IndexStorage::I8 => Storage::I8,
    }
}

/// Looks at all files that will be written.
fn check_targets(args: &args::Export) -> anyhow::Result<()> {
    let mut all: Vec<PathBuf> = VectorFormat::of(&args.out)?.files(&args.out, VectorStorage::F32);
    if let Some(users) = &args.users {
        all.extend(VectorFormat::of(users)?.files(users, VectorStorage::F32));
    }
    all.extend(args.index.clone());
    check_files(&all)
}

fn text(exported: &Exported) -> String {
    let without = |n: usize| match n {
        0 => String::new(),
        n => format!(" ({} have no vector: nothing is known of them)", thousands(n)),
    };
    let mut rows = vec![
        ("model", exported.model.clone()),
        ("items", thousands(exported.items) + &without(exported.items_without_vector)),
    ];
    if let (Some(users), Some(missing)) = (exported.users, exported.users_without_vector) {
        rows.push(("users", thousands(users) + &without(missing)));
    }
    rows.push(("numbers of a vector", exported.dims.to_string()));
    rows.push(("measure", exported.measure.into()));
    if let Some(index) = &exported.index {
        rows.extend(index_rows(index));
    }
    let facts = rows.into_iter().map(|(what, value)| vec![what.into(), value]);
    format!("{}\n\n{}", output::table(&["what", "value"], facts, &[]), sizes(&exported.files))
}

fn index_rows(index: &BuiltIndex) -> Vec<(&'static str, String)> {
    let mut rows = vec![("index built in", format!("{:.2} s", index.seconds))];
    let told = (index.recall, index.per_second, index.exact_per_second);
    if let (Some(recall), Some(per_second), Some(exact)) = told {
        let queries = thousands(index.queries);
        rows.push((
            "recall of the index",
            format!("{recall:.4} of the first {} for {queries} users", index.k),
        ));
        rows.push(("queries a second, index", thousands(per_second as usize)));
        rows.push(("queries a second, exact", thousands(exact as usize)));
    }
    rows
}
