//! Writing a folder all or nothing: into a temporary sibling, flushed to disk, then renamed.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::MANIFEST;
use crate::{Error, FileRecord};

/// A folder being written. Dropped without [`commit`](Self::commit) it leaves nothing behind.
pub struct Staging {
    out: PathBuf,
    format: &'static str,
    folder: Option<TempDir>,
    /// Parents made for it, outermost first.
    parents: Vec<PathBuf>,
}

impl Staging {
    /// Opens a temporary folder beside `out`, which must be absent, empty, or a folder whose manifest says `format`.
    pub fn open(out: &Path, format: &'static str) -> Result<Self, Error> {
        check_target(out, format)?;
        let parent = match out.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let mut missing: Vec<PathBuf> =
            parent.ancestors().take_while(|p| !p.exists()).map(Into::into).collect();
        missing.reverse();
        let mut staging = Self { out: out.into(), format, folder: None, parents: Vec::new() };
        for folder in missing.into_iter().filter(|p| p != Path::new("")) {
            fs::create_dir(&folder).map_err(|e| cannot_write(out, e))?;
            staging.parents.push(folder);
        }
        let folder = tempfile::Builder::new().prefix(".tastemaker-").tempdir_in(parent);
        staging.folder = Some(folder.map_err(|e| cannot_write(out, e))?);
        Ok(staging)
    }

    /// Writes one file and flushes it to disk; `name` may lead into a folder below.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<FileRecord, Error> {
        let path = self.path().join(name);
        let shown = self.out.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io("write", &shown, e))?;
        }
        let mut file = File::create(&path).map_err(|e| Error::io("write", &shown, e))?;
        write_all(&mut file, bytes, &shown)?;
        file.sync_all().map_err(|e| Error::io("write", &shown, e))?;
        Ok(FileRecord { bytes: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) })
    }

    /// Puts the folder in its place; what was there before is replaced only now.
    pub fn commit(mut self) -> Result<(), Error> {
        let failed = |e| Error::io("write", &self.out, e);
        check_target(&self.out, self.format)?;
        sync_folder(self.path()).map_err(failed)?;
        open_to_all(self.path()).map_err(failed)?;
        let parent = self.path().parent().map(Path::to_path_buf);
        let old = match fs::symlink_metadata(&self.out) {
            Ok(_) => Some(self.set_aside().map_err(failed)?),
            Err(_) => None,
        };
        if let Err(error) = fs::rename(self.path(), &self.out) {
            if let Some(old) = &old {
                fs::rename(old.path().join("old"), &self.out).map_err(failed)?;
            }
            return Err(failed(error));
        }
        self.parents.clear();
        if let Some(folder) = self.folder.take() {
            let _renamed = folder.keep();
        }
        if let Some(parent) = parent {
            sync_folder(&parent).map_err(|e| Error::io("write", &self.out, e))?;
        }
        Ok(())
    }

    /// Moves what stands at the target into a temporary folder, to be deleted when all is well.
    fn set_aside(&self) -> io::Result<TempDir> {
        let parent = self.path().parent().unwrap_or(Path::new("."));
        let aside = tempfile::Builder::new().prefix(".tastemaker-old-").tempdir_in(parent)?;
        fs::rename(fs::canonicalize(&self.out)?, aside.path().join("old"))?;
        Ok(aside)
    }

    fn path(&self) -> &Path {
        self.folder.as_ref().expect("the folder is there until commit").path()
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.folder = None;
        for parent in self.parents.iter().rev() {
            // Only what is empty goes; somebody else may have put something there.
            fs::remove_dir(parent).ok();
        }
    }
}

/// Writes bytes, telling a full disk from other failures.
fn write_all(out: &mut impl Write, bytes: &[u8], path: &Path) -> Result<(), Error> {
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|e| Error::io("write", path, e))
}

/// Returns size and checksum of a file.
pub fn checksum(path: &Path) -> Result<FileRecord, Error> {
    let failed = |e| Error::io("read", path, e);
    let mut file = File::open(path).map_err(failed)?;
    let (mut hash, mut buffer, mut bytes) = (Sha256::new(), vec![0; 1 << 17], 0u64);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(FileRecord { bytes, sha256: hex(&hash.finalize()) }),
            n => {
                hash.update(&buffer[..n]);
                bytes += n as u64;
            }
        }
    }
}

/// Renders a checksum.
pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(digest.len() * 2), |mut text, byte| {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is below 16"));
        }
        text
    })
}

fn check_target(out: &Path, format: &'static str) -> Result<(), Error> {
    match fs::read_dir(out) {
        Ok(mut entries) => {
            let replaceable = entries.next().is_none() || format_of(out).as_deref() == Some(format);
            if replaceable { Ok(()) } else { Err(Error::Occupied { path: out.into(), format }) }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(cannot_write(out, e)),
    }
}

/// Returns what the manifest of a folder calls itself.
fn format_of(folder: &Path) -> Option<String> {
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join(MANIFEST)).ok()?).ok()?;
    Some(manifest.get("format")?.as_str()?.to_owned())
}

/// Keeps "not found" from being taken for a missing source.
fn cannot_write(out: &Path, source: io::Error) -> Error {
    match Error::io("write", out, source) {
        Error::NotFound { path } => Error::Io {
            doing: "write",
            path,
            source: io::Error::new(io::ErrorKind::NotFound, "its parent folder cannot be made"),
        },
        other => other,
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// Gives the folder, made for its owner alone, the usual rights.
fn open_to_all(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = "tastemaker-data";

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(28)) // ENOSPC
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_called_so() {
        let error = write_all(&mut Full, b"x", Path::new("out/events.parquet")).unwrap_err();
        assert!(matches!(error, Error::DiskFull { .. }));
        assert!(error.to_string().starts_with("disk full while writing out/events.parquet"));
    }

    #[test]
    fn what_is_not_committed_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let staging = Staging::open(&home.path().join("a/b/data"), FORMAT).unwrap();
        staging.put("x", b"1").unwrap();
        assert!(home.path().join("a/b").is_dir());
        drop(staging);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_committed_folder_replaces_a_data_set_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("data");
        for round in 1..3 {
            let manifest = format!(r#"{{"format": "{FORMAT}", "round": {round}}}"#);
            let staging = Staging::open(&out, FORMAT).unwrap();
            staging.put(MANIFEST, manifest.as_bytes()).unwrap();
            staging.commit().unwrap();
            assert_eq!(fs::read_to_string(out.join(MANIFEST)).unwrap(), manifest);
        }
        assert!(matches!(Staging::open(&out, "another"), Err(Error::Occupied { .. })));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
        let other = home.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("precious"), "x").unwrap();
        assert!(matches!(Staging::open(&other, FORMAT), Err(Error::Occupied { .. })));
    }

    #[test]
    fn the_checksum_is_the_known_one() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("f"), "abc").unwrap();
        let record = checksum(&home.path().join("f")).unwrap();
        assert_eq!(record.bytes, 3);
        assert_eq!(
            record.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
