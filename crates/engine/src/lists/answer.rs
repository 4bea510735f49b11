//! An engine's lists: the model's own, with variety, or what a pipeline makes of them.

use std::sync::{Arc, OnceLock};

use tastemaker_core::{Clock, ItemId, Labels, Recommender, Scored, SystemClock};
use tastemaker_pipeline::{
    Alone, Asked, Blend, Piped, PipelineSettings, Plan, RerankSettings, Trace,
};

use super::{ReadyPipeline, Titles, catalogue, plan, shown};
use crate::engine::Answerer;
use crate::predictions::labels;
use crate::{Engine, Error};

/// Places of a list made by a pipeline, where all items of a catalogue are to be placed.
const PLACED: usize = 1000;

impl Engine {
    /// Puts variety into lists.
    #[must_use]
    pub fn with_rerank(mut self, rerank: RerankSettings) -> Self {
        (self.rerank, self.labels) = (rerank, OnceLock::new());
        self.pipeline.reset();
        self
    }

    /// Returns how much variety lists have.
    pub const fn rerank(&self) -> &RerankSettings {
        &self.rerank
    }

    /// Returns the settings of the pipeline.
    pub fn pipeline(&self) -> PipelineSettings {
        self.pipeline.settings()
    }

    /// Makes lists by another pipeline from now on; requests under way end with the one they began with.
    ///
    /// A pipeline that does not go with the model or the data is refused, and the one before stays.
    pub fn set_pipeline(&self, settings: PipelineSettings) -> Result<(), Error> {
        let ReadyPipeline { settings, plan } = self.ready_pipeline(settings)?;
        self.pipeline.replace(settings, plan);
        Ok(())
    }

    /// Makes a pipeline ready to be asked for in the place of the engine's own.
    ///
    /// It is for this engine alone: one that knows more items needs its own.
    pub fn ready_pipeline(&self, settings: PipelineSettings) -> Result<ReadyPipeline, Error> {
        let plan = match settings.is_plain() {
            true => None,
            false => Some(Arc::new(self.plan_of(&settings)?)),
        };
        Ok(ReadyPipeline { settings, plan })
    }

    fn plan_of(&self, settings: &PipelineSettings) -> Result<Plan, Error> {
        let catalogue = catalogue(&self.data, &self.counts, self.vectors.as_ref());
        let parts: Vec<&str> = self.models().iter().map(|model| model.kind().name()).collect();
        let known = (&self.data, self.mixed_labels()?);
        let plan = plan((settings, &self.rerank), &parts, catalogue, known, self.seed)?;
        Ok(match self.writer.as_ref().filter(|_| plan.asks_model()) {
            Some((writer, _)) => {
                plan.with_arbiter(Arc::new(Titles::new(writer.clone(), self.titles())))
            }
            None => plan,
        })
    }

    /// Returns the titles of all items.
    fn titles(&self) -> impl Iterator<Item = String> {
        (0..self.data.n_items()).map(|item| self.title(ItemId::from_index(item)))
    }

    /// Shows the model with its parts.
    fn blended<T>(&self, look: impl FnOnce(&dyn Blend) -> T) -> T {
        match &self.answerer {
            Answerer::Single(model) => look(&Alone::new(self.name(), model.as_ref())),
            Answerer::Fused { model, .. } => look(model.as_ref()),
        }
    }

    /// Returns the labels that lists are mixed by, read when they are first asked for.
    fn mixed_labels(&self) -> Result<Option<&Labels>, Error> {
        Ok(match self.labels.get() {
            Some(labels) => labels.as_ref(),
            None if self.rerank.calibration > 0.0 => {
                let found = labels(&self.data, self.rerank.labels.as_deref())?;
                self.labels.get_or_init(|| found).as_ref()
            }
            None => None,
        })
    }

    /// Lists items, with how they came to their places where that is asked for; `only` is one more filter, `other` a pipeline in the place
    /// of the engine's own.
    pub(crate) fn lists(
        &self,
        asked: &Asked<'_>,
        (only, other): (Option<&str>, Option<&ReadyPipeline>),
    ) -> Result<(Vec<Scored>, Trace), Error> {
        let settings = || other.map_or_else(|| self.pipeline(), |other| other.settings.clone());
        let plan = match (only, other) {
            (Some(only), _) => Some(Arc::new(self.plan_of(&narrowed(settings(), only))?)),
            (None, Some(other)) => other.plan.clone(),
            (None, None) => self.pipeline.plan(|settings| self.plan_of(settings))?,
        };
        let plan = match plan {
            None if asked.traced => Some(Arc::new(self.plan_of(&settings())?)),
            plan => plan,
        };
        let Some(plan) = plan else {
            if let Some(list) = self.near_list(asked)? {
                return Ok((list, Trace::default()));
            }
            return Ok((self.shown()?.recommend(&asked.request, asked.n), Trace::default()));
        };
        let clock: &dyn Clock = &SystemClock::default();
        let (list, trace) = self.blended(|model| plan.run(model, asked, clock));
        trace.notes.iter().for_each(|note| tracing::warn!("{note}"));
        Ok((list, trace))
    }

    /// Lists items by the graph of near neighbours, where there is one and nothing else orders lists.
    fn near_list(&self, asked: &Asked<'_>) -> Result<Option<Vec<Scored>>, Error> {
        let (Some(near), Answerer::Single(model)) = (&self.near, &self.answerer) else {
            return Ok(None);
        };
        match model.as_embed().filter(|_| self.rerank.is_off()) {
            Some(embed) => near.list(embed, &asked.request, asked.n),
            None => Ok(None),
        }
    }

    /// Returns what scores are read off: the model, with variety and calibration where they are wanted.
    pub(crate) fn shown(&self) -> Result<Box<dyn Recommender + '_>, Error> {
        let known = (self.vectors.as_ref(), self.mixed_labels()?);
        shown(self.recommender(), known, &self.rerank)
    }

    /// Runs `look` over lists as people see them.
    pub(crate) fn with_lists<T>(
        &self,
        look: impl FnOnce(&dyn Recommender) -> T,
    ) -> Result<T, Error> {
        match self.pipeline.plan(|settings| self.plan_of(settings))? {
            None => Ok(look(self.shown()?.as_ref())),
            Some(plan) => Ok(self.blended(|model| look(&Piped::new(model, &plan, PLACED)))),
        }
    }

    pub(crate) fn recommender(&self) -> &dyn Recommender {
        match &self.answerer {
            Answerer::Single(model) => model,
            Answerer::Fused { model, .. } => model.as_ref(),
        }
    }
}

/// Adds a filter to a pipeline and all its variants.
fn narrowed(mut settings: PipelineSettings, only: &str) -> PipelineSettings {
    let both = |filter: Option<&str>| match filter.filter(|text| !text.trim().is_empty()) {
        Some(filter) => format!("({filter}) && ({only})"),
        None => only.to_owned(),
    };
    for when in &mut settings.when {
        if let Some(serde_json::Value::String(filter)) = when.then.get_mut("filter") {
            *filter = both(Some(filter));
        }
    }
    settings.filter = Some(both(settings.filter.as_deref()));
    settings
}
