//! The last requests of a tenant that failed or were turned away, and what it was warned of: in memory, for people who look.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::Error;
use crate::api::events::iso;
use crate::call::{Answer, Call};

/// Entries that are kept.
const KEPT: usize = 200;

/// One failure, or the same one several times in a row.
#[derive(Clone, Debug, PartialEq)]
struct Failure {
    /// Unix milliseconds of the last time.
    time: i64,
    times: u64,
    /// Method and path of the route; empty for a warning.
    route: String,
    status: u16,
    problem: String,
    detail: String,
    request_id: String,
}

/// What failed.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<VecDeque<Failure>>);

impl Failures {
    /// Keeps a request that failed by no fault of the client, or that was turned away because too much was asked at once.
    pub(crate) fn note(&self, time: i64, (method, path): (&str, &str), problem: &Value) {
        let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
        let request_id = text("instance").rsplit(':').next().unwrap_or_default().to_owned();
        self.keep(Failure {
            time,
            times: 1,
            route: format!("{method} {path}"),
            status: problem["status"].as_u64().unwrap_or_default() as u16,
            problem: text("type"),
            detail: text("detail"),
            request_id,
        });
    }

    /// Keeps a warning.
    pub(crate) fn warn(&self, time: i64, detail: String) {
        let (route, problem, request_id) = (String::new(), String::new(), String::new());
        self.keep(Failure { time, times: 1, route, status: 0, problem, detail, request_id });
    }

    fn keep(&self, failure: Failure) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A thousand that are turned away in a row must not push out what came before.
        let is_same = |last: &&mut Failure| {
            (&last.route, &last.problem, &last.detail)
                == (&failure.route, &failure.problem, &failure.detail)
        };
        if let Some(last) = kept.back_mut().filter(is_same) {
            *last = Failure { times: last.times + 1, ..failure };
            return;
        }
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(failure);
    }

    fn newest_first(&self) -> Vec<Failure> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().rev().cloned().collect()
    }
}

/// What failed, newest first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct FailuresAnswer {
    failures: Vec<FailureOut>,
    /// How many are kept at most, since the server began.
    kept: usize,
}

/// A request that failed, or a warning.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct FailureOut {
    /// `failed` or `warning`.
    kind: &'static str,
    /// When it happened last.
    timestamp: String,
    /// How often in a row.
    times: u64,
    /// Method and path of the route.
    #[serde(skip_serializing_if = "String::is_empty")]
    route: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Its type.
    #[serde(skip_serializing_if = "String::is_empty")]
    problem: String,
    /// What the client was told, or the warning.
    detail: String,
    /// Stands in the log of the server too.
    #[serde(skip_serializing_if = "String::is_empty")]
    request_id: String,
}

/// `GET /v1/failures`.
pub(super) async fn show(call: Call) -> Result<Answer, Error> {
    let out = |failure: Failure| FailureOut {
        kind: if failure.route.is_empty() { "warning" } else { "failed" },
        timestamp: iso(failure.time),
        times: failure.times,
        route: failure.route,
        status: Some(failure.status).filter(|status| *status > 0),
        problem: failure.problem,
        detail: failure.detail,
        request_id: failure.request_id,
    };
    let failures = call.tenant.failures.newest_first().into_iter().map(out).collect();
    Answer::json(&FailuresAnswer { failures, kept: KEPT })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_the_same_in_a_row_is_one_entry() {
        let failures = Failures::default();
        for n in 0..1000 {
            failures.warn(n, "the same".into());
        }
        failures.warn(1000, "another".into());
        let kept = failures.newest_first();
        assert_eq!((kept.len(), kept[1].times, kept[1].time), (2, 1000, 999));
        (0..1000).for_each(|n| failures.warn(n, n.to_string()));
        let kept = failures.newest_first();
        assert_eq!((kept.len(), kept[0].detail.as_str()), (KEPT, "999"));
    }
}
