//! Trains the next model of a serving one.

use std::io::Read as _;

use tastemaker_engine::artifact;
use tastemaker_engine::core::SystemClock;
use tastemaker_engine::retrain::{Report, Retraining, report_path};

use super::Retrain;
use crate::args::ConfigArgs;
use crate::context::Context;
use crate::output::{self, thousands};

pub(crate) fn run(args: &Retrain, context: &Context) -> anyhow::Result<()> {
    if args.end_with_stdin {
        std::thread::spawn(end_with_stdin);
    }
    let seed = args.settings.seed.unwrap_or(artifact::manifest(&args.serving)?.seed);
    let settings = ConfigArgs { seed: Some(seed), ..args.settings.clone() };
    let loaded = context.settings(&settings, &[])?;
    let report = Retraining {
        serving: &args.serving,
        changes: &args.changes,
        out: &args.out,
        loaded: &loaded,
        rule: args.rule.rule(),
        places: &context.places,
        clock: &SystemClock::default(),
        progress: context.progress.as_ref(),
    }
    .run()?;
    output::result(context.format, &report, || text(&report, args))
}

/// Waits for the end of stdin, and ends the process with it.
fn end_with_stdin() {
    let mut rest = [0; 256];
    while std::io::stdin().read(&mut rest).is_ok_and(|n| n > 0) {}
    #[expect(clippy::exit, reason = "whoever started it is gone, and nobody waits for the model")]
    std::process::exit(1);
}

fn text(report: &Report, args: &Retrain) -> String {
    let merged = &report.merged;
    let mut out = format!(
        "{} events: {} of the serving model's data, {} new, {} left out as erased\n{}\n",
        thousands(merged.of_serving + merged.new),
        thousands(merged.of_serving),
        thousands(merged.new),
        thousands(merged.erased),
        report.why,
    );
    for note in &report.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    let word = if report.promote { "promote it" } else { "leave the serving model where it is" };
    out.push_str(&format!(
        "\nsaved {} in {} ({:.1} s), and {}\nby the rule: {word}",
        report.model,
        args.out.display(),
        report.seconds,
        report_path(&args.out).display(),
    ));
    out
}
