//! What the workspace builds beside its crates: benches and examples, by name.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{MetadataCommand, TargetKind};

/// Lists package and name of every target of this kind, in order.
pub(crate) fn targets(root: &Path, kind: &TargetKind) -> Result<Vec<(String, String)>> {
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec();
    let metadata = metadata.context("cargo metadata failed")?;
    let mut found = Vec::new();
    for package in &metadata.packages {
        for target in package.targets.iter().filter(|target| target.kind.contains(kind)) {
            found.push((package.name.to_string(), target.name.clone()));
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the folder of what is built.
pub(crate) fn built(root: &Path) -> Result<PathBuf> {
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec();
    Ok(metadata.context("cargo metadata failed")?.target_directory.into_std_path_buf())
}
