//! What the saved forms of all models share: settings in the description, vectors of a known length.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tastemaker_core::{Fit, PersistError, Saved};

/// Starts a saved model with its settings.
pub(crate) fn with_settings(settings: &impl Serialize) -> Saved {
    Saved { meta: json!({ "settings": settings }), ..Saved::default() }
}

/// Takes the settings out; settings with faults are refused.
pub(crate) fn take_settings<S: Fit + DeserializeOwned>(
    saved: &mut Saved,
) -> Result<S, PersistError> {
    let value = saved.meta.get_mut("settings").map(serde_json::Value::take).unwrap_or_default();
    let settings: S = serde_json::from_value(value)?;
    if settings.faults().is_empty() { Ok(settings) } else { Err(misfit("settings")) }
}

/// Takes a vector out.
pub(crate) fn take_vector(saved: &mut Saved, name: &str) -> Result<Vec<f32>, PersistError> {
    let (shape, data) = saved.take_f32(name)?;
    if shape[..] == [data.len()] { Ok(data) } else { Err(misfit(name)) }
}

/// Says that the parts do not fit together at `name`.
pub(crate) fn misfit(name: &str) -> PersistError {
    PersistError::Shape { name: name.into() }
}
