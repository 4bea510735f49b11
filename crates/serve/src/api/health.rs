//! For those who watch the server.

use std::future::{Ready, ready};

use serde_json::json;

use crate::call::{Answer, Call};
use crate::{Error, metrics};

/// `GET /health/live`: the process answers.
pub(crate) fn live(_: Call) -> Ready<Result<Answer, Error>> {
    ready(Answer::json(&json!({ "status": "live", "version": env!("CARGO_PKG_VERSION") })))
}

/// `GET /health/ready`: the store answers too.
pub(crate) async fn ready_to_answer(call: Call) -> Result<Answer, Error> {
    call.app.store.ping().await?;
    // Gorse's clients read the last two.
    Answer::json(&json!({
        "status": "ready",
        "models": call.app.n_models(),
        "Ready": true,
        "DataStoreConnected": true,
    }))
}

/// `GET /metrics`.
pub(crate) fn metrics(call: Call) -> Ready<Result<Answer, Error>> {
    let text = metrics::text(&call.app);
    ready(Ok(Answer::text("text/plain; version=0.0.4; charset=utf-8", text)))
}
