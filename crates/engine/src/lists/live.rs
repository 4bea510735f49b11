//! The pipeline an engine answers with: made ready once, and changed while requests are answered.

use std::sync::{Arc, PoisonError, RwLock};

use tastemaker_pipeline::{PipelineSettings, Plan};

use crate::Error;

/// Settings of a pipeline, with the pipeline made of them for one engine.
#[derive(Clone, Debug)]
pub struct ReadyPipeline {
    pub(crate) settings: PipelineSettings,
    /// `None` where lists are the model's own.
    pub(crate) plan: Option<Arc<Plan>>,
}

impl PartialEq for ReadyPipeline {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

/// Settings, and the pipeline made of them once it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Live(RwLock<(PipelineSettings, Option<Arc<Plan>>)>);

impl Live {
    /// Returns the settings.
    pub(crate) fn settings(&self) -> PipelineSettings {
        self.0.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Tells whether lists are the model's own.
    pub(crate) fn is_plain(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).0.is_plain()
    }

    /// Takes other settings with the pipeline made of them. Requests under way end with the one they began with.
    pub(crate) fn replace(&self, settings: PipelineSettings, plan: Option<Arc<Plan>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = (settings, plan);
    }

    /// Forgets the pipeline, but not the settings: what it was made of has changed.
    pub(crate) fn reset(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).1 = None;
    }

    /// Returns the pipeline, made by `make` where there is none yet; `None` where settings ask for none.
    pub(crate) fn plan(
        &self,
        make: impl FnOnce(&PipelineSettings) -> Result<Plan, Error>,
    ) -> Result<Option<Arc<Plan>>, Error> {
        let (settings, known) = {
            let live = self.0.read().unwrap_or_else(PoisonError::into_inner);
            (live.0.clone(), live.1.clone())
        };
        if settings.is_plain() {
            return Ok(None);
        }
        if let Some(plan) = known {
            return Ok(Some(plan));
        }
        let plan = Arc::new(make(&settings)?);
        let mut live = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if live.0 == settings {
            live.1 = Some(plan.clone());
        }
        Ok(Some(plan))
    }
}
