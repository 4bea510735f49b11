//! `tastemaker recommend`, `tastemaker similar` and `tastemaker explain`: what a saved model answers.

use serde_json::json;
use tastemaker_engine::pipeline::RerankSettings;
use tastemaker_engine::{
    Ask, Engine, Explained, Faithfulness, FaithfulnessSettings, ListTrace, Listed, MAX_N,
    PipelineFile, artifact, talk::Profile,
};

use super::{Explain, Faithful, Recommend, Similar};
use crate::args::Format;
use crate::command::Usage;
use crate::context::Context;
use crate::output;

pub(crate) fn run(args: &Recommend, context: &Context) -> anyhow::Result<()> {
    check_n(args.n)?;
    let (engine, _) = artifact::open(&args.model, &context.places)?;
    let file = args.pipeline.as_deref().map(PipelineFile::read).transpose()?;
    let mixed = file.as_ref().and_then(|file| file.rerank.clone());
    let rerank = rerank(args, mixed.unwrap_or_else(|| engine.rerank().clone()))?;
    let engine = args.writing.lend(engine.with_rerank(rerank), context)?;
    if let Some(file) = file {
        engine.set_pipeline(file.pipeline)?;
    }
    let ask = Ask {
        user: args.user.as_deref(),
        history: &args.history,
        exclude: &args.exclude,
        n: args.n,
        explain: args.explain,
        only: args.only.as_deref(),
        context: &args.context,
        ..Ask::default()
    };
    if let Some(words) = words(args)? {
        let found = engine.described(&ask, &words)?;
        found
            .relaxed
            .iter()
            .for_each(|wish| output::note(format!("nothing is all of that; given up: {wish}")));
        found.notes.iter().for_each(output::note);
        let value = json!({
            "model": engine.name(), "user": args.user, "n": args.n, "items": found.items, "relaxed": found.relaxed, "notes": found.notes,
        });
        return output::result(context.format, &value, || table(&found.items));
    }
    if !args.trace {
        let list = engine.recommend(&ask)?;
        tell_if_short(&engine, &list, args.n, context.format);
        tell_if_plain(&list, context.format);
        let value =
            json!({ "model": engine.name(), "user": args.user, "n": args.n, "items": list });
        return output::result(context.format, &value, || table(&list));
    }
    let (list, trace) = engine.recommend_traced(&ask)?;
    tell_if_short(&engine, &list, args.n, context.format);
    let value = json!({
        "model": engine.name(), "user": args.user, "n": args.n, "items": list, "trace": trace,
    });
    output::result(context.format, &value, || format!("{}\n\n{}", table(&list), ways(&trace)))
}

/// Returns the words that describe somebody, where there are any.
fn words(args: &Recommend) -> anyhow::Result<Option<String>> {
    let words = match &args.profile {
        Some(path) => Some(Profile::words(path)?),
        None => args.words.clone(),
    };
    match words {
        Some(words) if words.trim().is_empty() => {
            anyhow::bail!(Usage("nobody is described: write what they like".into()))
        }
        words => Ok(words),
    }
}

/// Tells how items came to their places, and how long it took.
fn ways(trace: &ListTrace) -> String {
    let rows = trace.items.iter().enumerate().map(|(at, item)| {
        let from = item.from.iter().map(|found| format!("{} {}", found.source, found.place));
        let from = if item.from.is_empty() { "all items".into() } else { list_of(from) };
        let steps = item.steps.iter().map(|step| match step.place {
            Some(place) => format!("{} {place}", step.stage),
            None => format!("{} –", step.stage),
        });
        let steps = steps.collect::<Vec<_>>().join(" → ");
        let chance = item.chance.map(|chance| format!("{chance:.3}")).unwrap_or_default();
        vec![(at + 1).to_string(), item.item_id.clone(), from, steps, chance]
    });
    let items = output::table(
        &["#", "item", "came from", "place after each stage", "chance"],
        rows,
        &[0, 4],
    );
    let rows = trace.stages.iter().map(|stage| {
        let items = if stage.items == 0 { String::new() } else { stage.items.to_string() };
        vec![stage.stage.to_owned(), format!("{:.3}", stage.ms), items]
    });
    let stages = output::table(&["stage", "ms", "items after it"], rows, &[1, 2]);
    let variant =
        trace.variant.iter().map(|name| format!("variant: {name}\n\n")).collect::<String>();
    format!("{variant}{items}\n\n{stages}")
}

fn list_of(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

pub(crate) fn similar(args: &Similar, context: &Context) -> anyhow::Result<()> {
    check_n(args.n)?;
    let (engine, _) = artifact::open(&args.model, &context.places)?;
    let list = engine.similar(&args.item, args.n)?;
    let title = engine.title(engine.item(&args.item)?);
    let value = json!({ "model": engine.name(), "item": args.item, "title": title, "n": args.n, "items": list });
    output::result(context.format, &value, || format!("Like “{title}”:\n\n{}", table(&list)))
}

pub(crate) fn explain(args: &Explain, context: &Context) -> anyhow::Result<()> {
    let (engine, _) = artifact::open(&args.model, &context.places)?;
    let engine = args.writing.lend(engine, context)?;
    let ask = Ask { user: args.user.as_deref(), history: &args.history, n: 1, ..Ask::default() };
    let explained = engine.explain(&ask, &args.item)?;
    if let Some(note) = explained.reason.note.as_ref().filter(|_| context.format == Format::Table) {
        output::note(format!("the reason is in the words of a template: {note}"));
    }
    output::result(context.format, &explained, || place(&explained))
}

pub(crate) fn faithful(args: &Faithful, context: &Context) -> anyhow::Result<()> {
    let (engine, _) = artifact::open(&args.model, &context.places)?;
    let settings =
        FaithfulnessSettings { users: args.users as usize, n: args.n as usize, seed: args.seed };
    let found = engine.faithfulness(&settings, context.progress.as_ref())?;
    output::result(context.format, &found, || falls(&found))
}

/// Tells how far scores fall.
fn falls(found: &Faithfulness) -> String {
    let row = |what: &str, [mean, low, high]: [f64; 3]| {
        vec![what.to_owned(), format!("{mean:.3}"), format!("{low:.3} to {high:.3}")]
    };
    let rows = [
        row("without the events cited", found.cited),
        row("without as many others", found.others),
        row("the first divided by the second", found.ratio),
    ];
    let table = output::table(&["fall of the score", "mean", "95 % interval"], rows, &[1, 2]);
    format!(
        "{}: {} reasons of {} users, {:.1} events each; in standard deviations of a user's scores\n\n{table}\n\n\
         The events cited count more than others in {:.1} % of the reasons.",
        found.model,
        output::thousands(found.reasons),
        output::thousands(found.users),
        found.events,
        100.0 * found.won
    )
}

/// Lays what was asked for over what the model was trained with.
fn rerank(args: &Recommend, mut rerank: RerankSettings) -> anyhow::Result<RerankSettings> {
    if let Some(how) = &args.variety {
        let known = serde_json::from_value(json!(how));
        let unknown = |_| Usage(format!("--variety must be off, mmr or dpp, is {how}"));
        rerank.variety = known.map_err(unknown)?;
    }
    if let Some(strength) = args.strength {
        rerank.strength = strength;
    }
    if let Some(calibration) = args.calibration {
        rerank.calibration = calibration;
    }
    match rerank.faults().first() {
        Some(fault) => anyhow::bail!(Usage(format!("--{} {}", fault.field, fault.problem))),
        None => Ok(rerank),
    }
}

fn check_n(n: usize) -> anyhow::Result<()> {
    if n == 0 || n > MAX_N {
        anyhow::bail!(Usage(format!("-n must lie between 1 and {MAX_N}, is {n}")));
    }
    Ok(())
}

/// Says where a language model failed to word reasons.
fn tell_if_plain(list: &[Listed], format: Format) {
    let reasons = list.iter().filter_map(|item| item.reason.as_ref());
    let notes: Vec<&String> = reasons.filter_map(|reason| reason.note.as_ref()).collect();
    if let Some(note) = notes.first().filter(|_| format == Format::Table) {
        let (some, all) = (notes.len(), list.len());
        output::note(format!("{some} of {all} reasons are in the words of templates: {note}"));
    }
}

/// Says why a list is shorter than asked for; a script finds out by counting.
fn tell_if_short(engine: &Engine, list: &[Listed], n: usize, format: Format) {
    if list.len() < n && format == Format::Table {
        let catalogue = output::thousands(engine.data().n_items());
        output::note(format!(
            "only {} of the {catalogue} items are neither seen nor excluded",
            list.len()
        ));
    }
}

/// Lays out a list; reasons stand below it, since they are sentences.
pub(crate) fn table(list: &[Listed]) -> String {
    let has_reasons = list.iter().any(|item| item.reason.is_some());
    // What a model expects says more than its score.
    let has = |of: fn(&Listed) -> Option<f32>| list.iter().any(|item| of(item).is_some());
    let (last, value): (_, fn(&Listed) -> f32) = if has(|item| item.probability) {
        ("probability", |item| item.probability.unwrap_or_default())
    } else if has(|item| item.rating) {
        ("rating", |item| item.rating.unwrap_or_default())
    } else {
        ("score", |item| item.score)
    };
    let row = |item: &Listed| {
        let mut row = vec![item.rank.to_string(), item.item_id.clone(), item.title.clone()];
        row.push(match &item.reason {
            Some(reason) => reason.text.clone(),
            None => format!("{:.4}", value(item)),
        });
        row
    };
    let last = if has_reasons { "why" } else { last };
    let right: &[usize] = if has_reasons { &[0] } else { &[0, 3] };
    output::table(&["#", "item", "title", last], list.iter().map(row), right)
}

/// Says where an item stands and why.
fn place(explained: &Explained) -> String {
    let stands = match explained.rank {
        Some(rank) => format!("stands at place {rank}"),
        None => "was taken already and is not recommended again".into(),
    };
    let mut out = format!("“{}” {stands}.\n{}\n", explained.title, explained.reason.text);
    if !explained.parts.is_empty() {
        let rows = explained.parts.iter().map(|part| {
            vec![part.name.clone(), format!("{:.3}", part.weight), format!("{:+.3}", part.share)]
        });
        out.push('\n');
        out.push_str(&output::table(&["part", "weight", "adds to the score"], rows, &[1, 2]));
    }
    out
}
