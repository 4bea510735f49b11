//! The model that answers, and the one before it. Requests under way end with the model they began with.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tastemaker_engine::{Engine, Places, artifact};

use crate::Error;

/// A model in memory.
pub(crate) struct Loaded {
    /// Name of its folder and when it was made.
    pub(crate) id: String,
    pub(crate) dir: PathBuf,
    /// Unix seconds when it was made.
    pub(crate) created: i64,
    pub(crate) engine: Engine,
    /// Items that were taken in since.
    pub(crate) newcomers: usize,
    /// What it was made with.
    pub(crate) about: Value,
}

impl Loaded {
    /// Opens a saved model, checking every file. Slow: for a thread that may wait.
    pub(crate) fn open(dir: &Path, places: &Places) -> Result<Self, Error> {
        let (engine, manifest) = artifact::open(dir, places)?;
        let name =
            dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let about = serde_json::json!({
            "model": manifest.model,
            "parts": manifest.parts,
            "seed": manifest.seed,
            "encoder": manifest.encoder.as_ref().map(tastemaker_engine::texts::EncoderChoice::name),
            "files": manifest.files,
        });
        Ok(Self {
            id: format!("{name}@{}", manifest.created),
            dir: dir.to_owned(),
            created: manifest.created,
            engine,
            newcomers: 0,
            about,
        })
    }

    /// Returns the same model with another engine, that knows so many items more.
    pub(crate) fn with(&self, engine: Engine, more: usize) -> Self {
        Self {
            id: self.id.clone(),
            dir: self.dir.clone(),
            created: self.created,
            engine,
            newcomers: self.newcomers + more,
            about: self.about.clone(),
        }
    }
}

/// One of the two models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Which {
    /// The one that answers.
    #[default]
    Serving,
    /// The one before it.
    Previous,
}

#[derive(Default)]
struct Two {
    now: Option<Arc<Loaded>>,
    before: Option<Arc<Loaded>>,
}

/// Where the model lies.
#[derive(Default)]
pub(crate) struct Slot(RwLock<Two>);

impl Slot {
    /// Returns the model that answers.
    pub(crate) fn now(&self) -> Option<Arc<Loaded>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).now.clone()
    }

    /// Returns the one before it.
    pub(crate) fn before(&self) -> Option<Arc<Loaded>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).before.clone()
    }

    /// Returns one of the two; `None` also where there is no model at all.
    pub(crate) fn which(&self, which: Which) -> Result<Option<Arc<Loaded>>, Error> {
        match which {
            Which::Serving => Ok(self.now()),
            Which::Previous => self.before().map(Some).ok_or(Error::NoPrevious),
        }
    }

    /// Lets another model answer. The same one opened again leaves the one before it where it is.
    pub(crate) fn promote(&self, model: Arc<Loaded>) {
        let mut two = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_same = |now: &Arc<Loaded>| (&now.id, &now.dir) == (&model.id, &model.dir);
        if two.now.as_ref().is_some_and(is_same) {
            two.now = Some(model);
        } else {
            two.before = two.now.replace(model);
        }
    }

    /// Lets the same model with more items answer, unless another one does by now; returns whether it does.
    pub(crate) fn refresh(&self, old: &Arc<Loaded>, model: Arc<Loaded>) -> bool {
        let mut two = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_same = two.now.as_ref().is_some_and(|now| Arc::ptr_eq(now, old));
        if is_same {
            two.now = Some(model);
        }
        is_same
    }

    /// Goes back to the model before.
    pub(crate) fn roll_back(&self) -> Result<Arc<Loaded>, Error> {
        let mut two = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = two.before.take().ok_or(Error::NoPrevious)?;
        two.before = two.now.replace(before.clone());
        Ok(before)
    }
}
