//! Experiments over HTTP.

use std::collections::HashSet;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use tastemaker_store::{Change, Experiment};

pub(crate) use super::definition::Definition;
use super::definition::PREVIOUS;
use super::results::{Results, results};
use super::running::{Running, read};
use crate::Error;
use crate::api::events::iso;
use crate::call::{Answer, Call};
use crate::live::{App, Tenant};

/// An experiment as it is known.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ExperimentOut {
    /// What was asked for; `previous` has become the name of a folder.
    #[serde(flatten)]
    definition: Definition,
    /// Users are drawn into it now.
    is_running: bool,
    /// When it began.
    started: String,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Results>,
}

/// Experiments, the one that began last first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ExperimentsAnswer {
    experiments: Vec<ExperimentOut>,
}

fn out(row: &Experiment, results: Option<Results>) -> Result<ExperimentOut, Error> {
    Ok(ExperimentOut {
        definition: read(row)?,
        is_running: row.ended == 0,
        started: iso(row.started),
        ended: (row.ended != 0).then(|| iso(row.ended)),
        results,
    })
}

/// `POST /v1/experiments`.
pub(crate) async fn post(call: Call) -> Result<Answer, Error> {
    let mut definition: Definition = call.json()?;
    call.subject.name(&definition.name);
    definition.check()?;
    let (app, tenant) = (call.app.clone(), call.tenant.clone());
    resolve(&app, &tenant, &mut definition)?;
    // Models are read on when nobody waits any more.
    let begun = tokio::spawn(async move {
        let begun = begin(&app, &tenant, definition).await;
        if begun.is_err() {
            app.forget_unused_models(&tenant).await?;
        }
        begun
    });
    let begun = begun.await;
    let row = begun.map_err(|error| {
        tracing::error!("an experiment did not begin: {error}");
        Error::Failed
    })??;
    tracing::info!("key {:?} began experiment {} of {}", call.who.key, row.name, row.tenant);
    Answer::json(&out(&row, None)?)
}

/// Puts the name of a folder in the place of `previous`, which means another model after the next promotion.
fn resolve(app: &App, tenant: &Tenant, definition: &mut Definition) -> Result<(), Error> {
    let names = app.models_of(&tenant.name);
    for arm in &mut definition.arms {
        if arm.policy.model.as_deref() == Some(PREVIOUS) {
            let model = tenant.slot.before().ok_or(Error::NoPrevious)?;
            let name = model.dir.file_name().map(|name| name.to_string_lossy().into_owned());
            let folder = app.settings.folder(&tenant.name)?;
            let is_inside = |name: &String| model.dir == folder.join(name) && names.contains(name);
            arm.policy.model = Some(name.filter(is_inside).ok_or(Error::NoPrevious)?);
        }
    }
    Ok(())
}

async fn begin(
    app: &Arc<App>,
    tenant: &Arc<Tenant>,
    definition: Definition,
) -> Result<Experiment, Error> {
    let taken = |name: String| Error::ExperimentRuns { name };
    if let Some(row) = app.store.running_experiment(&tenant.name).await? {
        return Err(taken(row.name));
    }
    if app.store.experiment(&tenant.name, &definition.name).await?.is_some() {
        return Err(Error::ExperimentKnown { name: definition.name });
    }
    let folders: HashSet<&str> =
        definition.arms.iter().filter_map(|arm| arm.policy.folder()).collect();
    app.read_models(tenant, &folders.into_iter().collect::<Vec<_>>()).await?;
    for arm in &definition.arms {
        app.policy(tenant, &arm.policy).await?;
    }
    let text = serde_json::to_string(&definition).map_err(|error| {
        tracing::error!("an experiment cannot be written: {error}");
        Error::Failed
    })?;
    let row = Experiment {
        tenant: tenant.name.clone(),
        name: definition.name,
        definition: text,
        started: app.clock.unix_ms(),
        ended: 0,
        results: String::new(),
    };
    let running = Some(Arc::new(Running::new(&row)?));
    let known = (&app.store, app.clock.seconds());
    // Another one may have begun meanwhile.
    match tenant.experiments.change(known, Change::Begin(row.clone()), running).await? {
        true => Ok(row),
        false => Err(taken(row.name)),
    }
}

/// `GET /v1/experiments`.
pub(crate) async fn list(call: Call) -> Result<Answer, Error> {
    let rows = call.app.store.experiments(&call.tenant.name, call.n(100)?).await?;
    let experiments = rows.iter().map(|row| out(row, None)).collect::<Result<_, _>>()?;
    Answer::json(&ExperimentsAnswer { experiments })
}

async fn find(call: &Call) -> Result<Experiment, Error> {
    let name = call.part("name");
    let row = call.app.store.experiment(&call.tenant.name, name).await?;
    row.ok_or_else(|| Error::NotFound { what: "experiment", id: name.to_owned() })
}

/// `GET /v1/experiments/{name}`.
pub(crate) async fn show(call: Call) -> Result<Answer, Error> {
    let row = find(&call).await?;
    let kept = serde_json::from_str(&row.results).ok();
    let results = match kept {
        Some(kept) => kept,
        None => {
            let _turn = call.tenant.experiments.reckoning.lock().await;
            let until = if row.ended == 0 { call.app.clock.unix_ms() } else { row.ended };
            results(&call.app.store, &row.tenant, &read(&row)?, until).await?
        }
    };
    Answer::json(&out(&row, Some(results))?)
}

/// `POST /v1/experiments/{name}/stop`.
pub(crate) async fn stop(call: Call) -> Result<Answer, Error> {
    let (app, tenant) = (&call.app, &call.tenant);
    let mut row = find(&call).await?;
    let over = |name: &str| Error::ExperimentOver { name: name.to_owned() };
    if row.ended != 0 {
        return Err(over(&row.name));
    }
    row.ended = app.clock.unix_ms().max(row.started + 1);
    let known = (&app.store, app.clock.seconds());
    if !tenant.experiments.change(known, Change::End(row.clone()), None).await? {
        return Err(over(&row.name));
    }
    tracing::info!("key {:?} stopped experiment {} of {}", call.who.key, row.name, row.tenant);
    // Lists that were shown before this moment are on their way to the store.
    app.store.flush().await?;
    let results = results(&app.store, &row.tenant, &read(&row)?, row.ended).await?;
    row.results = serde_json::to_string(&results).unwrap_or_default();
    app.store.change(Change::End(row.clone())).await?;
    Answer::json(&out(&row, Some(results))?)
}
