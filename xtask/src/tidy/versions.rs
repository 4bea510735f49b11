//! A version of a dependency is written once, in the root manifest; the crates say `workspace = true`.

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::source::{Fault, Source};

const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks the manifest of one crate.
pub(crate) fn check(source: &Source) -> Result<Vec<Fault>> {
    let manifest: Table = source.text.parse().with_context(|| source.path.clone())?;
    let mut tables = vec![&manifest];
    let targets = manifest.get("target").and_then(Value::as_table);
    tables.extend(targets.into_iter().flat_map(Table::values).filter_map(Value::as_table));
    let mut faults = Vec::new();
    for section in tables.iter().flat_map(|t| SECTIONS.iter().filter_map(|s| t.get(*s)?.as_table()))
    {
        for (name, dependency) in section {
            if dependency.get("workspace") != Some(&Value::Boolean(true)) {
                let what =
                    format!("`{name}` must say `workspace = true`: versions stand in the root");
                faults.push(Fault::new(&source.path, 0, what));
            }
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_paths_outside_the_root_are_found() {
        let text = r#"
            [dependencies]
            a = { workspace = true, features = ["x"] }
            b = "1"
            [dev-dependencies]
            c = { path = "../c" }
            d.workspace = true
            [target.'cfg(unix)'.dependencies]
            e = { version = "2" }
        "#;
        let source = Source { path: "crates/a/Cargo.toml".into(), text: text.into() };
        let faults: Vec<String> = check(&source).unwrap().into_iter().map(|f| f.what).collect();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(
            faults.iter().zip(["`b`", "`c`", "`e`"]).all(|(fault, name)| fault.starts_with(name))
        );
    }
}
