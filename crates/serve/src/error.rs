//! What can go wrong between a request and its answer, and the only place that picks a status code.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tastemaker_engine::Error as EngineError;
use tastemaker_engine::data::Error as DataError;
use tastemaker_store::{Error as StoreError, Scope};
use thiserror::Error;

/// Says what went wrong and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A body that is not what the route takes.
    #[error("the body does not fit: {why}")]
    Body {
        /// What is wrong.
        why: String,
    },
    /// A body that says of itself that it is no JSON.
    #[error("the body must be JSON: send it with `content-type: application/json`")]
    Media,
    /// A part of the address that is wrong.
    #[error("`{name}` in the address does not fit: {why}")]
    Query {
        /// Which part.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Something that is not there.
    #[error("there is no {what} `{id}`")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A path that leads nowhere.
    #[error("there is nothing at this path: /openapi.json lists what there is")]
    NoRoute,
    /// A path that is asked the wrong way.
    #[error("this path does not take this method: /openapi.json lists what there is")]
    Method,
    /// No key, or a wrong one.
    #[error("a valid key is needed: send it as `x-api-key: KEY` or `authorization: Bearer KEY`")]
    Key,
    /// A key that may not do this.
    #[error("this key may not do that: it takes one with the scope `{needs}`")]
    Scope {
        /// What it takes.
        needs: Scope,
    },
    /// Too many requests of one key.
    #[error("too many requests with this key: slow down")]
    TooFast,
    /// Too many requests of all.
    #[error("the server is busy: try again soon")]
    Busy,
    /// A body too long.
    #[error("the body is longer than {limit} bytes: send less at once")]
    TooLong {
        /// What is allowed.
        limit: usize,
    },
    /// It took too long.
    #[error("the request took too long and was given up")]
    TimedOut,
    /// There is no model to answer with.
    #[error("this needs a model, and none is loaded: train one, and start with --model DIR")]
    NoModel,
    /// No folder of models was named.
    #[error("models are loaded from the folder given with --models, and there is none")]
    NoModels,
    /// A folder of models that is not there.
    #[error("there is no folder {path}: make it, with a folder for each tenant, such as `default`")]
    NoFolder {
        /// The folder.
        path: String,
    },
    /// A page of another origin asks, by the browser of somebody who needs no key.
    #[error(
        "without a key only this machine's own pages and programs are answered: make a key with `tastemaker keys create`"
    )]
    Foreign,
    /// There is no model to go back to.
    #[error("there is no model before this one")]
    NoPrevious,
    /// An address that cannot be listened at.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// A server for everybody on an address that everybody reaches.
    #[error(
        "{address} is reached from other machines, and there are no keys: make one with `tastemaker keys create`, or say --open"
    )]
    Unguarded {
        /// The address.
        address: String,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate that cannot be used.
    #[error("{path} cannot be used for TLS: {why}; give a chain and its key as files in PEM")]
    Certificate {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A server that is to be measured does not answer.
    #[error("{address} does not answer: {source}")]
    Unreachable {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// A job while another one is not over.
    #[error("the job `{id}` is not over yet: wait for it, or cancel it")]
    JobRuns {
        /// The one that is not over.
        id: String,
    },
    /// A job that cannot be cancelled any more.
    #[error("the job `{id}` is over already")]
    JobOver {
        /// Its id.
        id: String,
    },
    /// Training without a program for it.
    #[error("this server was started without a program that trains models")]
    NoTrainer,
    /// A training came to no good end.
    #[error("the training failed: {why}")]
    Train {
        /// Why.
        why: String,
    },
    /// An experiment while another one runs.
    #[error("the experiment `{name}` runs: stop it first, since one runs at a time")]
    ExperimentRuns {
        /// The one that runs.
        name: String,
    },
    /// An experiment whose name was used.
    #[error(
        "there is an experiment `{name}` already: choose another name, by which users are drawn anew"
    )]
    ExperimentKnown {
        /// The name.
        name: String,
    },
    /// An experiment that cannot be stopped any more.
    #[error("the experiment `{name}` has ended already")]
    ExperimentOver {
        /// Its name.
        name: String,
    },
    /// Nothing was drawn that another policy could be judged by.
    #[error(
        "no list of the last {days} days that is older than {hours} hours was drawn: set `explore` in the pipeline of the model that answers, or \
         of an experiment's arm, so that the chance of every item to be shown is known"
    )]
    Undrawn {
        /// Days that were looked at.
        days: f64,
        /// Hours until the outcome of a list is known.
        hours: f64,
    },
    /// Traces cannot go to this address.
    #[error("traces cannot go to `{address}`: name a collector, as in http://127.0.0.1:4318")]
    Collector {
        /// The address.
        address: String,
    },
    /// A file that is imported or exported cannot be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A row of a file does not fit.
    #[error("{path}, {place}: {why}")]
    Row {
        /// The file.
        path: String,
        /// Which row, and which field of it.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// Writing a file into the store ended in the middle.
    #[error(
        "{path} was imported up to row {rows}, then: {source}; once that is mended import it again, which adds nothing twice"
    )]
    Import {
        /// The file.
        path: String,
        /// Rows that are on disk.
        rows: u64,
        /// Why it ended.
        source: Box<Self>,
    },
    /// Something that must not happen.
    #[error("the server failed; its log says why")]
    Failed,
}

/// Seconds after which a client that was turned away may come again.
const RETRY: u32 = 1;

impl Error {
    /// Picks the status, and a short name that programs can rely on.
    pub(crate) fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Engine(error) => engine_status(error),
            Self::Store(error) => store_status(error),
            Self::Body { .. } => (StatusCode::BAD_REQUEST, "bad-body"),
            Self::Query { .. } => (StatusCode::BAD_REQUEST, "bad-address"),
            Self::Media => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json"),
            Self::NotFound { .. } => (StatusCode::NOT_FOUND, "not-found"),
            Self::NoRoute => (StatusCode::NOT_FOUND, "no-route"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "wrong-method"),
            Self::Key => (StatusCode::UNAUTHORIZED, "no-key"),
            Self::Scope { .. } => (StatusCode::FORBIDDEN, "scope"),
            Self::Foreign => (StatusCode::FORBIDDEN, "foreign"),
            Self::TooFast => (StatusCode::TOO_MANY_REQUESTS, "too-fast"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::TooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-long"),
            Self::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timed-out"),
            Self::NoModel | Self::NoModels | Self::NoPrevious => (StatusCode::CONFLICT, "no-model"),
            Self::JobRuns { .. } => (StatusCode::CONFLICT, "job-runs"),
            Self::JobOver { .. } => (StatusCode::CONFLICT, "job-over"),
            Self::NoTrainer => (StatusCode::CONFLICT, "no-trainer"),
            Self::ExperimentRuns { .. } => (StatusCode::CONFLICT, "experiment-runs"),
            Self::ExperimentKnown { .. } => (StatusCode::CONFLICT, "experiment-known"),
            Self::ExperimentOver { .. } => (StatusCode::CONFLICT, "experiment-over"),
            Self::Undrawn { .. } => (StatusCode::CONFLICT, "undrawn"),
            Self::Listen { .. }
            | Self::Train { .. }
            | Self::Unguarded { .. }
            | Self::NoFolder { .. }
            | Self::Write { .. }
            | Self::Certificate { .. }
            | Self::Unreachable { .. }
            | Self::Collector { .. }
            | Self::Data(_)
            | Self::Row { .. }
            | Self::Import { .. }
            | Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        }
    }

    /// Returns the problem as RFC 9457 wants it. What happened inside a failing server is for its log.
    pub(crate) fn problem(&self, request_id: &str) -> Value {
        let (status, slug) = self.status();
        let detail = if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            tracing::error!("{request_id}: {self}");
            if status == StatusCode::GATEWAY_TIMEOUT {
                self.to_string()
            } else {
                Self::Failed.to_string()
            }
        } else {
            self.to_string()
        };
        json!({
            "type": format!("urn:tastemaker:problem:{slug}"),
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": detail,
            "instance": format!("urn:tastemaker:request:{request_id}"),
        })
    }

    /// Returns itself with the problem.
    pub(crate) fn told(self, request_id: &str) -> (Self, Value) {
        let problem = self.problem(request_id);
        (self, problem)
    }

    /// Says when a client that was turned away may come again.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        let (status, _) = self.status();
        let later = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        later.contains(&status).then_some(RETRY)
    }
}

fn engine_status(error: &EngineError) -> (StatusCode, &'static str) {
    match error {
        EngineError::UnknownItem { .. } => (StatusCode::NOT_FOUND, "unknown-item"),
        EngineError::UnknownUser { .. } => (StatusCode::NOT_FOUND, "unknown-user"),
        EngineError::Unable { .. } => (StatusCode::CONFLICT, "unable"),
        EngineError::Pipeline { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad-filter"),
        EngineError::NotAModel { .. }
        | EngineError::Changed { .. }
        | EngineError::Persist { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad-model"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
    }
}

fn store_status(error: &StoreError) -> (StatusCode, &'static str) {
    match error {
        StoreError::Id { .. } | StoreError::ZeroByte { .. } | StoreError::Tenant { .. } => {
            (StatusCode::UNPROCESSABLE_ENTITY, "bad-id")
        }
        StoreError::Full
        | StoreError::Closed
        | StoreError::Sql(_)
        | StoreError::NotWritten { .. } => {
            tracing::warn!("{error}");
            (StatusCode::SERVICE_UNAVAILABLE, "store")
        }
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
    }
}
