//! All rules over all files.

use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

use super::{
    floors, links, rules,
    source::{Fault, ignored, read_all},
    versions,
};

/// Fails with every broken rule.
pub(crate) fn run(root: &Path) -> Result<()> {
    let faults = faults(root)?;
    if faults.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = faults.iter().map(|fault| format!("  {fault}")).collect();
    bail!("the house is not tidy; to repeat it: cargo xtask tidy\n{}", lines.join("\n"));
}

fn faults(root: &Path) -> Result<Vec<Fault>> {
    let sources = read_all(root)?;
    let ignored = ignored(root);
    // What a build left here is not there for the next reader.
    let exists = |path: &Path| {
        let path = root.join(path);
        path.exists() && !ignored.iter().any(|folder| path.starts_with(folder))
    };
    let mut faults = Vec::new();
    let mut rust = Vec::new();
    for source in &sources {
        match source.path.rsplit('.').next() {
            Some("rs") => {
                faults.extend(rules::file(source));
                rust.push(source.path.as_str());
            }
            Some("md") => faults.extend(links::check(source, exists)),
            _ if source.path.ends_with("/Cargo.toml") => faults.extend(versions::check(source)?),
            _ => {}
        }
    }
    faults.extend(rules::folders(&rust));
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec();
    let metadata = metadata.context("cargo metadata failed")?;
    faults.extend(floors::check(&floors::House::of(&metadata)?));
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_house_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let lines: Vec<String> = faults(root).unwrap().iter().map(Fault::to_string).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }
}
