//! A folder that is written to the side and takes its name when it is whole.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Error;

/// A folder that is not there yet. Dropped before it is kept, it leaves nothing behind.
#[derive(Debug)]
pub struct Aside {
    folder: PathBuf,
    aside: TempDir,
}

impl Aside {
    /// Makes room beside `folder`; what is there is not written over.
    pub fn new(folder: &Path) -> Result<Self, Error> {
        if folder.exists() {
            let there = std::io::ErrorKind::AlreadyExists.into();
            return Err(Error::Write { path: folder.into(), source: there });
        }
        let parent = folder.parent().filter(|parent| *parent != Path::new(""));
        let parent = parent.unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".tastemaker-");
        #[cfg(unix)]
        {
            // What the user's mask leaves of it, as for any other new folder.
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(fs::Permissions::from_mode(0o777));
        }
        let aside = builder.tempdir_in(parent).map_err(Error::write(folder))?;
        Ok(Self { folder: folder.to_owned(), aside })
    }

    /// Returns where the folder is until it is kept.
    pub fn path(&self) -> &Path {
        self.aside.path()
    }

    /// Writes a file; its name may lie in a folder below.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(Error::write(parent))?;
        }
        fs::write(&path, bytes).map_err(Error::write(&path))
    }

    /// Gives the folder its name.
    pub fn keep(self) -> Result<(), Error> {
        fs::rename(self.aside.path(), &self.folder).map_err(Error::write(&self.folder))?;
        // Nothing is left there to be cleared away.
        let _moved = self.aside.keep();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_there_whole_or_not_at_all() {
        let home = TempDir::new().unwrap();
        let folder = home.path().join("model");
        let names = || fs::read_dir(home.path()).unwrap().count();
        let aside = Aside::new(&folder).unwrap();
        aside.write("1_Pooling/config.json", b"{}").unwrap();
        assert!(!folder.exists());
        drop(aside);
        assert_eq!(names(), 0);
        let aside = Aside::new(&folder).unwrap();
        aside.write("1_Pooling/config.json", b"{}").unwrap();
        aside.keep().unwrap();
        assert_eq!(
            (fs::read(folder.join("1_Pooling/config.json")).unwrap(), names()),
            (b"{}".into(), 1)
        );
        let message = Aside::new(&folder).unwrap_err().to_string();
        assert!(message.contains("model: cannot be written"), "{message}");
    }
}
