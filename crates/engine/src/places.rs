//! Where things lie on this machine: downloads and encoded vectors.

use std::path::PathBuf;

use tastemaker_fetch as fetch;

/// Folders and addresses that depend on the machine; made by the door, never read from the environment here.
#[derive(Clone, Debug)]
pub struct Places {
    /// Downloads.
    pub fetch: fetch::Places,
}

impl Places {
    /// Returns the folder of encoded vectors.
    pub fn vectors(&self) -> PathBuf {
        self.fetch.cache.join("vectors")
    }
}
