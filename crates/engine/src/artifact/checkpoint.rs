//! The state of fits under way, kept as files in a folder: one safetensors file a fit, written to the side and renamed.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tastemaker_core::{Checkpoints, Saved};

use super::tensors::{from_safetensors, to_safetensors};
use crate::Error;

/// Key of the JSON part in the header of a file.
const META: &str = "meta";
/// Begins the name of a file that is being written.
const PARTIAL: &str = ".checkpoint-";

/// Keeps checkpoints in a folder, which is made when the first one is kept.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
}

impl Folder {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Refuses a folder that holds anything but checkpoints: it is somebody else's.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(Error::io(self.dir.clone()))?,
        };
        for entry in entries {
            let path = entry.map_err(Error::io(self.dir.clone()))?.path();
            if !is_ours(&path) {
                return Err(Error::NotState { path: self.dir.clone(), stranger: path });
            }
        }
        Ok(())
    }

    /// Takes the checkpoints away, and the folder when nothing else is in it.
    pub(crate) fn clear(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|p| is_ours(p))
        {
            fs::remove_file(path).ok();
        }
        fs::remove_dir(&self.dir).ok();
    }

    /// Takes away the checkpoints of one model, and the folder when nothing else is in it.
    fn clear_model(&self, model: &str) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if model_of(&path) == Some(model) {
                fs::remove_file(path).ok();
            }
        }
        fs::remove_dir(&self.dir).ok();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.safetensors"))
    }

    fn write(&self, path: &Path, state: &Saved) -> std::io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let meta = HashMap::from([(META.to_owned(), state.meta.to_string())]);
        let bytes = to_safetensors(state, Some(meta)).map_err(std::io::Error::other)?;
        let mut file = tempfile::Builder::new().prefix(PARTIAL).tempfile_in(&self.dir)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

/// Takes away the state of a fit that has come to its end, and nothing else that is in the folder.
pub fn forget_training(dir: &Path) {
    Folder::new(dir.to_owned()).clear();
}

/// Takes away the state of the fits of one model; those of the other parts of a fused one can be gone on with.
pub fn forget_training_of(dir: &Path, model: &str) {
    Folder::new(dir.to_owned()).clear_model(model);
}

/// Tells by its name whether a file is a checkpoint, or was to become one.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with(PARTIAL) || model_of(path).is_some()
}

/// Returns the model that a checkpoint is of; its file is named by the model, a dash and 16 digits of a hash.
fn model_of(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    let (model, hash) = name.strip_suffix(".safetensors")?.rsplit_once('-')?;
    let is_hash = hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then_some(model)
}

impl Checkpoints for Folder {
    fn load(&self, name: &str) -> Option<Saved> {
        let bytes = fs::read(self.path(name)).ok()?;
        let mut saved = match from_safetensors(&bytes) {
            Ok(saved) => saved,
            Err(why) => {
                let path = self.path(name);
                tracing::warn!("starts again: {} cannot be read: {why}", path.display());
                return None;
            }
        };
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).ok()?;
        let meta = header.metadata().as_ref()?.get(META)?.clone();
        saved.meta = serde_json::from_str(&meta).ok()?;
        Some(saved)
    }

    fn save(&self, name: &str, state: &Saved) {
        let path = self.path(name);
        if let Err(error) = self.write(&path, state) {
            tracing::warn!("the fit goes on, but {} cannot be written: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_it_wrote_is_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("model.training"));
        assert!(folder.check().is_ok(), "nothing there");
        folder.save("sasrec-0123456789abcdef", &Saved::default());
        assert!(folder.check().is_ok());
        let stranger = folder.dir.join("manifest.json");
        fs::write(&stranger, "mine").unwrap();
        assert!(matches!(folder.check(), Err(Error::NotState { .. })));
        folder.clear();
        assert!(stranger.exists() && fs::read_dir(&folder.dir).unwrap().count() == 1);
        fs::remove_file(stranger).unwrap();
        folder.clear();
        assert!(!folder.dir.exists());
    }

    #[test]
    fn a_model_that_failed_takes_no_other_model_s_state_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("model.training"));
        let names = ["mlp-0123456789abcdef", "next-mlp-0123456789abcdef", "mlp-1123456789abcdef"];
        names.iter().for_each(|name| folder.save(name, &Saved::default()));
        forget_training_of(&folder.dir, "mlp");
        assert_eq!(names.map(|name| folder.load(name).is_some()), [false, true, false]);
        forget_training_of(&folder.dir, "next-mlp");
        assert!(!folder.dir.exists());
    }

    #[test]
    fn what_was_kept_last_comes_back_and_damage_is_nothing_kept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("new"));
        assert!(folder.load("fit").is_none());
        let mut state = Saved { meta: json!({ "epoch": 3 }), ..Saved::default() };
        state.put_f32("weights/a", &[2], vec![1.0, 2.5]);
        folder.save("fit", &Saved::default());
        folder.save("fit", &state);
        assert_eq!(folder.load("fit"), Some(state.clone()));
        let path = folder.path("fit");
        let whole = fs::read(&path).unwrap();
        for len in [0, 4, 9, whole.len() - 1] {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(folder.load("fit"), None);
        }
    }
}
