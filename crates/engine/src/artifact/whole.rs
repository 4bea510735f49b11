//! Files for people, written all or nothing: to the side, flushed to disk, then renamed.

use std::io::Write as _;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::Error;

/// Begins the name of a file that is being written.
pub(crate) const PARTIAL: &str = ".partial-";

/// Writes a file whose folder is there.
pub(crate) fn write_whole(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Error> {
    put_aside(path, content.as_ref())?.persist(path).map_err(|e| Error::io(path)(e.error))?;
    Ok(())
}

/// Writes files that belong together: all lie ready before the first takes its name.
pub(crate) fn write_all(files: &[(&Path, &[u8])]) -> Result<(), Error> {
    let aside = files.iter().map(|(path, bytes)| Ok((path, put_aside(path, bytes)?)));
    for (path, file) in aside.collect::<Result<Vec<_>, Error>>()? {
        file.persist(path).map_err(|e| Error::io(path)(e.error))?;
    }
    Ok(())
}

/// Writes a file beside the one it will become.
fn put_aside(path: &Path, content: &[u8]) -> Result<NamedTempFile, Error> {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    let put = || -> std::io::Result<NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PARTIAL);
        #[cfg(unix)]
        {
            // What the user's mask leaves of it, as for any other new file.
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(parent.unwrap_or(Path::new(".")))?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    put().map_err(Error::io(path))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_may_be_read_by_whoever_may_read_another_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, plain) = (dir.path().join("ours"), dir.path().join("plain"));
        write_whole(&ours, "x").unwrap();
        std::fs::write(&plain, "x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing lies beside it");
    }
}
