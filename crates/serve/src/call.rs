//! A request that was let in, and the answer to it: what every handler sees.

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::audit::Subject;
use crate::auth::Identity;
use crate::live::{App, Tenant};

/// Most events, items or users that are told at once.
pub(crate) const MAX_TOLD: usize = 10_000;
/// Most rows of an answer.
pub(crate) const MAX_ROWS: usize = 1000;

/// A request whose sender is known and may send it.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) who: Identity,
    /// Parts of the path that have a name, decoded.
    pub(crate) path: Vec<(String, String)>,
    /// What stands behind the question mark, decoded.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The version of Gorse's answers that is wanted.
    pub(crate) gorse_version: u32,
    /// What the record of it says it was done to.
    pub(crate) subject: Subject,
}

impl Call {
    /// Returns a named part of the path.
    pub(crate) fn part(&self, name: &str) -> &str {
        find(&self.path, name).unwrap_or_default()
    }

    /// Returns a named part of what stands behind the question mark.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        find(&self.query, name).filter(|value| !value.is_empty())
    }

    /// Reads a number behind the question mark.
    pub(crate) fn number<T: FromStr>(&self, name: &str, default: T) -> Result<T, Error> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let wrong =
            |_| Error::Query { name: name.into(), why: format!("`{text}` is no such number") };
        text.parse().map_err(wrong)
    }

    /// Reads how many rows are wanted.
    pub(crate) fn n(&self, default: usize) -> Result<usize, Error> {
        self.number("n", default).map(|n| n.min(MAX_ROWS))
    }

    /// Reads the body.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Body { why: error.to_string() })
    }

    /// Reads a body that is a list.
    pub(crate) fn many<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        at_most(self.json()?)
    }
}

/// Refuses what no store can keep.
pub(crate) fn without_zero_bytes<'a>(
    mut pairs: impl Iterator<Item = &'a (String, String)>,
) -> Result<(), Error> {
    match pairs.find(|(_, value)| value.contains('\0')) {
        Some((name, _)) => {
            Err(Error::Query { name: name.clone(), why: "it holds a zero byte".into() })
        }
        None => Ok(()),
    }
}

/// Refuses more than go at once.
pub(crate) fn at_most<T>(told: Vec<T>) -> Result<Vec<T>, Error> {
    if told.len() > MAX_TOLD {
        return Err(Error::Body { why: format!("at most {MAX_TOLD} go at once") });
    }
    Ok(told)
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// What goes back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    /// Beside those of every answer, or instead of them.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    /// Answers with JSON.
    pub(crate) fn json(value: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(value).map_err(|error| {
            tracing::error!("an answer cannot be written: {error}");
            Error::Failed
        })?;
        Ok(Self {
            status: StatusCode::OK,
            content_type: "application/json",
            body,
            headers: Vec::new(),
        })
    }

    /// Answers with text.
    pub(crate) fn text(content_type: &'static str, text: String) -> Self {
        let (status, body) = (StatusCode::OK, text.into_bytes());
        Self { status, content_type, body, headers: Vec::new() }
    }

    /// Answers with another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Answers with more headers.
    pub(crate) fn with_headers<const N: usize>(
        mut self,
        headers: [(HeaderName, HeaderValue); N],
    ) -> Self {
        self.headers.extend(headers);
        self
    }
}
