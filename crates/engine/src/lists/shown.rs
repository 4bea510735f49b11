//! A model with variety and calibration in its lists, where they are wanted.

use std::sync::Arc;

use tastemaker_core::{Labels, Recommender, Vectors};
use tastemaker_pipeline::{Mixer, RerankSettings, Reranked, Variety};

use crate::Error;

/// Makes ready what orders the heads of lists.
pub(crate) fn mixer(
    (vectors, labels): (Option<&Arc<Vectors>>, Option<&Labels>),
    settings: &RerankSettings,
) -> Result<Mixer, Error> {
    check_shown((vectors.is_some(), labels.is_some()), settings)?;
    Ok(Mixer::new((vectors.cloned(), labels.cloned().unwrap_or_default()), settings.clone()))
}

/// Puts variety and calibration into the lists of a model, where they are wanted.
pub(crate) fn shown<'a>(
    model: &'a dyn Recommender,
    known: (Option<&Arc<Vectors>>, Option<&Labels>),
    settings: &RerankSettings,
) -> Result<Box<dyn Recommender + 'a>, Error> {
    if settings.is_off() {
        return Ok(Box::new(model));
    }
    Ok(Box::new(Reranked::new(model, mixer(known, settings)?)))
}

/// Refuses variety without texts and calibration without labels.
pub(crate) fn check_shown(
    (has_texts, has_labels): (bool, bool),
    settings: &RerankSettings,
) -> Result<(), Error> {
    if settings.variety != Variety::Off && !has_texts {
        return Err(Error::NoVariety);
    }
    if settings.calibration > 0.0 && !has_labels {
        return Err(Error::NoCalibration);
    }
    Ok(())
}
