//! `tastemaker train`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;
use tastemaker_engine::core::{Clock as _, FitError, SystemClock};
use tastemaker_engine::data::{Dataset, Staging};
use tastemaker_engine::{Error, Places, Trained, artifact, check_models, train};

use crate::args::Train;
use crate::context::Context;
use crate::output;

pub(crate) fn run(args: &Train, context: &Context) -> anyhow::Result<()> {
    let loaded = context.settings(&args.settings, &[])?;
    check_models(std::slice::from_ref(&args.model))?;
    // Whether --out can be written is found out before the work, not after it.
    drop(Staging::open(&args.out, artifact::FORMAT)?);
    let data = Dataset::open(&args.data)?;
    let state = state_folder(&args.out);
    let places = Places { checkpoints: Some(state.clone()), ..context.places.clone() };
    end_with_a_checkpoint(context)?;
    let trained = train(data, &loaded, &args.model, &places, context.progress.as_ref());
    let trained = trained.map_err(|error| match error {
        // What led there is of no use to a fit with other settings.
        Error::Fit { model, source: FitError::Diverged { .. } } => {
            artifact::forget_training_of(&state, model);
            error.into()
        }
        Error::Fit { source: FitError::Cancelled { .. }, .. } if state.exists() => {
            anyhow::Error::from(error)
                .context(format!("the same command goes on from {}", state.display()))
        }
        other => other.into(),
    })?;
    let manifest =
        artifact::save(&trained, &args.data, &args.out, SystemClock::default().unix_seconds())?;
    artifact::forget_training(&state);
    // The model is saved: what lies beside it may be missing.
    let (curves, missing) = match artifact::save_curves(&trained.trainings, &args.out) {
        Ok(curves) => (curves, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    trained.notes.iter().for_each(output::note);
    let value = json!({
        "model": manifest.model,
        "out": args.out,
        "parts": manifest.parts,
        "weights": trained.learned,
        "seconds": trained.seconds,
        "curves": curves,
    });
    output::result(context.format, &value, || {
        let hint = format!(
            "next: tastemaker recommend --model {} --user ID --explain",
            args.out.display()
        );
        format!(
            "{}\nsaved {} in {} ({:.1} s){}\n{hint}",
            weights(&trained),
            manifest.model,
            args.out.display(),
            trained.seconds,
            also(&curves),
        )
    })?;
    if let Some(error) = missing {
        output::note(format!("the model is saved, the course of its training is not: {error}"));
    }
    Ok(())
}

/// Says where the curves of a training are; empty without.
fn also(curves: &[PathBuf]) -> String {
    let names: Vec<String> = curves.iter().map(|path| path.display().to_string()).collect();
    if names.is_empty() { String::new() } else { format!("\nits course: {}", names.join(", ")) }
}

/// Returns the folder beside `out` that holds the state of a fit under way.
pub(crate) fn state_folder(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".training");
    out.with_file_name(name)
}

/// Lets the first Ctrl-C end the work where it can be gone on with, and the second end it at once. A model that does not
/// learn by epochs has no such place, and runs to its end.
pub(crate) fn end_with_a_checkpoint(context: &Context) -> anyhow::Result<()> {
    let progress = context.progress.clone();
    ctrlc::set_handler(move || {
        if progress.cancel() {
            #[expect(
                clippy::exit,
                reason = "who asks twice wants out now; 130 is the code of this signal"
            )]
            std::process::exit(130);
        }
        progress.pause(|| output::note("stopping after this step; Ctrl-C again stops at once"));
    })
    .context("cannot listen for Ctrl-C")
}

/// Features of trees that are told.
const TOLD: usize = 6;

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
    let table = output::table(&header, rows, &right);
    let Some(grown) = &learned.trees else { return table };
    if grown.trees == 0 {
        return format!("{table}\ntrees were no better on validation lists: none is used");
    }
    let said = grown.importance.iter().take(TOLD);
    let said: Vec<String> =
        said.map(|(name, share)| format!("{name} {:.0} %", share * 100.0)).collect();
    format!("{table}\n{} trees order the first items anew, by {}", grown.trees, said.join(", "))
}
