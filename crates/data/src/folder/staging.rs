//! Writing a folder all or nothing: into a temporary sibling, flushed to disk, then renamed.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{
    leftovers,
    target::{self, cannot_write},
};
use crate::{Error, FileRecord};

/// A folder being written. Dropped without [`commit`](Self::commit) it leaves nothing behind.
pub struct Staging {
    /// As it was given, for messages.
    out: PathBuf,
    /// Where it lies, with links followed.
    place: PathBuf,
    format: &'static str,
    folder: Option<TempDir>,
    /// Parents made for it, outermost first.
    parents: Vec<PathBuf>,
}

impl Staging {
    /// Opens a temporary folder beside `out`, which must be absent, empty, or hold the files of a manifest that says
    /// `format`, and no others. What killed runs left there is cleared away.
    pub fn open(out: &Path, format: &'static str) -> Result<Self, Error> {
        let place = target::resolve(out)?;
        let parent = match place.parent() {
            Some(parent) if parent != Path::new("") => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        leftovers::sweep(&parent, &place);
        target::check(&place, out, format)?;
        let mut missing: Vec<PathBuf> =
            parent.ancestors().take_while(|p| !p.exists()).map(Into::into).collect();
        missing.reverse();
        let mut staging =
            Self { out: out.into(), place, format, folder: None, parents: Vec::new() };
        for folder in missing.into_iter().filter(|p| p != Path::new("")) {
            fs::create_dir(&folder).map_err(|e| cannot_write(out, e))?;
            staging.parents.push(folder);
        }
        staging.folder = Some(leftovers::unfinished(&parent).map_err(|e| cannot_write(out, e))?);
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
        target::check(&self.place, &self.out, self.format)?;
        sync_folder(self.path()).map_err(failed)?;
        open_to_all(self.path()).map_err(failed)?;
        let parent = self.path().parent().map(Path::to_path_buf);
        self.put_in_place(|from, to| fs::rename(from, to))?;
        self.parents.clear();
        if let Some(folder) = self.folder.take() {
            let _renamed = folder.keep();
        }
        if let Some(parent) = parent {
            sync_folder(&parent).map_err(|e| Error::io("write", &self.out, e))?;
        }
        Ok(())
    }

    /// Sets aside what stands at the target, moves the new folder there, and deletes the old one when all went well.
    fn put_in_place(&self, rename: impl Fn(&Path, &Path) -> io::Result<()>) -> Result<(), Error> {
        let failed = |e| Error::io("write", &self.out, e);
        let there = fs::symlink_metadata(&self.place).is_ok();
        let (true, Some(name)) = (there, self.place.file_name()) else {
            return rename(self.path(), &self.place).map_err(failed);
        };
        let parent = self.path().parent().unwrap_or(Path::new("."));
        let aside = leftovers::aside(parent).map_err(failed)?;
        let old = aside.path().join(name);
        rename(&self.place, &old).map_err(failed)?;
        let Err(error) = rename(self.path(), &self.place) else { return Ok(()) };
        match rename(&old, &self.place) {
            Ok(()) => Err(failed(error)),
            Err(source) => {
                let kept = aside.keep().join(name);
                Err(Error::SetAside { path: self.out.clone(), kept, source })
            }
        }
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
    use crate::folder::MANIFEST;

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

    /// Commits a folder whose manifest lists `files`, which it holds.
    fn put_all(out: &Path, files: &[&str]) -> Result<(), Error> {
        let staging = Staging::open(out, FORMAT)?;
        let records = files.iter().map(|file| (*file, staging.put(file, b"x").unwrap()));
        let records: std::collections::BTreeMap<_, _> = records.collect();
        let manifest = serde_json::json!({ "format": FORMAT, "files": records });
        staging.put(MANIFEST, manifest.to_string().as_bytes())?;
        staging.commit()
    }

    fn stranger(out: &Path) -> Option<String> {
        match Staging::open(out, FORMAT) {
            Err(Error::Occupied { stranger, .. }) => stranger,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was taken for its own"),
        }
    }

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_committed_folder_replaces_a_data_set_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("data");
        put_all(&out, &["a", "data/b"]).unwrap();
        put_all(&out, &["c"]).unwrap();
        assert!(out.join("c").is_file() && entries(&out) == 2);
        assert!(matches!(Staging::open(&out, "another"), Err(Error::Occupied { .. })));
        assert_eq!(entries(home.path()), 1);
        let other = home.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("precious"), "x").unwrap();
        assert_eq!(stranger(&other), None, "it is no data set at all");
    }

    #[test]
    fn a_folder_that_holds_more_than_its_manifest_lists_stays() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("data");
        put_all(&out, &["a", "data/b"]).unwrap();
        for name in ["notes.txt", "data/notes.txt"] {
            fs::write(out.join(name), "x").unwrap();
            assert_eq!(stranger(&out).as_deref(), Some(name));
            fs::remove_file(out.join(name)).unwrap();
        }
        fs::create_dir(out.join("mine")).unwrap();
        assert_eq!(stranger(&out).as_deref(), Some("mine"));
        fs::remove_dir(out.join("mine")).unwrap();
        let staging = Staging::open(&out, FORMAT).unwrap();
        fs::write(out.join("late"), "x").unwrap();
        assert!(matches!(staging.commit(), Err(Error::Occupied { .. })), "it came meanwhile");
        assert!(out.join("late").is_file() && out.join("a").is_file());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_and_stays_a_link() {
        use std::os::unix::fs::symlink;
        let home = tempfile::tempdir().unwrap();
        let (disk, out) = (home.path().join("disk"), home.path().join("out"));
        fs::create_dir(&disk).unwrap();
        symlink(disk.join("data"), &out).unwrap();
        let error = put_all(&out, &["a"]).unwrap_err().to_string();
        assert!(error.contains("/out: it is a link that leads nowhere"), "{error}");
        fs::create_dir(disk.join("data")).unwrap();
        for file in ["a", "b"] {
            put_all(&out, &[file]).unwrap();
            assert!(out.is_symlink() && out.join(file).is_file());
            assert_eq!((entries(&out), entries(&disk), entries(home.path())), (2, 1, 2));
        }
    }

    #[test]
    fn an_old_folder_comes_back_or_is_kept_and_named() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("data");
        put_all(&out, &["a"]).unwrap();
        let failing_after = |renames: usize| {
            let done = std::cell::Cell::new(0);
            move |from: &Path, to: &Path| match done.replace(done.get() + 1) {
                // The second is that of the new folder, the third that of the old one back.
                1 => Err(io::Error::other("no")),
                n if n > renames => Err(io::Error::other("no")),
                _ => fs::rename(from, to),
            }
        };
        let staging = Staging::open(&out, FORMAT).unwrap();
        let error = staging.put_in_place(failing_after(2)).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        drop(staging);
        assert!(out.join("a").is_file() && entries(home.path()) == 1);
        let staging = Staging::open(&out, FORMAT).unwrap();
        let error = staging.put_in_place(failing_after(1)).unwrap_err();
        drop(staging);
        let Error::SetAside { kept, .. } = &error else { panic!("{error}") };
        assert!(kept.join("a").is_file());
        assert!(error.to_string().contains(&kept.display().to_string()), "{error}");
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
