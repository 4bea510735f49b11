//! Jobs over HTTP.

use std::time::Duration;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use super::job::Job;
use super::job::Kind;
use crate::Error;
use crate::call::{Answer, Call};

/// Looks at a job that was told to end, and the time between two.
const LOOKS: (u32, Duration) = (100, Duration::from_millis(20));

/// Work that is wanted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobRequest {
    /// What is to be done.
    kind: Kind,
}

/// Jobs, newest first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct JobsAnswer {
    jobs: Vec<Job>,
}

/// `GET /v1/jobs`.
pub(crate) fn list(call: Call) -> std::future::Ready<Result<Answer, Error>> {
    std::future::ready(Answer::json(&JobsAnswer { jobs: call.app.jobs.of(&call.tenant.name) }))
}

/// `POST /v1/jobs`.
pub(crate) async fn post(call: Call) -> Result<Answer, Error> {
    let JobRequest { kind } = call.json()?;
    let job = match kind {
        Kind::Retrain => call.app.retrain(&call.tenant, "asked")?,
    };
    tracing::info!("key {:?} asked for job {} of {}", call.who.key, job.id, call.tenant.name);
    Ok(Answer::json(&job)?.with_status(StatusCode::ACCEPTED))
}

/// `GET /v1/jobs/{job_id}`.
pub(crate) fn show(call: Call) -> std::future::Ready<Result<Answer, Error>> {
    let found = call.app.jobs.find(&call.tenant.name, call.part("job_id"));
    std::future::ready(found.and_then(|job| Answer::json(&job)))
}

/// `DELETE /v1/jobs/{job_id}`.
pub(crate) async fn cancel(call: Call) -> Result<Answer, Error> {
    let (tenant, id) = (&call.tenant.name, call.part("job_id"));
    let mut job = call.app.jobs.find(tenant, id)?;
    if job.state.is_over() {
        return Err(Error::JobOver { id: id.to_owned() });
    }
    call.app.jobs.end(id);
    for _ in 0..LOOKS.0 {
        if job.state.is_over() {
            break;
        }
        tokio::time::sleep(LOOKS.1).await;
        job = call.app.jobs.find(tenant, id)?;
    }
    Answer::json(&job)
}
