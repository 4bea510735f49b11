//! An adapter put into the encoder it was learnt on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;
use tastemaker_core::Progress;
use tastemaker_data::{FileRecord, Staging};
use tastemaker_text::merge_adapter;

use crate::texts::language_model;
use crate::tune::TUNED_FORMAT;
use crate::{Error, Places};

/// What came of a merge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MergeReport {
    /// Folder that was written.
    pub out: PathBuf,
    /// Folder of the encoder it was made of.
    pub base: PathBuf,
    /// Folder of the adapter.
    pub adapter: PathBuf,
    /// What kind of adapter it was, as PEFT calls it.
    pub kind: &'static str,
    /// Matrices that were changed; for a prefix its tokens.
    pub parts: usize,
}

/// Writes a folder with the encoder `base`, a name or a folder, and the adapter of a PEFT folder in it; all or nothing.
///
/// # Errors
/// When a folder cannot be read or written, or the adapter is of another kind or for another encoder.
pub fn merge(
    (base, adapter): (&str, &Path),
    out: &Path,
    places: &Places,
    progress: &dyn Progress,
) -> Result<MergeReport, Error> {
    let staging = Staging::open(out, TUNED_FORMAT)?;
    let base = language_model(base, places, progress)?;
    let merged = merge_adapter(&base, adapter)?;
    let mut files: BTreeMap<String, FileRecord> = BTreeMap::new();
    for (name, bytes) in merged.files {
        let record = staging.put(&name, &bytes)?;
        files.insert(name, record);
    }
    let (kind, parts) = (merged.kind, merged.parts);
    let (out, adapter) = (out.to_owned(), adapter.to_owned());
    let report = MergeReport { out, base, adapter, kind, parts };
    let manifest =
        json!({ "format": TUNED_FORMAT, "version": 1, "report": report, "files": files });
    staging.put("manifest.json", &serde_json::to_vec_pretty(&manifest).unwrap_or_default())?;
    staging.commit()?;
    Ok(report)
}
