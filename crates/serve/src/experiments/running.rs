//! The experiment that runs: whose list is made how.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tastemaker_engine::ReadyPipeline;
use tastemaker_engine::pipeline::PipelineSettings;
use tastemaker_store::{Experiment, Shown, Store};

use super::definition::{Definition, PolicyIn};
use super::models::ArmModels;
use crate::Error;
use crate::api::recommend::RecommendRequest;
use crate::live::{App, Loaded, Tenant, Timed, fresh, keep, known_for};

/// How a list is made.
#[derive(Clone)]
pub(crate) struct Policy {
    pub(crate) model: Arc<Loaded>,
    /// In the place of the model's own.
    pub(crate) pipeline: Option<Arc<ReadyPipeline>>,
}

/// A pipeline made ready for a model; `None` for one that it does not fit.
type Made = (Weak<Loaded>, Option<Arc<ReadyPipeline>>);

/// An experiment that runs.
pub(super) struct Running {
    pub(super) definition: Definition,
    started: i64,
    /// The pipeline of each arm, made when it is first asked for.
    made: Vec<Mutex<Option<Made>>>,
}

impl Running {
    pub(super) fn new(row: &Experiment) -> Result<Self, Error> {
        let definition = read(row)?;
        let made = definition.arms.iter().map(|_| Mutex::default()).collect();
        Ok(Self { definition, started: row.started, made })
    }

    /// Lists the folders of its models.
    fn folders(&self) -> HashSet<&str> {
        self.definition.arms.iter().filter_map(|arm| arm.policy.folder()).collect()
    }
}

/// Reads what was kept of an experiment.
pub(super) fn read(row: &Experiment) -> Result<Definition, Error> {
    serde_json::from_str(&row.definition).map_err(|error| {
        tracing::error!("the experiment {} of {} cannot be read: {error}", row.name, row.tenant);
        Error::Failed
    })
}

/// The experiments of a tenant.
#[derive(Default)]
pub(crate) struct Experiments {
    pub(crate) models: ArmModels,
    running: Timed<Option<Arc<Running>>>,
    /// One reads or writes.
    turn: tokio::sync::Mutex<()>,
    /// Results are reckoned one after the other: they read much.
    pub(super) reckoning: tokio::sync::Mutex<()>,
}

impl Experiments {
    /// Returns the experiment that runs.
    async fn running(
        &self,
        (store, tenant): (&Store, &str),
        now: f64,
    ) -> Result<Option<Arc<Running>>, Error> {
        if let Some(known) = fresh(&self.running, now, known_for(store)) {
            return Ok((*known).clone());
        }
        let _turn = self.turn.lock().await;
        if let Some(known) = fresh(&self.running, now, known_for(store)) {
            return Ok((*known).clone());
        }
        let row = store.running_experiment(tenant).await?;
        let read = row.as_ref().map(Running::new).transpose()?.map(Arc::new);
        Ok(self.know(read, now))
    }

    /// Knows what runs from now on; what ran before stays the same one.
    fn know(&self, read: Option<Arc<Running>>, now: f64) -> Option<Arc<Running>> {
        let last = fresh(&self.running, now, f64::INFINITY).and_then(|last| (*last).clone());
        let is_same = |last: &Arc<Running>| {
            read.as_ref().is_some_and(|read| {
                (&read.definition.name, read.started) == (&last.definition.name, last.started)
            })
        };
        let was_running = last.is_some();
        let same = last.filter(is_same);
        if was_running && same.is_none() {
            self.models.keep(&read.as_ref().map(|read| read.folders()).unwrap_or_default());
        }
        let read = same.or(read);
        keep(&self.running, Arc::new(read.clone()), now);
        read
    }

    /// Writes that one begins or ends, and knows it at once; returns whether anything was written.
    pub(super) async fn change(
        &self,
        (store, now): (&Store, f64),
        change: tastemaker_store::Change,
        running: Option<Arc<Running>>,
    ) -> Result<bool, Error> {
        let _turn = self.turn.lock().await;
        let is_written = store.change(change).await?.rows > 0;
        if is_written {
            self.know(running, now);
        }
        Ok(is_written)
    }
}

/// A user who takes part, and how their list is made.
pub(crate) struct Treated {
    running: Arc<Running>,
    arm: usize,
    pub(crate) policy: Policy,
}

impl Treated {
    pub(crate) fn experiment(&self) -> &str {
        &self.running.definition.name
    }

    pub(crate) fn arm(&self) -> &str {
        &self.running.definition.arms[self.arm].name
    }

    /// Returns the request as the arm asks it.
    pub(crate) fn asks(&self, request: &RecommendRequest) -> RecommendRequest {
        asks(&self.running.definition.arms[self.arm].policy, request)
    }
}

/// Returns a request with what a policy adds to its context.
pub(super) fn asks(policy: &PolicyIn, request: &RecommendRequest) -> RecommendRequest {
    let mut request = request.clone();
    // They are one to variants of a pipeline.
    if policy.context.contains_key("scenario") {
        request.scenario = None;
    }
    request.context.extend(policy.context.clone());
    request
}

impl App {
    /// Finds out how the list of somebody who takes part in an experiment is made.
    pub(crate) async fn treatment(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        request: &RecommendRequest,
    ) -> Result<Option<Treated>, Error> {
        let is_drawn = request.model.is_none() && request.history.is_empty();
        let Some(user) = request.user_id.as_deref().filter(|_| is_drawn) else { return Ok(None) };
        let known = (&self.store, tenant.name.as_str());
        let running = tenant.experiments.running(known, self.clock.seconds()).await?;
        let Some(running) = running else { return Ok(None) };
        let Some(arm) = running.definition.arm_of(user) else { return Ok(None) };
        let policy = &running.definition.arms[arm].policy;
        let Some(model) = self.model_of(tenant, policy) else {
            let names = running.folders().into_iter().map(str::to_owned).collect();
            self.read_models_soon(tenant, names);
            return Ok(None);
        };
        let Some(settings) = &policy.pipeline else {
            return Ok(Some(Treated { policy: Policy { model, pipeline: None }, running, arm }));
        };
        let made = running.made[arm].lock().unwrap_or_else(PoisonError::into_inner).clone();
        let made = made.filter(|(of, _)| of.ptr_eq(&Arc::downgrade(&model)));
        let pipeline = match made {
            Some((_, pipeline)) => pipeline,
            None => {
                let pipeline = match self.ready(&model, settings.clone()).await {
                    Ok(pipeline) => Some(pipeline),
                    Err(Error::Busy) => return Err(Error::Busy),
                    Err(error) => {
                        let warning = format!("an arm of the experiment answers nobody: {error}");
                        tracing::warn!("{}: {warning}", tenant.name);
                        tenant.failures.warn(self.clock.unix_ms(), warning);
                        None
                    }
                };
                let of = (Arc::downgrade(&model), pipeline.clone());
                *running.made[arm].lock().unwrap_or_else(PoisonError::into_inner) = Some(of);
                pipeline
            }
        };
        Ok(pipeline.map(|pipeline| {
            let policy = Policy { model, pipeline: Some(pipeline) };
            Treated { policy, running, arm }
        }))
    }

    /// Returns the model of a policy, if it is in memory.
    fn model_of(&self, tenant: &Tenant, policy: &PolicyIn) -> Option<Arc<Loaded>> {
        match policy.folder() {
            None => tenant.slot.now(),
            Some(name) => self.named_model(tenant, name),
        }
    }

    /// Makes a pipeline ready for a model.
    pub(super) async fn ready(
        &self,
        model: &Arc<Loaded>,
        settings: PipelineSettings,
    ) -> Result<Arc<ReadyPipeline>, Error> {
        let model = model.clone();
        let work = move || Ok(model.engine.ready_pipeline(settings)?);
        Ok(Arc::new(self.workers.run(work).await?))
    }

    /// Makes a policy ready, or says what it lacks.
    pub(super) async fn policy(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        policy: &PolicyIn,
    ) -> Result<Policy, Error> {
        let model = match policy.folder() {
            None => tenant.slot.now().ok_or(Error::NoModel)?,
            Some(name) => self.named_model(tenant, name).ok_or(Error::NoModel)?,
        };
        let pipeline = match &policy.pipeline {
            Some(settings) => Some(self.ready(&model, settings.clone()).await?),
            None => None,
        };
        Ok(Policy { model, pipeline })
    }

    /// Finds what made a list; `None` when it is not there any more.
    pub(crate) async fn policy_of(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        shown: &Shown,
    ) -> Result<Option<Policy>, Error> {
        let mut models = tenant.slot.now().into_iter().chain(tenant.experiments.models.all());
        let Some(model) = models.find(|model| model.id == shown.model) else { return Ok(None) };
        let experiment = match shown.experiment.as_str() {
            "" => None,
            name => self.store.experiment(&tenant.name, name).await?,
        };
        let Some(row) = experiment else { return Ok(Some(Policy { model, pipeline: None })) };
        let arm = read(&row)?.arms.into_iter().find(|arm| arm.name == shown.arm);
        let pipeline = match arm.and_then(|arm| arm.policy.pipeline) {
            Some(settings) => Some(self.ready(&model, settings).await?),
            None => None,
        };
        Ok(Some(Policy { model, pipeline }))
    }

    /// Forgets models of an experiment that did not come about.
    pub(super) async fn forget_unused_models(&self, tenant: &Tenant) -> Result<(), Error> {
        let known = (&self.store, tenant.name.as_str());
        let running = tenant.experiments.running(known, self.clock.seconds()).await?;
        let folders = running.as_ref().map(|running| running.folders()).unwrap_or_default();
        tenant.experiments.models.keep(&folders);
        Ok(())
    }

    /// Reads the models of the experiment that runs, before anybody asks.
    pub(crate) async fn prepare_experiment(self: &Arc<Self>, tenant: &Arc<Tenant>) {
        let known = (&self.store, tenant.name.as_str());
        let reading = async {
            match tenant.experiments.running(known, self.clock.seconds()).await? {
                Some(running) => {
                    let names: Vec<&str> = running.folders().into_iter().collect();
                    self.read_models(tenant, &names).await
                }
                None => Ok(()),
            }
        };
        if let Err(error) = reading.await {
            tracing::error!("{} lacks a model for its experiment: {error}", tenant.name);
        }
    }
}
