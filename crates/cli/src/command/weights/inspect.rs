//! `tastemaker weights inspect`.

use std::path::Path;

use serde::Serialize;
use tastemaker_engine::weights::{self, ModelFacts};

use super::args::Inspect;
use crate::context::Context;
use crate::output::{self, thousands};

/// What a folder holds, and where it is.
#[derive(Serialize)]
struct Inspected<'a> {
    folder: &'a Path,
    #[serde(flatten)]
    facts: &'a ModelFacts,
}

pub(crate) fn run(args: &Inspect, context: &Context) -> anyhow::Result<()> {
    let progress = context.progress.as_ref();
    let (folder, facts) = weights::inspect(&args.encoder, &context.places, progress)?;
    let inspected = Inspected { folder: &folder, facts: &facts };
    output::result(context.format, &inspected, || {
        let told = output::table(&["what", "value"], rows(&folder, &facts), &[]);
        if args.tensors { format!("{told}\n\n{}", tensors(&facts)) } else { told }
    })
}

fn rows(folder: &Path, facts: &ModelFacts) -> Vec<Vec<String>> {
    let told = |text: &Option<String>| text.clone().unwrap_or_else(|| "not told".into());
    let large = |n: u64| thousands(usize::try_from(n).unwrap_or(usize::MAX));
    let mut rows = vec![
        ("folder", folder.display().to_string()),
        ("model type", told(&facts.model_type)),
        ("architectures", facts.architectures.join(", ")),
    ];
    rows.extend(facts.sizes.iter().map(|(&name, &size)| (name, large(size))));
    rows.extend(facts.activation.clone().map(|name| ("activation", name)));
    rows.push(("parameters", large(facts.parameters)));
    let types = facts.types.iter().map(|(name, &numbers)| format!("{} {name}", large(numbers)));
    rows.push(("numbers", types.collect::<Vec<_>>().join(", ")));
    rows.push(("tensors", thousands(facts.tensors.len())));
    rows.push(("bytes of weights", large(facts.bytes)));
    let tokenizer = &facts.tokenizer;
    rows.push((
        "tokenizer",
        format!("{}, {} tokens", told(&tokenizer.model), thousands(tokenizer.tokens)),
    ));
    rows.push(("normalizer", told(&tokenizer.normalizer)));
    rows.push(("words by", told(&tokenizer.pre_tokenizer)));
    rows.extend(facts.pooling.map(|pooling| ("pooling", format!("{pooling:?}").to_lowercase())));
    rows.extend(facts.max_tokens.map(|tokens| ("tokens read of a text", thousands(tokens))));
    rows.extend(facts.dim.map(|dim| ("numbers of a vector", thousands(dim))));
    rows.push((
        "can be used",
        facts.problem.as_ref().map_or_else(|| "yes".into(), |why| format!("no: {why}")),
    ));
    rows.into_iter().map(|(what, value)| vec![what.into(), value]).collect()
}

fn tensors(facts: &ModelFacts) -> String {
    let row = |tensor: &weights::TensorFacts| {
        vec![tensor.name.clone(), tensor.dtype.clone(), format!("{:?}", tensor.shape)]
    };
    output::table(&["tensor", "numbers", "shape"], facts.tensors.iter().map(row), &[])
}
