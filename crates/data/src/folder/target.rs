//! The folder to be written: where it really lies, and whether what stands there may be replaced.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::MANIFEST;
use crate::Error;

/// Returns where `out` lies once links are followed, so that a rename never hits a link.
pub(super) fn resolve(out: &Path) -> Result<PathBuf, Error> {
    match fs::symlink_metadata(out) {
        Ok(_) => fs::canonicalize(out).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => failed(out, "it is a link that leads nowhere"),
            _ => cannot_write(out, source),
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(out.into()),
        Err(e) => Err(cannot_write(out, e)),
    }
}

/// Checks that `place` is absent, empty, or holds what its manifest lists and nothing else; errors call it `out`.
pub(super) fn check(place: &Path, out: &Path, format: &'static str) -> Result<(), Error> {
    let occupied = |stranger| Error::Occupied { path: out.into(), format, stranger };
    let names = match fs::read_dir(place).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(cannot_write(out, e)),
    };
    if names.is_empty() {
        return Ok(());
    }
    let own = Own::read(place).filter(|own| own.format == format).ok_or_else(|| occupied(None))?;
    match own.stranger(place, "") {
        Ok(None) => Ok(()),
        Ok(stranger) => Err(occupied(stranger)),
        Err(e) => Err(cannot_write(out, e)),
    }
}

/// What a manifest says about its folder.
#[derive(Deserialize)]
struct Own {
    format: String,
    #[serde(default)]
    files: BTreeMap<String, IgnoredAny>,
}

impl Own {
    fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(MANIFEST)).ok()?).ok()
    }

    /// Finds something that the manifest does not list; `inside` is the way to `folder`, ending in `/`.
    fn stranger(&self, folder: &Path, inside: &str) -> io::Result<Option<String>> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = format!("{inside}{}", entry.file_name().to_string_lossy());
            let within = format!("{name}/");
            let stranger = if !entry.file_type()?.is_dir() {
                let listed = name == MANIFEST || self.files.contains_key(&name);
                (!listed).then_some(name)
            } else if self.files.keys().any(|file| file.starts_with(&within)) {
                self.stranger(&entry.path(), &within)?
            } else {
                Some(name)
            };
            if stranger.is_some() {
                return Ok(stranger);
            }
        }
        Ok(None)
    }
}

/// Keeps "not found" from being taken for a missing source.
pub(super) fn cannot_write(out: &Path, source: io::Error) -> Error {
    match Error::io("write", out, source) {
        Error::NotFound { .. } => failed(out, "its parent folder cannot be made"),
        other => other,
    }
}

fn failed(out: &Path, why: &'static str) -> Error {
    let source = io::Error::new(io::ErrorKind::NotFound, why);
    Error::Io { doing: "write", path: out.into(), source }
}
