//! What a language model's folder holds.

use std::path::PathBuf;

use tastemaker_core::Progress;
use tastemaker_text::ModelFacts;

use crate::texts::language_model;
use crate::{Error, Places};

/// Tells what is in the folder of `encoder`, a name of `weights list` or a folder; returns it too.
pub fn inspect(
    encoder: &str,
    places: &Places,
    progress: &dyn Progress,
) -> Result<(PathBuf, ModelFacts), Error> {
    let folder = language_model(encoder, places, progress)?;
    let facts = tastemaker_text::inspect(&folder)?;
    Ok((folder, facts))
}
