//! New output of tests taken as the expected one, and shown for review.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::step::cargo;

pub(crate) fn run(root: &Path) -> Result<()> {
    let status = cargo(root)
        .args(["test", "--workspace", "--no-fail-fast"])
        .env("INSTA_UPDATE", "always")
        .env("INSTA_FORCE_PASS", "1")
        .env("CI", "false")
        .status()
        .context("cargo cannot be started")?;
    git(root, &["status", "--short", "--", "*.snap"])?;
    git(root, &["--no-pager", "diff", "--", "*.snap"])?;
    if !status.success() {
        bail!("some tests fail for other reasons than their snapshots");
    }
    Ok(())
}

fn git(root: &Path, args: &[&str]) -> Result<()> {
    let status = Command::new("git").args(args).current_dir(root).status();
    match status.context("git cannot be started")?.success() {
        true => Ok(()),
        false => bail!("git {} failed", args.join(" ")),
    }
}
