//! The folder of a search: its journal, the best settings and a drawing. Every file is written to the side and renamed.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tastemaker_train::search::Journal;

use crate::Error;
use crate::artifact::{PARTIAL, write_whole};

const JOURNAL: &str = "journal.json";
/// Held by the search that is running.
const LOCK: &str = ".lock";
/// Names of files that a search writes.
const OURS: [&str; 4] = [JOURNAL, "best.toml", "trials.svg", LOCK];

/// Where a search keeps what it finds.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    dir: PathBuf,
}

impl Folder {
    /// Refuses a folder that holds anything but a search.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let folder = Self { dir: dir.to_owned() };
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(folder),
            entries => entries.map_err(Error::io(dir))?,
        };
        for entry in entries {
            let name = entry.map_err(Error::io(dir))?.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(PARTIAL) {
                // Left by a run that was killed.
                fs::remove_file(dir.join(&*name)).ok();
            } else if !OURS.contains(&&*name) {
                let what = format!("{name}, which is no part of a search");
                return Err(Error::NotSearch { path: dir.to_owned(), what });
            }
        }
        Ok(folder)
    }

    /// Keeps other searches out for as long as the answer lives; `None` where the file system knows no locks.
    pub(super) fn hold(&self) -> Result<Option<File>, Error> {
        fs::create_dir_all(&self.dir).map_err(Error::io(self.dir.clone()))?;
        let path = self.dir.join(LOCK);
        let file = File::create(&path).map_err(Error::io(path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Err(Error::SearchBusy { path: self.dir.clone() }),
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }

    pub(super) fn journal_path(&self) -> PathBuf {
        self.dir.join(JOURNAL)
    }

    /// Returns the journal of this very search, or a new one where there is none.
    pub(super) fn journal(&self, search: &Value) -> Result<Journal, Error> {
        let path = self.journal_path();
        let refused = |what: &str| Error::NotSearch { path: self.dir.clone(), what: what.into() };
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Journal::new(search.clone()));
            }
            text => text.map_err(Error::io(path))?,
        };
        let journal = Journal::read(&text).ok_or_else(|| refused("a journal that was damaged"))?;
        if journal.search != *search {
            return Err(refused("a search of something else (other data, space, method or seed)"));
        }
        Ok(journal)
    }

    /// Writes one of the files, all or nothing.
    pub(super) fn put(&self, name: &str, content: &str) -> Result<PathBuf, Error> {
        debug_assert!(OURS.contains(&name));
        let path = self.dir.join(name);
        fs::create_dir_all(&self.dir).map_err(Error::io(self.dir.clone()))?;
        write_whole(&path, content)?;
        Ok(path)
    }

    pub(super) fn put_journal(&self, journal: &Journal) -> Result<PathBuf, Error> {
        let text = serde_json::to_string_pretty(journal).unwrap_or_default();
        self.put(JOURNAL, &text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_journal_comes_back_and_that_of_another_search_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("new");
        let folder = Folder::open(&dir).unwrap();
        let (one, other) = (json!({ "seed": 1 }), json!({ "seed": 2 }));
        assert_eq!(folder.journal(&one).unwrap(), Journal::new(one.clone()));
        folder.put_journal(&Journal::new(one.clone())).unwrap();
        assert_eq!(folder.journal(&one).unwrap(), Journal::new(one.clone()));
        assert!(matches!(folder.journal(&other), Err(Error::NotSearch { .. })));
        fs::write(folder.journal_path(), "{").unwrap();
        assert!(matches!(folder.journal(&one), Err(Error::NotSearch { .. })));
    }

    #[test]
    fn two_searches_do_not_write_to_one_folder() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::open(home.path()).unwrap();
        let held = folder.hold().unwrap();
        if held.is_some() {
            let other = Folder::open(home.path()).unwrap();
            assert!(matches!(other.hold(), Err(Error::SearchBusy { .. })));
            drop(held);
            assert!(other.hold().unwrap().is_some());
        }
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("notes.txt"), "mine").unwrap();
        assert!(matches!(Folder::open(home.path()), Err(Error::NotSearch { .. })));
        fs::remove_file(home.path().join("notes.txt")).unwrap();
        fs::write(home.path().join(".partial-abc"), "half").unwrap();
        assert!(Folder::open(home.path()).is_ok());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "leftovers are cleared away");
    }
}
