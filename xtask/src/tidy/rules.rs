//! Rules for Rust files: what they open with, how large they and their folders are, and what a door may hold.

use std::collections::BTreeMap;

use super::source::{Fault, Source};

const MAX_LINES: usize = 600;
const MAX_FILES: usize = 12;

/// Checks one Rust file.
pub(crate) fn file(source: &Source) -> Vec<Fault> {
    let Source { path, text } = source;
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(Fault::new(path, 1, "must open with `//!`: what is it for, in one line"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        let what =
            format!("has {lines} lines, more than {MAX_LINES}: split it by what is read apart");
        faults.push(Fault::new(path, 0, what));
    }
    if path.ends_with("/mod.rs") {
        faults.extend(beyond_a_door(source));
    }
    faults
}

/// Checks how many Rust files each folder holds.
pub(crate) fn folders(paths: &[&str]) -> Vec<Fault> {
    let mut counts = BTreeMap::new();
    for path in paths {
        let folder = path.rsplit_once('/').map_or(".", |(folder, _)| folder);
        *counts.entry(folder).or_insert(0) += 1;
    }
    let full = counts.into_iter().filter(|&(_, count)| count > MAX_FILES);
    full.map(|(folder, count)| {
        Fault::new(folder, 0, format!("holds {count} Rust files, more than {MAX_FILES}"))
    })
    .collect()
}

/// Finds the first thing in a `mod.rs` that is neither a module nor a name handed on.
fn beyond_a_door(source: &Source) -> Option<Fault> {
    let mut inside = false;
    for (number, line) in source.text.lines().enumerate() {
        let line = line.split("//").next().unwrap_or("").trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let begins = ["mod ", "use "].iter().any(|word| without_visibility(line).starts_with(word));
        let defines =
            begins && without_visibility(line).starts_with("mod ") && !line.ends_with(';');
        if (!inside && !begins) || defines {
            let what = "a `mod.rs` only declares modules and hands on names: move this into a file";
            return Some(Fault::new(&source.path, number + 1, what));
        }
        inside = !line.ends_with(';');
    }
    None
}

fn without_visibility(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("pub") else { return line };
    let rest = match rest.strip_prefix('(') {
        Some(inside) => inside.split_once(')').map_or("", |(_, rest)| rest),
        None => rest,
    };
    rest.trim_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<usize> {
        let source = Source { path: path.into(), text: text.into() };
        file(&source).iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn a_file_opens_with_its_purpose() {
        assert!(check("a/b.rs", "//! Adds.\nfn add() {}\n").is_empty());
        assert_eq!(check("a/b.rs", "// Adds.\n"), [1]);
        assert_eq!(check("a/b.rs", ""), [1]);
    }

    #[test]
    fn six_hundred_lines_are_the_wall() {
        assert!(check("a/b.rs", &"//!\n".repeat(600)).is_empty());
        assert_eq!(check("a/b.rs", &"//!\n".repeat(601)), [0]);
    }

    #[test]
    fn a_door_declares_and_hands_on_names_alone() {
        let door = "//! Door.\n\nmod a;\n/// B.\npub mod b; // why\n#[cfg(test)]\nmod tests;\npub(crate) use a::{\n    One, Two,\n};\nuse b::*;\n";
        assert!(check("x/mod.rs", door).is_empty());
        assert_eq!(check("x/mod.rs", "//! Door.\nmod a;\n\npub fn f() {}\n"), [4]);
        assert_eq!(check("x/mod.rs", "//! Door.\nconst A: u8 = 1;\n"), [2]);
        assert_eq!(check("x/mod.rs", "//! Door.\nmod tests {\n}\n"), [2]);
        assert_eq!(check("x/mod.rs", "//! Door.\npub use a::{\n B,\n};\nstruct C;\n"), [5]);
        assert!(check("x/other.rs", "//! Code.\nfn f() {}\n").is_empty());
    }

    #[test]
    fn a_folder_holds_twelve_files_and_sub_folders_count_apart() {
        let mut paths: Vec<String> = (0..12).map(|i| format!("a/{i}.rs")).collect();
        paths.push("a/b/c.rs".into());
        let full =
            |paths: &[String]| folders(&paths.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(full(&paths).is_empty());
        paths.push("a/13.rs".into());
        assert_eq!(full(&paths)[0].path, "a");
    }
}
