//! Everything a change must pass, the quick parts first. The test runner comes last, so that its summary closes the output.

use std::path::Path;

use anyhow::Result;
use cargo_metadata::TargetKind;

use crate::{
    step::{Step, cargo, timed},
    targets::targets,
    tidy,
};

const CLIPPY: &[&str] = &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
const DOC: &[&str] = &["doc", "--workspace", "--no-deps"];
const DOC_TESTS: &[&str] = &["test", "--workspace", "--doc"];
const NEXTEST: &[&str] = &["nextest", "run", "--workspace", "--profile", "ci"];
const TESTS: &[&str] = &["test", "--workspace", "--lib", "--bins", "--tests"];
const AS_CI: &[(&str, &str)] = &[("CI", "true"), ("INSTA_UPDATE", "no")];

pub(crate) fn run(root: &Path) -> Result<()> {
    let step = |name: &str, args: &[&str], env: &[(&str, &str)]| Step { name, args, env }.run(root);
    step("formatting", &["fmt", "--all", "--check"], &[])?;
    timed("tidiness", || tidy::run(root))?;
    step("lints", CLIPPY, &[])?;
    step("documentation", DOC, &[("RUSTDOCFLAGS", "-D warnings")])?;
    step("examples in documentation", DOC_TESTS, AS_CI)?;
    // Those of `engine` show how the library is used; others measure files they are given, and are only built.
    let shown = targets(root, &TargetKind::Example)?.into_iter();
    for (package, example) in shown.filter(|(package, _)| package == "tastemaker-engine") {
        let args = ["run", "--quiet", "--package", &package, "--example", &example];
        step(&format!("example {example}"), &args, &[])?;
    }
    step("tests", if has_nextest(root) { NEXTEST } else { TESTS }, AS_CI)?;
    println!("==> all well");
    Ok(())
}

fn has_nextest(root: &Path) -> bool {
    let version = cargo(root).args(["nextest", "--version"]).output();
    version.is_ok_and(|output| output.status.success())
}
