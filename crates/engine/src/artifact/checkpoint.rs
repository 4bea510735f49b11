//! The state of fits under way, kept as files in a folder: one safetensors file a fit, written to the side and renamed.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tastemaker_core::{Checkpoints, Saved};

use super::tensors::{from_safetensors, to_safetensors};

/// Key of the JSON part in the header of a file.
const META: &str = "meta";

/// Keeps checkpoints in a folder, which is made when the first one is kept.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
}

impl Folder {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.safetensors"))
    }

    fn write(&self, path: &Path, state: &Saved) -> std::io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let meta = HashMap::from([(META.to_owned(), state.meta.to_string())]);
        let bytes = to_safetensors(state, Some(meta)).map_err(std::io::Error::other)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
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
