//! A job as it is told and kept: one JSON file each, beside the models of its tenant.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;

/// Work that was asked for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Job {
    /// Its id.
    pub(crate) id: String,
    /// What is done.
    pub(crate) kind: Kind,
    /// How far it is.
    pub(crate) state: State,
    /// Why it began: `asked`, or `events` or `hours` since the last one.
    pub(crate) because: String,
    /// When it was asked for.
    pub(crate) created: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<String>,
    /// The name of the model that came out, as `promote` takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// That model answers now.
    pub(crate) promoted: bool,
    /// What came out, or what went wrong.
    pub(crate) why: String,
    /// Scores of both models on the same events, the rule, the data's checksum, seed and settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) report: Option<Value>,
    /// The last that the training process said, at most 8 KB.
    pub(crate) output: String,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A model is trained on what is known now.
    Retrain,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Another one is done first.
    Waiting,
    /// It is being done.
    Running,
    /// It came to its end.
    Done,
    /// It did not.
    Failed,
    /// Somebody ended it.
    Cancelled,
    /// The server ended while it ran.
    Lost,
}

impl State {
    /// Tells whether nothing more will come of it.
    pub(crate) const fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

impl Job {
    /// Writes it into a folder.
    pub(super) fn write(&self, dir: &Path) -> Result<(), Error> {
        let (path, fresh) = (file(dir, &self.id), dir.join(format!(".{}.new", self.id)));
        let failed = |source| Error::Write { path: path.display().to_string(), source };
        let text = serde_json::to_vec_pretty(self).expect("a job is plain data");
        std::fs::create_dir_all(dir).map_err(failed)?;
        std::fs::write(&fresh, text).map_err(failed)?;
        std::fs::rename(&fresh, &path).map_err(failed)
    }

    /// Reads all jobs of a folder, oldest first. What is none is passed over.
    pub(super) fn all(dir: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let texts = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "json"));
        let mut jobs: Vec<Self> = texts
            .filter_map(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok())
            .collect();
        // Ids begin with the time.
        jobs.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        jobs
    }

    /// Takes its file away.
    pub(super) fn forget(&self, dir: &Path) {
        std::fs::remove_file(file(dir, &self.id)).ok();
    }
}

fn file(dir: &Path, id: &str) -> std::path::PathBuf {
    dir.join(format!("{id}.json"))
}
