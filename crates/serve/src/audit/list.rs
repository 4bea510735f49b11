//! The acts over HTTP.

use schemars::JsonSchema;
use serde::Serialize;
use tastemaker_store::Act;

use crate::Error;
use crate::api::events::iso;
use crate::call::{Answer, Call};

/// Acts, and where the next ones begin.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ActsPage {
    /// The acts, newest first.
    acts: Vec<ActOut>,
    /// Send it as `cursor` to go on; empty at the end.
    cursor: String,
}

/// What somebody did, or tried.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ActOut {
    timestamp: String,
    /// The id of the key it was done with; `open` without one, `command line`, or `server`.
    who: String,
    /// Method and path of the route, or a command.
    act: String,
    /// To whom or what.
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    /// The status of the answer and what was wrong, or `done`.
    outcome: String,
}

/// `GET /v1/audit`.
pub(crate) async fn list(call: Call) -> Result<Answer, Error> {
    let cursor = call.text("cursor").unwrap_or_default();
    let page = call.app.store.acts(&call.tenant.name, cursor, call.n(100)?).await?;
    let out = |act: Act| ActOut {
        timestamp: iso(act.time),
        who: act.who,
        act: act.act,
        subject: act.subject,
        outcome: act.outcome,
    };
    Answer::json(&ActsPage { acts: page.rows.into_iter().map(out).collect(), cursor: page.cursor })
}
