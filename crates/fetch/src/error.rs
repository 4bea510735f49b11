//! What can go wrong on the way to weights and data, and what to do about it.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::{AssetFile, Kind};

/// Says why something could not be had.
#[derive(Debug, Error)]
pub enum Error {
    /// The catalogue has no such name.
    #[error(
        "unknown {kind} `{name}`: did you mean `{nearest}`? `tastemaker {kind} list` shows all names"
    )]
    Unknown {
        /// What was looked for.
        kind: Kind,
        /// The name asked for.
        name: String,
        /// The valid name most like it.
        nearest: &'static str,
    },
    /// A file in the cache is not what it should be. It may be the user's, so it stays.
    #[error(
        "{} is damaged or another version: its sha256 is {found}, expected {expected}; move it away and try again",
        path.display()
    )]
    WrongChecksum {
        /// The file.
        path: PathBuf,
        /// Checksum of the catalogue.
        expected: &'static str,
        /// Checksum of the file.
        found: String,
    },
    /// No source gave the files.
    #[error("cannot get {name}\n{}\nto do it by hand, put into {}: {}",
        listed(attempts), folder.display(), wanted(missing))]
    Unreachable {
        /// Name of the asset.
        name: &'static str,
        /// Every source and why it failed, in the order tried.
        attempts: Vec<Attempt>,
        /// Where the files belong.
        folder: PathBuf,
        /// The files that are missing there.
        missing: Vec<AssetFile>,
    },
    /// A file or folder of the cache cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file or folder of the cache cannot be written.
    #[error("cannot write {}: {source}; {}", path.display(), remedy(source.kind()))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// One source that was tried in vain.
#[derive(Debug, Error)]
#[error("{place}: {cause}")]
pub struct Attempt {
    /// The source.
    pub place: String,
    /// Why it failed.
    pub cause: Cause,
}

/// Says why a source failed.
#[derive(Debug, Error)]
pub enum Cause {
    /// Networking is switched off.
    #[error("not tried, since working offline")]
    Offline,
    /// The server could not be reached, or the connection broke.
    #[error("no connection: {0}")]
    Connection(String),
    /// The server refused.
    #[error("{file}: the server answers with status {status}")]
    Status {
        /// The file asked for.
        file: &'static str,
        /// HTTP status.
        status: u16,
    },
    /// What came is not what the catalogue promises.
    #[error("{file}: wrong checksum: sha256 is {found}, expected {expected}")]
    WrongChecksum {
        /// The file.
        file: &'static str,
        /// Checksum of the catalogue.
        expected: &'static str,
        /// Checksum of what came.
        found: String,
    },
    /// More came than the catalogue allows.
    #[error("{file}: larger than {limit} bytes")]
    TooLarge {
        /// The file.
        file: &'static str,
        /// Bytes allowed.
        limit: u64,
    },
    /// There is no pip.
    #[error("pip is not installed (tried {tried}); install Python's pip")]
    NoPip {
        /// The commands tried.
        tried: String,
    },
    /// pip failed.
    #[error("pip failed: {0}")]
    Pip(String),
    /// pip took too long and was stopped.
    #[error("pip was stopped after {0} s")]
    PipTime(u64),
    /// The package is not what it should be.
    #[error("bad package: {0}")]
    Package(String),
}

/// Tells a failing source, which leaves others to try, from a failing cache, which ends it all.
#[derive(Debug)]
pub(crate) enum Failure {
    Source(Cause),
    Cache(Error),
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self::Source(cause)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Cache(error)
    }
}

fn listed(attempts: &[Attempt]) -> String {
    let lines: Vec<String> = attempts.iter().map(|attempt| format!("  {attempt}")).collect();
    lines.join("\n")
}

fn wanted(files: &[AssetFile]) -> String {
    let names: Vec<String> =
        files.iter().map(|file| format!("{} (sha256 {})", file.name, file.sha256)).collect();
    names.join(", ")
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: free some space or choose another cache folder"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a cache folder that may be written"
        }
        _ => "check the cache folder",
    }
}
