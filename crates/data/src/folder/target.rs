//! The folder to be written: where it really lies, and whether what stands there may be replaced.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

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

/// Checks that `place` is absent, empty, or a folder whose manifest says `format`; errors call it `out`.
pub(super) fn check(place: &Path, out: &Path, format: &'static str) -> Result<(), Error> {
    let mut names = match fs::read_dir(place) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(cannot_write(out, e)),
    };
    let replaceable = names.next().is_none() || format_of(place).as_deref() == Some(format);
    if replaceable { Ok(()) } else { Err(Error::Occupied { path: out.into(), format }) }
}

/// Returns what the manifest of a folder calls itself.
fn format_of(folder: &Path) -> Option<String> {
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join(MANIFEST)).ok()?).ok()?;
    Some(manifest.get("format")?.as_str()?.to_owned())
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
