//! The one way in: every request passes here, whatever its route. Finds out who asks, whether they may, and for how long;
//! reads the body within limits; counts; and dresses every answer, the bad ones too.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{Query, RawPathParams, Request};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use serde_json::Value;
use tastemaker_store::{Scope, new_id};
use tokio::sync::OwnedSemaphorePermit;

use crate::audit::{Note, Subject};
use crate::auth::Identity;
use crate::call::{Answer, Call, without_zero_bytes};
use crate::live::{App, Tenant};
use crate::routes::Route;
use crate::traces;
use crate::{DEFAULT_TENANT, Error};

/// Of every answer. There is nothing here that a page of another origin should read or show.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
];
/// Bytes of all bodies together that are read or worked on.
pub(crate) const BODIES: usize = 512 << 20;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Parts of the path, or what is wrong with them.
pub(crate) type Parts = Result<RawPathParams, RawPathParamsRejection>;

/// What is known of a request once it is let in.
#[derive(Default)]
struct Seen {
    tenant: Option<Arc<Tenant>>,
    /// What is to be noted of it.
    note: Option<Note>,
}

/// Lets a request pass to its handler, and its answer back.
pub(crate) async fn pass(
    app: Arc<App>,
    (number, route): (usize, Arc<Route>),
    parts: Parts,
    request: Request,
) -> Response {
    let begun = app.clock.seconds();
    let request_id = request_id(request.headers(), &app);
    let traced = app.traces.as_ref().and_then(|traces| traces.begin(request.headers()));
    let mut seen = Seen::default();
    let work = handle(&app, &route, parts, request, &mut seen);
    let work = traces::within(traced.clone(), tokio::time::timeout(app.settings.timeout, work));
    let outcome = match work.await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::TimedOut),
    };
    let outcome = outcome.map_err(|error| error.told(&request_id));
    let of = traced.as_ref().and_then(|_| Some(seen.tenant.as_ref()?.name.clone()));
    if let Some(note) = seen.note.take() {
        note.end(&app, said(&outcome)).await;
    }
    if let Err((error, problem)) = &outcome
        && (error.status().0.is_server_error() || matches!(error, Error::TooFast))
    {
        let tenant = seen.tenant.unwrap_or_else(|| app.tenant(DEFAULT_TENANT));
        tenant.failures.note(app.clock.unix_ms(), (route.method.as_str(), route.path), problem);
    }
    let response = respond(outcome, &request_id);
    let status = response.status();
    debug_assert!(
        status.as_u16() >= 400 || route.may_answer(status),
        "the document does not say that {} answers {status}",
        route.path
    );
    if let Some((traces, traced)) = app.traces.as_ref().zip(traced) {
        let what = (route.method.as_str(), route.path, response.status().as_u16());
        traces.end(&traced, what, (of.as_deref(), &request_id));
    }
    app.routes[number].1.count(response.status().as_u16(), app.clock.seconds() - begun);
    response
}

/// Says in a few words what came of a request.
fn said(outcome: &Result<Answer, (Error, Value)>) -> String {
    match outcome {
        Ok(answer) => answer.status.as_u16().to_string(),
        Err((error, _)) => {
            let (status, slug) = error.status();
            format!("{} {slug}", status.as_u16())
        }
    }
}

/// Answers what no route is for.
pub(crate) fn refuse(app: &App, headers: &HeaderMap, error: Error) -> Response {
    let request_id = request_id(headers, app);
    respond(Err(error.told(&request_id)), &request_id)
}

async fn handle(
    app: &Arc<App>,
    route: &Route,
    parts: Parts,
    request: Request,
    seen: &mut Seen,
) -> Result<Answer, Error> {
    let (head, body) = request.into_parts();
    let who = match route.scope {
        None => Identity { tenant: DEFAULT_TENANT.into(), scope: Scope::Read, key: String::new() },
        Some(needs) => {
            let known = (&app.store, app.clock.as_ref());
            let who = app.keys.identify(&head.headers, known, app.settings.open).await?;
            seen.tenant = Some(app.tenant(&who.tenant));
            app.notice_others().await;
            app.rates.take(&who.key, app.settings.rate, app.clock.seconds())?;
            let host = host(&head.headers, &head.uri);
            if who.key.is_empty() && is_foreign(&head.headers, host, app.settings.local) {
                return Err(Error::Foreign);
            }
            if who.scope < needs {
                return Err(Error::Scope { needs });
            }
            who
        }
    };
    let parts =
        parts.map_err(|error| Error::Query { name: "path".into(), why: error.to_string() })?;
    let path = parts.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let query: Query<Vec<(String, String)>> = Query::try_from_uri(&head.uri)
        .map_err(|error| Error::Query { name: "query".into(), why: error.to_string() })?;
    let path: Vec<(String, String)> = path;
    without_zero_bytes(path.iter().chain(&query.0))?;
    let subject = Subject::default();
    if route.is_noted() {
        seen.note = Some(Note::begin(app, &who, route, &path, &subject));
    }
    let (body, _room) = match route.takes {
        Some(_) => read(app, body, &head.headers).await?,
        None => (Bytes::new(), None),
    };
    let version = head.headers.get("x-api-version").and_then(|version| version.to_str().ok());
    let call = Call {
        app: app.clone(),
        tenant: seen.tenant.clone().unwrap_or_else(|| app.tenant(&who.tenant)),
        who,
        path,
        query: query.0,
        body,
        gorse_version: version.and_then(|version| version.parse().ok()).unwrap_or(1),
        headers: head.headers,
        subject,
    };
    (route.handle)(call).await
}

/// Tells whether a request comes from a page of another origin, which a browser sends without asking its user. Programs say nothing of
/// an origin. `local` wants a name of this machine, too, and that no proxy brings it from elsewhere.
fn is_foreign(headers: &HeaderMap, host: &str, local: bool) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_brought = ["forwarded", "x-forwarded-for", "x-real-ip"]
        .iter()
        .any(|name| headers.contains_key(*name));
    let is_other = |origin: &str| origin.split_once("://").is_none_or(|(_, place)| place != host);
    let bare = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|c| c.is_ascii_digit()));
    let bare = bare.map_or(host, |(bare, _)| bare).trim_matches(['[', ']']);
    let is_here =
        bare.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok();
    text("origin").is_some_and(is_other)
        || text("sec-fetch-site").is_some_and(|site| !["same-origin", "none"].contains(&site))
        || (local && (!is_here || is_brought))
}

/// Returns the name a server was called by: HTTP/2 has it in the address. Empty for old programs that say none.
fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> &'a str {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.or_else(|| uri.authority().map(Authority::as_str)).unwrap_or_default()
}

/// Reads a body, for which there must be room beside those that are read or worked on already.
async fn read(
    app: &App,
    body: Body,
    headers: &HeaderMap,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Error> {
    let limit = app.settings.body;
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    // A page of another origin can send a form without being asked, but not JSON.
    if !text(header::CONTENT_TYPE).is_some_and(|kind| kind.to_ascii_lowercase().contains("json")) {
        return Err(Error::Media);
    }
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(Error::TooLong { limit });
    }
    let kilobytes = (length.unwrap_or(limit) / 1024 + 1).min(BODIES / 1024) as u32;
    let room = app.bodies.clone().try_acquire_many_owned(kilobytes).map_err(|_| Error::Busy)?;
    let read = to_bytes(body, limit).await;
    let bytes = read.map_err(|error| match error.to_string().contains("length limit") {
        true => Error::TooLong { limit },
        false => Error::Body { why: error.to_string() },
    });
    Ok((bytes?, Some(room)))
}

/// Takes over the client's own id of a request, when it looks like one.
fn request_id(headers: &HeaderMap, app: &App) -> String {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_plain = |id: &&str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    given.filter(is_plain).map_or_else(|| new_id(app.clock.unix_ms()), str::to_owned)
}

fn respond(outcome: Result<Answer, (Error, Value)>, request_id: &str) -> Response {
    let (answer, retry, is_key) = match outcome {
        Ok(answer) => (answer, None, false),
        Err((error, problem)) => {
            let answer = Answer::text("application/problem+json", problem.to_string());
            let answer = answer.with_status(error.status().0);
            (answer, error.retry_after(), matches!(error, Error::Key))
        }
    };
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in answer.headers {
        headers.insert(name, value);
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(seconds) = retry {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if is_key && answer.status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
