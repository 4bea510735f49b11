//! Everything a change must pass, the quick parts first. The test runner comes last, so that its summary closes the output.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::TargetKind;

use crate::{
    step::{Step, cargo, timed},
    targets::{built, targets},
    tidy,
};

const CLIPPY: &[&str] = &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
const DOC: &[&str] = &["doc", "--workspace", "--no-deps"];
const DOC_TESTS: &[&str] = &["test", "--workspace", "--doc"];
// All at once: `cargo run --package` would build every crate again with other features.
const EXAMPLES: &[&str] = &["build", "--workspace", "--examples"];
const NEXTEST: &[&str] = &["nextest", "run", "--workspace", "--profile", "ci"];
const TESTS: &[&str] = &["test", "--workspace", "--lib", "--bins", "--tests"];
/// Tests that say by their names that they need a service, on those that `.ci/run` starts.
const LIVE: &[&str] = &[
    "nextest",
    "run",
    "--workspace",
    "--profile",
    "ci",
    "--features",
    "tastemaker-store/live,tastemaker-serve/live,tastemaker-cli/live",
    "-E",
    "test(live_postgres) + binary(live_dashboard)",
];
const AS_CI: &[(&str, &str)] = &[("CI", "true"), ("INSTA_UPDATE", "no")];

pub(crate) fn run(root: &Path) -> Result<()> {
    let step = |name: &str, args: &[&str], env: &[(&str, &str)]| Step { name, args, env }.run(root);
    step("formatting", &["fmt", "--all", "--check"], &[])?;
    timed("tidiness", || tidy::run(root))?;
    step("lints", CLIPPY, &[])?;
    step("documentation", DOC, &[("RUSTDOCFLAGS", "-D warnings")])?;
    step("examples in documentation", DOC_TESTS, AS_CI)?;
    step("examples", EXAMPLES, &[])?;
    run_examples(root)?;
    step("tests", if has_nextest(root) { NEXTEST } else { TESTS }, AS_CI)?;
    if runs_services() {
        step("tests with a Postgres and a browser", LIVE, AS_CI)?;
    } else {
        println!(
            "==> tests with a Postgres and a browser: left out, as TASTEMAKER_TEST_POSTGRES names no database; `.ci/run` starts one"
        );
    }
    println!("==> all well");
    Ok(())
}

/// Runs the examples of `engine`, which show how the library is used; others measure files they are given, and are only built.
fn run_examples(root: &Path) -> Result<()> {
    let folder = built(root)?.join("debug/examples");
    let all = targets(root, &TargetKind::Example)?.into_iter();
    for (_, example) in all.filter(|(package, _)| package == "tastemaker-engine") {
        timed(&format!("example {example}"), || {
            let status = Command::new(folder.join(&example)).current_dir(root).status();
            if !status.with_context(|| format!("{example} cannot be started"))?.success() {
                bail!(
                    "{example} failed; to repeat it: cargo run -p tastemaker-engine --example {example}"
                );
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn runs_services() -> bool {
    std::env::var_os("TASTEMAKER_TEST_POSTGRES").is_some()
}

fn has_nextest(root: &Path) -> bool {
    let version = cargo(root).args(["nextest", "--version"]).output();
    version.is_ok_and(|output| output.status.success())
}
