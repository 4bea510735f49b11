//! Chores of this workspace: `cargo xtask check` and its parts. Needs nothing but cargo.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people at a terminal"
)]

mod accept;
mod bench;
mod check;
mod step;
mod targets;
mod tidy;

use std::{path::Path, process::ExitCode};

use anyhow::{Result, bail};

const HELP: &str = "\
usage: cargo xtask <chore>

  check          formatting, tidiness, lints, documentation, examples, tests; what CI runs
  tidy           the house rules alone: floors, sizes, doors, links
  accept         runs the tests, takes their output as the new snapshots, shows what changed
  bench [NAME]   runs the benches (whose name contains NAME) and compares with the saved baseline
  bench --save   the same, and makes the outcome the new baseline";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    match words {
        ["check"] => check::run(root)?,
        ["tidy"] => tidy::run(root)?,
        ["accept"] => accept::run(root)?,
        ["bench", rest @ ..] => bench::run(root, rest)?,
        ["help" | "--help" | "-h"] => println!("{HELP}"),
        [] => {
            eprintln!("{HELP}");
            return Ok(ExitCode::from(2));
        }
        [chore, ..] => bail!("unknown chore `{chore}`\n\n{HELP}"),
    }
    Ok(ExitCode::SUCCESS)
}
