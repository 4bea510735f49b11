//! Jobs over HTTP.

use std::time::Duration;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use super::Job;
use super::job::Kind;
use crate::call::{Answer, Call};
use crate::{DEFAULT_TENANT, Error};

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
    let jobs = call.app.jobs.of(&call.tenant.name);
    std::future::ready(told(&call, &JobsAnswer { jobs }))
}

/// Answers without telling where models lie: that is for who runs the machine.
fn told(call: &Call, value: &impl Serialize) -> Result<Answer, Error> {
    let answer = Answer::json(value)?;
    let Some(root) =
        call.app.settings.models.as_ref().filter(|_| call.tenant.name != DEFAULT_TENANT)
    else {
        return Ok(answer);
    };
    let mut text = String::from_utf8_lossy(&answer.body).into_owned();
    for root in [Some(root.clone()), root.canonicalize().ok()].into_iter().flatten() {
        // As it stands inside a text of JSON.
        let inside = serde_json::Value::from(root.display().to_string()).to_string();
        text = text.replace(inside.trim_matches('"'), "models");
    }
    Ok(Answer { body: text.into_bytes(), ..answer })
}

/// `POST /v1/jobs`.
pub(crate) async fn post(call: Call) -> Result<Answer, Error> {
    let JobRequest { kind } = call.json()?;
    let job = match kind {
        Kind::Retrain => call.app.retrain(&call.tenant, "asked")?,
    };
    call.subject.name(&job.id);
    tracing::info!("key {:?} asked for job {} of {}", call.who.key, job.id, call.tenant.name);
    Ok(told(&call, &job)?.with_status(StatusCode::ACCEPTED))
}

/// `GET /v1/jobs/{job_id}`.
pub(crate) fn show(call: Call) -> std::future::Ready<Result<Answer, Error>> {
    let found = call.app.jobs.find(&call.tenant.name, call.part("job_id"));
    std::future::ready(found.and_then(|job| told(&call, &job)))
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
    told(&call, &job)
}
