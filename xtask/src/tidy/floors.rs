//! The floors of the house: a crate imports only from floors below its own. Tests may look anywhere.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata};

use super::source::Fault;

/// Name, and who imports whom.
pub(crate) struct House {
    /// Floor of each crate, as the root manifest has it.
    floors: BTreeMap<String, u64>,
    /// Every crate of the workspace with those it imports, for tests (`true`) or for good.
    imports: BTreeMap<String, Vec<(String, bool)>>,
}

impl House {
    /// Reads the house off the workspace.
    pub(crate) fn of(metadata: &Metadata) -> Result<Self> {
        let floors =
            metadata.workspace_metadata.get("floors").and_then(|floors| floors.as_object());
        let floors = floors.context("Cargo.toml has no [workspace.metadata.floors]")?;
        let floors = floors
            .iter()
            .map(|(name, floor)| Some((name.clone(), floor.as_u64()?)))
            .collect::<Option<_>>()
            .context("a floor must be a number")?;
        let mut imports = BTreeMap::new();
        for package in &metadata.packages {
            let inside = package.dependencies.iter().filter(|d| d.path.is_some());
            let inside = inside.map(|d| (short(&d.name), d.kind == DependencyKind::Development));
            imports.insert(short(&package.name), inside.collect());
        }
        Ok(Self { floors, imports })
    }
}

/// Lists every import that does not lead down, and every crate without a floor that is not for tests or chores alone.
pub(crate) fn check(house: &House) -> Vec<Fault> {
    let fault = |name: &str, what: String| Fault::new(&format!("crate {name}"), 0, what);
    let mut faults = Vec::new();
    let for_tests: BTreeSet<&str> = (house.imports.values().flatten())
        .filter(|(_, for_tests)| *for_tests)
        .map(|(name, _)| name.as_str())
        .collect();
    for (name, imports) in &house.imports {
        let floor = house.floors.get(name);
        if floor.is_none() && name != "xtask" && !for_tests.contains(name.as_str()) {
            faults.push(fault(name, "has no floor: add it to [workspace.metadata.floors]".into()));
        }
        for (other, _) in imports.iter().filter(|(_, for_tests)| !for_tests) {
            let Some(floor) = floor else { continue };
            match house.floors.get(other) {
                Some(below) if below < floor => {}
                Some(there) => faults.push(fault(
                    name,
                    format!("on floor {floor} imports {other} on floor {there}: imports lead down"),
                )),
                None => faults.push(fault(name, format!("imports {other}, which has no floor"))),
            }
        }
    }
    for name in house.floors.keys().filter(|name| !house.imports.contains_key(*name)) {
        faults.push(fault(name, "has a floor but does not exist".into()));
    }
    faults
}

fn short(package: &str) -> String {
    package.strip_prefix("tastemaker-").unwrap_or(package).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(floors: &[(&str, u64)], imports: &[(&str, &[(&str, bool)])]) -> Vec<String> {
        let floors = floors.iter().map(|&(name, floor)| (name.to_owned(), floor)).collect();
        let owned = |list: &[(&str, bool)]| list.iter().map(|&(n, t)| (n.to_owned(), t)).collect();
        let imports = imports.iter().map(|&(name, list)| (name.to_owned(), owned(list))).collect();
        check(&House { floors, imports }).iter().map(Fault::to_string).collect()
    }

    #[test]
    fn imports_lead_down_and_tests_may_look_anywhere() {
        let floors = [("core", 1), ("data", 2), ("text", 2)];
        let core: (&str, &[(&str, bool)]) = ("core", &[("kit", true)]);
        let good: [(&str, &[(&str, bool)]); 5] = [
            core,
            ("data", &[("core", false), ("text", true)]),
            ("text", &[("core", false)]),
            ("kit", &[("core", false)]),
            ("xtask", &[]),
        ];
        assert!(faults(&floors, &good).is_empty());

        let bad: [(&str, &[(&str, bool)]); 4] =
            [core, ("data", &[("text", false)]), ("text", &[("kit", false)]), ("kit", &[])];
        let faults = faults(&floors, &bad);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("data: on floor 2 imports text on floor 2"), "{faults:?}");
        assert!(faults[1].contains("text: imports kit, which has no floor"), "{faults:?}");
    }

    #[test]
    fn crates_without_floors_and_floors_without_crates_are_found() {
        let faults = faults(&[("core", 1), ("gone", 2)], &[("core", &[]), ("new", &[])]);
        assert!(faults[0].contains("new: has no floor"), "{faults:?}");
        assert!(faults[1].contains("gone: has a floor but"), "{faults:?}");
    }
}
