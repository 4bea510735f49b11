//! The binary: parse, call, exit code. Everything it knows comes from `tastemaker-engine`.

mod args;
mod command;
mod context;
mod output;
mod progress;
mod side_files;

use std::process::ExitCode;

use clap::Parser as _;
use tastemaker_engine::{Error, fetch, index};

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let context = match context::Context::new(&cli.global) {
        Ok(context) => context,
        Err(error) => return fail(&error),
    };
    match command::run(&cli.command, &context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            context.progress.clear();
            fail(&error)
        }
    }
}

/// Prints the error and picks the exit code: 2 for wrong usage, 1 for everything else; a closed pipe is no failure.
fn fail(error: &anyhow::Error) -> ExitCode {
    let broken_pipe = |e: &(dyn std::error::Error + 'static)| {
        e.downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(broken_pipe) {
        return ExitCode::SUCCESS;
    }
    output::complain(error);
    let is_usage = error.downcast_ref::<command::Usage>().is_some()
        || matches!(
            error.downcast_ref::<Error>(),
            Some(
                Error::Config { .. }
                    | Error::ConfigSyntax { .. }
                    | Error::UnknownModel { .. }
                    | Error::UnknownTask { .. }
                    | Error::VectorFormat { .. }
                    | Error::IdName { .. }
                    | Error::Index(index::Error::Settings(_))
                    | Error::Fetch(fetch::Error::Unknown { .. })
            )
        )
        || matches!(error.downcast_ref(), Some(fetch::Error::Unknown { .. }));
    ExitCode::from(if is_usage { 2 } else { 1 })
}
