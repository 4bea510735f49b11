//! `tastemaker train`.

use serde_json::json;
use tastemaker_engine::core::{Clock as _, SystemClock};
use tastemaker_engine::data::{Dataset, Staging};
use tastemaker_engine::{Trained, artifact, check_models, train};

use crate::args::Train;
use crate::context::Context;
use crate::output;

pub(crate) fn run(args: &Train, context: &Context) -> anyhow::Result<()> {
    let loaded = context.settings(&args.settings, &[])?;
    check_models(std::slice::from_ref(&args.model))?;
    // Whether --out can be written is found out before the work, not after it.
    drop(Staging::open(&args.out, artifact::FORMAT)?);
    let data = Dataset::open(&args.data)?;
    let trained = train(data, &loaded, &args.model, &context.places, context.progress.as_ref())?;
    let manifest =
        artifact::save(&trained, &args.data, &args.out, SystemClock::default().unix_seconds())?;
    trained.notes.iter().for_each(output::note);
    let value = json!({
        "model": manifest.model,
        "out": args.out,
        "parts": manifest.parts,
        "weights": trained.learned,
        "seconds": trained.seconds,
    });
    output::result(context.format, &value, || {
        let hint = format!(
            "next: tastemaker recommend --model {} --user ID --explain",
            args.out.display()
        );
        format!(
            "{}\nsaved {} in {} ({:.1} s)\n{hint}",
            weights(&trained),
            manifest.model,
            args.out.display(),
            trained.seconds
        )
    })
}

/// Shows the weights of a fused model by history length; empty for a single one.
pub(crate) fn weights(trained: &Trained) -> String {
    let Some(learned) = &trained.learned else { return String::new() };
    let mut header = vec!["history"];
    header.extend(learned.parts.iter().map(String::as_str));
    let mut from = 0;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for bucket in learned.gate.buckets() {
        let weights: Vec<String> = bucket.weights.iter().map(|w| format!("{w:.2}")).collect();
        let range = bucket.up_to.map_or(format!("{from}+"), |end| format!("{from}-{end}"));
        from = bucket.up_to.map_or(0, |end| end + 1);
        rows.push(std::iter::once(range).chain(weights).collect());
    }
    let right: Vec<usize> = (1..header.len()).collect();
    output::table(&header, rows, &right)
}
