//! Where things lie on this machine: downloads and encoded vectors.

use std::path::PathBuf;

use tastemaker_fetch as fetch;

use crate::remote::Secrets;

/// Folders and addresses that depend on the machine; made by the door, never read from the environment here.
#[derive(Clone, Debug)]
pub struct Places {
    /// Downloads.
    pub fetch: fetch::Places,
    /// Where the state of a long fit is kept, so that it can be gone on with; `None` keeps none.
    pub checkpoints: Option<PathBuf>,
    /// Keys of services.
    pub secrets: Secrets,
}

impl Places {
    /// Keeps no state of fits under way, and has no keys.
    pub const fn new(fetch: fetch::Places) -> Self {
        Self { fetch, checkpoints: None, secrets: Secrets::new(Vec::new()) }
    }

    /// Returns the folder of encoded vectors.
    pub fn vectors(&self) -> PathBuf {
        self.fetch.cache.join("vectors")
    }
}
