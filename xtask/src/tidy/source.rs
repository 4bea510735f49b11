//! The files of this workspace as the rules see them, and what a rule finds.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// A file that a rule looks at; the path is below the root, with `/`.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) path: String,
    /// Counts from 1; 0 where no line is to blame.
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Fault {
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.into(), line, what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// Returns the folders that `.gitignore` names outright: what builds and runs leave, absent from a fresh clone.
pub(crate) fn ignored(root: &Path) -> Vec<PathBuf> {
    let lines = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    lines.lines().map(|line| root.join(line.trim_matches('/'))).collect()
}

/// Reads all Rust, Markdown and TOML files below `root`, in order of their paths.
///
/// Hidden folders are passed over, and so are those that `.gitignore` names outright.
pub(crate) fn read_all(root: &Path) -> Result<Vec<Source>> {
    let ignored = ignored(root);
    let mut sources = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
            if path.is_dir() && !hidden && !ignored.contains(&path) {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs" || e == "md" || e == "toml") {
                let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                let below = path.strip_prefix(root).unwrap_or(&path);
                let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
                sources.push(Source { path: parts.join("/"), text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}
