//! What killed runs left beside a target: unfinished folders go, and a folder that was set aside comes back when nothing
//! took its place.

use std::{fs, io, path::Path};

use tempfile::TempDir;

use super::MANIFEST;

const UNFINISHED: &str = ".tastemaker-";
const ASIDE: &str = ".tastemaker-old-";
/// Ends every name, so that no folder of somebody else is taken for one of these.
const END: &str = ".partial";

/// Makes a folder in `parent` for what is being written.
pub(super) fn unfinished(parent: &Path) -> io::Result<TempDir> {
    make(UNFINISHED, parent)
}

/// Makes a folder in `parent` for what is being replaced; there it keeps its name.
pub(super) fn aside(parent: &Path) -> io::Result<TempDir> {
    make(ASIDE, parent)
}

/// The name tells which process made it.
fn make(kind: &str, parent: &Path) -> io::Result<TempDir> {
    let prefix = format!("{kind}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).suffix(END).tempdir_in(parent)
}

/// Clears `parent` of what ended processes left there. The old folder of `place` is removed only when a new one stands
/// there, and put back when none does; old folders of other targets stay until those are written again.
pub(super) fn sweep(parent: &Path, place: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_suffix(END)) else { continue };
        // What cannot be removed is only untidy, and what cannot be put back stays where it is.
        if let Some(rest) = name.strip_prefix(ASIDE) {
            if has_ended(rest) {
                recover(&entry.path(), place).ok();
            }
        } else if name.strip_prefix(UNFINISHED).is_some_and(has_ended) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

fn recover(aside: &Path, place: &Path) -> io::Result<()> {
    let Some(name) = place.file_name() else { return Ok(()) };
    let old = aside.join(name);
    if !old.exists() {
        // Goes only when empty; else it holds what was at another target.
        return fs::remove_dir(aside);
    }
    if fs::symlink_metadata(place).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
        fs::rename(old, place)?;
        return fs::remove_dir(aside);
    }
    if place.join(MANIFEST).is_file() { fs::remove_dir_all(aside) } else { Ok(()) }
}

/// Tells whether the process of a name, `<id>-<random>`, has ended; where that cannot be known it has not.
fn has_ended(rest: &str) -> bool {
    let Some(id) = rest.split_once('-').and_then(|(id, _)| id.parse::<u32>().ok()) else {
        return false;
    };
    let processes = Path::new("/proc");
    cfg!(target_os = "linux")
        && processes.join("self").exists()
        && !processes.join(id.to_string()).exists()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// Above the largest id that Linux gives.
    const NOBODY: u32 = 1 << 30;

    fn folder(home: &TempDir, name: &str) {
        fs::create_dir_all(home.path().join(name)).unwrap();
        fs::write(home.path().join(name).join(MANIFEST), name).unwrap();
    }

    fn names(home: &TempDir) -> Vec<String> {
        let all = fs::read_dir(home.path()).unwrap();
        let mut names: Vec<String> =
            all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn unfinished_folders_of_ended_processes_go_and_all_others_stay() {
        let home = tempfile::tempdir().unwrap();
        let others = [
            format!(".tastemaker-{NOBODY}-backup"),
            format!(".tastemaker-{}-Ab12Cd.partial", std::process::id()),
            ".tastemaker-Ab12Cd".into(),
            ".tastemaker-notes.partial".into(),
        ];
        others.iter().for_each(|name| folder(&home, name));
        folder(&home, &format!(".tastemaker-{NOBODY}-Ab12Cd.partial"));
        sweep(home.path(), &home.path().join("out"));
        let mut left = others.to_vec();
        left.sort();
        assert_eq!(names(&home), left);
    }

    #[test]
    fn an_old_folder_comes_back_where_none_is_and_goes_where_a_new_one_is() {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().join("out");
        let aside = format!(".tastemaker-old-{NOBODY}-Ab12Cd.partial");
        folder(&home, &format!("{aside}/out"));
        sweep(home.path(), &home.path().join("another"));
        assert_eq!(names(&home), [aside.as_str()], "the only copy of another target stays");
        sweep(home.path(), &place);
        assert_eq!(names(&home), ["out"]);
        folder(&home, &format!("{aside}/out"));
        sweep(home.path(), &place);
        assert_eq!(names(&home), ["out"], "the old one was superseded");
        folder(&home, &format!("{aside}/out"));
        fs::remove_file(place.join(MANIFEST)).unwrap();
        sweep(home.path(), &place);
        assert!(home.path().join(aside).join("out").join(MANIFEST).is_file(), "no new one stands");
    }
}
