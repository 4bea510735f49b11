//! The folder of one asset in the cache: which files are there and sound, and how new ones get in.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{Asset, AssetFile, Cause, Error, error::Failure};

/// A file enters under its final name only when its checksum is right.
pub(crate) struct Folder {
    path: PathBuf,
    /// Beside `path`, hidden: the lock and what is being assembled.
    beside: PathBuf,
    name: &'static str,
}

impl Folder {
    pub(crate) fn of(asset: &Asset, cache: &Path) -> Self {
        let beside = cache.join(asset.kind.name());
        Self { path: beside.join(asset.name), beside, name: asset.name }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns where `file` belongs.
    pub(crate) fn place_of(&self, file: &AssetFile) -> PathBuf {
        self.path.join(file.name)
    }

    /// Returns the name under which `file` arrives.
    pub(crate) fn part_of(&self, file: &AssetFile) -> PathBuf {
        self.path.join(format!("{}.part", file.name))
    }

    /// Lists the files that are not there; one that is there with other bytes is an error.
    pub(crate) fn missing(&self, asset: &Asset) -> Result<Vec<AssetFile>, Error> {
        let mut missing = Vec::new();
        for file in asset.files {
            let path = self.place_of(file);
            match sha256(&path) {
                Ok(found) if found == file.sha256 => {}
                Ok(found) => {
                    return Err(Error::WrongChecksum { path, expected: file.sha256, found });
                }
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) =>
                {
                    missing.push(*file);
                }
                Err(source) => return Err(Error::Read { path, source }),
            }
        }
        Ok(missing)
    }

    /// Keeps other processes and threads out until the returned file is dropped.
    ///
    /// `None` where the file system knows no locks: checksums then still keep the result right.
    pub(crate) fn lock(&self, waiting: impl FnOnce()) -> Result<Option<File>, Error> {
        fs::create_dir_all(&self.beside).map_err(cannot_write(&self.beside))?;
        let path = self.beside.join(format!(".{}.lock", self.name));
        let file = File::create(&path).map_err(cannot_write(&path))?;
        let locked = match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock()
            }
            Err(TryLockError::Error(e)) => Err(e),
            Ok(()) => Ok(()),
        };
        match locked {
            Ok(()) => {
                self.sweep();
                Ok(Some(file))
            }
            Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    /// Opens an empty folder on the same disk that goes away with its handle.
    pub(crate) fn staging(&self) -> Result<tempfile::TempDir, Error> {
        tempfile::Builder::new()
            .prefix(&self.staging_prefix())
            .tempdir_in(&self.beside)
            .map_err(cannot_write(&self.beside))
    }

    /// Moves a finished file to its place, or returns its wrong checksum and leaves it where it is.
    pub(crate) fn admit(&self, file: &AssetFile, from: &Path) -> Result<(), Failure> {
        let found =
            sha256(from).map_err(|source| Error::Read { path: from.to_path_buf(), source })?;
        if found != file.sha256 {
            let expected = file.sha256;
            return Err(Cause::WrongChecksum { file: file.name, expected, found }.into());
        }
        let to = self.place_of(file);
        make_parent(&to)?;
        fs::rename(from, &to).map_err(cannot_write(&to))?;
        Ok(())
    }

    fn staging_prefix(&self) -> String {
        format!(".{}.staging-", self.name)
    }

    /// Removes what killed processes left behind; called with the lock held.
    fn sweep(&self) {
        let prefix = self.staging_prefix();
        for entry in fs::read_dir(&self.beside).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                // What cannot be removed is only untidy.
                drop(fs::remove_dir_all(entry.path()));
            }
        }
    }
}

pub(crate) fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    |source| Error::Write { path, source }
}

pub(crate) fn make_parent(path: &Path) -> Result<(), Error> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(cannot_write(parent)),
        None => Ok(()),
    }
}

/// Says which end of a copy failed.
pub(crate) enum Torn {
    From(io::Error),
    To(io::Error),
    /// There was more than the limit.
    TooMuch,
}

/// Copies at most `limit` bytes and tells after each piece how many went over.
pub(crate) fn copy(
    from: &mut dyn Read,
    to: &mut dyn Write,
    limit: u64,
    mut told: impl FnMut(u64),
) -> Result<u64, Torn> {
    let mut buffer = vec![0; 1 << 16];
    let mut done = 0;
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => {
                to.flush().map_err(Torn::To)?;
                return Ok(done);
            }
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Torn::From(e)),
        };
        done += n as u64;
        if done > limit {
            return Err(Torn::TooMuch);
        }
        to.write_all(&buffer[..n]).map_err(Torn::To)?;
        told(done);
    }
}

/// Returns the checksum of a file in lower-case hexadecimal.
fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
