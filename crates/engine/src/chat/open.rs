//! From the name of a model that writes to the model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tastemaker_core::Progress;
use tastemaker_fetch as fetch;
use tastemaker_text::{ChatModel, GgufChat, RemoteChatSettings, is_url};

use super::{ChatSettings, Writer};
use crate::{Error, Places, remote};

/// A model that is ready to write.
#[derive(Clone)]
pub enum Opened {
    /// On this machine.
    Local(Arc<GgufChat>),
    /// Behind an address.
    Remote(Arc<remote::RemoteChat>),
}

impl Opened {
    /// Returns it as what words answers and orders lists.
    pub fn writer(&self) -> Writer {
        match self {
            Self::Local(model) => Writer::local(model.clone(), Some(model.clone())),
            Self::Remote(model) => Writer::new(model.clone(), None),
        }
    }

    /// Returns it as what answers.
    pub fn model(&self) -> &dyn ChatModel {
        match self {
            Self::Local(model) => model.as_ref(),
            Self::Remote(model) => model.as_ref(),
        }
    }
}

/// Opens the model that `settings.model` names: fetched by name, read from a file, or called at an address.
///
/// # Errors
/// When there is no such model, it cannot be had, or is none that writes.
pub fn open(
    settings: &ChatSettings,
    service: &RemoteChatSettings,
    places: &Places,
    progress: &dyn Progress,
) -> Result<Opened, Error> {
    if is_url(&settings.model) {
        return Ok(Opened::Remote(Arc::new(remote::chat(&settings.model, service, places)?)));
    }
    let file = file(&settings.model, places, progress)?;
    progress.report("reading the model", 0, 0);
    let model = GgufChat::open(&file, &settings.local());
    progress.report("reading the model", 1, 1);
    Ok(Opened::Local(Arc::new(model?)))
}

/// Finds the file of a model.
fn file(name: &str, places: &Places, progress: &dyn Progress) -> Result<PathBuf, Error> {
    let path = Path::new(name);
    if path.is_file() || is_gguf(path) {
        return Ok(path.to_owned());
    }
    let folder = if path.is_dir() {
        path.to_owned()
    } else {
        let asset = fetch::find(fetch::Kind::Weights, name)?;
        if !asset.files.iter().any(|file| is_gguf(Path::new(file.name))) {
            return Err(not_gguf(name));
        }
        fetch::get(asset, &places.fetch, progress)?
    };
    let entries = std::fs::read_dir(&folder).map_err(Error::io(&folder))?;
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| is_gguf(path)).collect();
    match (files.pop(), files.len()) {
        (Some(file), 0) => Ok(file),
        _ => Err(not_gguf(name)),
    }
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"))
}

fn not_gguf(name: &str) -> Error {
    Error::NotGguf { name: name.to_owned() }
}
