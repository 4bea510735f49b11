//! Links and paths in Markdown files must lead somewhere in this repository.

use std::path::{Component, Path, PathBuf};

use super::source::{Fault, Source};

/// Checks one Markdown file; `exists` is asked with paths below the root.
pub(crate) fn check(source: &Source, exists: impl Fn(&Path) -> bool) -> Vec<Fault> {
    let here = Path::new(&source.path).parent().unwrap_or(Path::new(""));
    let mut faults = Vec::new();
    let mut fenced = false;
    for (number, line) in source.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let links = links(line).into_iter().map(|link| (link, here.join(link)));
        let paths =
            code(line).into_iter().filter(|p| exists(Path::new(first_part(p))) && is_path(p));
        for (said, path) in links.chain(paths.map(|path| (path, PathBuf::from(path)))) {
            if !normal(&path).is_some_and(|path| exists(&path)) {
                let what = format!("`{said}` leads nowhere: correct or drop it");
                faults.push(Fault::new(&source.path, number + 1, what));
            }
        }
    }
    faults
}

/// Returns the targets of `[text](target)` that are files, without their anchors.
fn links(line: &str) -> Vec<&str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets
        .filter_map(|(target, _)| target.split([' ', '#']).next())
        .filter(|target| {
            !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")
        })
        .collect()
}

/// Returns what stands between single backticks.
fn code(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// Tells whether a piece of code reads as a path from the root, without holes to fill in.
fn is_path(code: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    code.contains('/')
        && !code.contains("NNNN")
        && !code.contains("...")
        && code.chars().all(letter)
}

fn first_part(path: &str) -> &str {
    path.split('/').next().filter(|part| !part.is_empty()).unwrap_or("no such folder")
}

/// Resolves `..` by name; `None` when the path leaves the root.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => normal.pop().then_some(())?,
            Component::Normal(part) => normal.push(part),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let known = ["docs", "docs/style.md", "README.md", "crates", "crates/core", ""];
        let source = Source { path: "docs/page.md".into(), text: text.into() };
        let exists = |path: &Path| known.iter().any(|k| Path::new(k) == path);
        check(&source, exists).iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn links_are_followed_from_where_they_stand() {
        assert!(
            lines("[s](style.md#names) [r](../README.md) [w](https://x.y) [a](#here)").is_empty()
        );
        assert_eq!(lines("fine\n[gone](old.md) and ![p](../docs/none.png)"), [2, 2]);
        assert_eq!(lines("[outside](../../etc/passwd) [root](/etc/passwd)"), [1, 1]);
    }

    #[test]
    fn paths_in_backticks_must_exist_where_they_begin_with_a_known_folder() {
        assert_eq!(lines("see `crates/core` and `crates/gone/src`"), [1]);
        assert!(
            lines("`user/item`, `crates/*/tests`, `docs/NNNN-title.md`, `crates/<name>`")
                .is_empty()
        );
        assert!(lines("```\n[gone](old.md) `crates/gone`\n```").is_empty());
    }
}
