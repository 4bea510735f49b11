//! From the arguments of `tune` to a tuned encoder and words about it.

use tastemaker_engine::core::{FitError, SystemClock};
use tastemaker_engine::data::Dataset;
use tastemaker_engine::{Error, Places, TuneReport, Tuning};

use crate::args::Tune;
use crate::command::train::{end_with_a_checkpoint, state_folder};
use crate::context::Context;
use crate::output;

pub(crate) fn run(args: &Tune, context: &Context) -> anyhow::Result<()> {
    let mut flags = Vec::new();
    flags.extend(args.encoder.as_ref().map(|name| format!("text.encoder={name:?}")));
    flags.extend(args.split.as_ref().map(|kind| format!("split.kind={kind:?}")));
    let loaded = context.settings(&args.settings, &flags)?;
    let data = Dataset::open(&args.data)?;
    let state = state_folder(&args.out);
    let places = Places { checkpoints: Some(state.clone()), ..context.places.clone() };
    end_with_a_checkpoint(context)?;
    let tuning = Tuning {
        data: &data,
        loaded: &loaded,
        out: &args.out,
        places: &places,
        clock: &SystemClock::default(),
        progress: context.progress.as_ref(),
    };
    let report = tuning.run().map_err(|error| match error {
        Error::Fit { source: FitError::Cancelled { .. }, .. } if state.exists() => {
            anyhow::Error::from(error)
                .context(format!("the same command goes on from {}", state.display()))
        }
        other => other.into(),
    })?;
    output::result(context.format, &report, || words(&report, args))
}

fn words(report: &TuneReport, args: &Tune) -> String {
    let number = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), |x| format!("{x:.4}"));
    let (measure, sign) = match report.measure.strip_prefix('-') {
        Some(measure) => (measure, -1.0),
        None => (report.measure.as_str(), 1.0),
    };
    let number = |x: Option<f64>| number(x.map(|x| sign * x));
    let validation = format!("validation {measure}");
    let header = ["epoch", "loss", &validation, "seconds"];
    let rows = report.epochs.iter().enumerate().map(|(at, epoch)| {
        let of_epoch = (at + 1).to_string();
        let numbers = [format!("{:.4}", epoch.loss), number(epoch.validation)];
        [vec![of_epoch], numbers.to_vec(), vec![format!("{:.1}", epoch.seconds)]].concat()
    });
    format!(
        "{}\n\ntrained {} of {} parameters; validation {measure} {} before, {} after (epoch {}, {} users)\n\
         {}saved in {} ({:.1} s)\nnext: tastemaker evaluate --data {} --models text-knn --set text.encoder={}",
        output::table(&header, rows, &[0, 1, 2, 3]),
        report.trained_parameters,
        report.parameters,
        number(report.validation_before),
        number(report.validation_after),
        report.best_epoch,
        report.validation_users,
        facts(report),
        report.out.display(),
        report.seconds,
        args.data.display(),
        report.out.display(),
    )
}

/// Says what else is known of the encoder, a line for each fact; nothing where that is the measure alone.
fn facts(report: &TuneReport) -> String {
    let is_known_before = |name: &&&str| report.facts_before.contains_key(**name);
    if report.facts_after.len() == 1 && report.facts_after.keys().all(|name| is_known_before(&name))
    {
        return String::new();
    }
    let line = |(name, after): (&&str, &f64)| match report.facts_before.get(name) {
        Some(before) => format!("{name} {before:.4} before, {after:.4} after\n"),
        None => format!("{name} {after:.4}\n"),
    };
    report.facts_after.iter().map(line).collect()
}
