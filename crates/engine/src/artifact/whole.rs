//! Files for people, written all or nothing: to the side, flushed to disk, then renamed.

use std::io::Write as _;
use std::path::Path;

use crate::Error;

/// Begins the name of a file that is being written.
pub(crate) const PARTIAL: &str = ".partial-";

/// Writes a file whose folder is there.
pub(crate) fn write_whole(path: &Path, content: &str) -> Result<(), Error> {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    let put = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PARTIAL);
        #[cfg(unix)]
        {
            // What the user's mask leaves of it, as for any other new file.
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(parent.unwrap_or(Path::new(".")))?;
        file.write_all(content.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    put().map_err(Error::io(path))
}
