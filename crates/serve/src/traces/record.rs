//! Requests as they are traced: one span each, with what it waited for as spans within.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use serde_json::{Value, json};
use tastemaker_core::Clock;

use super::TraceSettings;
use super::context::Parent;
use super::sender::Sender;
use super::span::Span;
use crate::Error;

/// Spans within one request; a request that did more is told without the rest.
const CHILDREN: usize = 32;

tokio::task_local! {
    /// The request that is worked on.
    static CURRENT: Option<Arc<Traced>>;
}

/// All that is traced.
pub(crate) struct Traces {
    sender: Sender,
    sample: f64,
    clock: Arc<dyn Clock>,
    random: RandomState,
    count: AtomicU64,
}

/// A request that is traced.
pub(crate) struct Traced {
    trace: u128,
    id: u64,
    parent: u64,
    /// Unix nanoseconds when it began, and seconds of the clock then.
    begun: (u64, f64),
    clock: Arc<dyn Clock>,
    children: Mutex<Vec<(&'static str, u64, u64)>>,
}

impl Traced {
    /// Returns unix nanoseconds, by the clock that is never set.
    fn now(&self) -> u64 {
        let passed = (self.clock.seconds() - self.begun.1).max(0.0);
        self.begun.0 + (passed * 1e9) as u64
    }
}

impl Traces {
    pub(crate) fn new(settings: &TraceSettings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Ok(Self {
            sender: Sender::new(settings)?,
            sample: settings.sample,
            clock,
            random: RandomState::new(),
            count: AtomicU64::new(0),
        })
    }

    /// Makes a number nobody else has made; never 0.
    fn id(&self) -> u64 {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        self.random.hash_one((count, self.clock.unix_ms())).max(1)
    }

    /// Begins the trace of a request, or goes on with its caller's; `None` when it is not traced.
    pub(crate) fn begin(&self, headers: &HeaderMap) -> Option<Arc<Traced>> {
        let header = headers.get("traceparent").and_then(|header| header.to_str().ok());
        let parent = header.and_then(Parent::read);
        let (trace, within) = match parent {
            Some(parent) => (parent.trace, parent.span),
            None => (u128::from(self.id()) << 64 | u128::from(self.id()), 0),
        };
        // By the trace, so that all who take part in one would choose alike.
        let share = (trace as u64 >> 11) as f64 / (1u64 << 53) as f64;
        if !parent.map_or(share < self.sample, |parent| parent.is_sampled) {
            return None;
        }
        let begun = (self.clock.unix_ms().max(0).unsigned_abs() * 1_000_000, self.clock.seconds());
        let (id, children, clock) = (self.id(), Mutex::default(), self.clock.clone());
        Some(Arc::new(Traced { trace, id, parent: within, begun, clock, children }))
    }

    /// Ends the trace of a request, and tells of it.
    pub(crate) fn end(
        &self,
        traced: &Traced,
        (method, route, status): (&str, &str, u16),
        (tenant, request_id): (Option<&str>, &str),
    ) {
        let mut attributes: Vec<(&'static str, Value)> = vec![
            ("http.request.method", json!(method)),
            ("http.route", json!(route)),
            ("http.response.status_code", json!(status)),
            ("tastemaker.request_id", json!(request_id)),
        ];
        attributes.extend(tenant.map(|tenant| ("tastemaker.tenant", json!(tenant))));
        let children = traced.children.lock().unwrap_or_else(PoisonError::into_inner);
        let children = children.iter().map(|(name, from, to)| Span {
            trace: traced.trace,
            id: self.id(),
            parent: traced.id,
            name: (*name).to_owned(),
            is_server: false,
            times: (*from, *to),
            attributes: Vec::new(),
            is_error: false,
        });
        let whole = Span {
            trace: traced.trace,
            id: traced.id,
            parent: traced.parent,
            name: format!("{method} {route}"),
            is_server: true,
            times: (traced.begun.0, traced.now()),
            attributes,
            is_error: status >= 500,
        };
        self.sender.offer(std::iter::once(whole).chain(children).collect());
    }

    /// Tells what was not told yet; returns when that is done, or was given up.
    pub(crate) async fn flush(&self) {
        self.sender.end().await;
    }

    /// Counts the spans that were told, and those that were dropped.
    pub(crate) fn counts(&self) -> (u64, u64) {
        self.sender.counts()
    }
}

/// Works on a request; what it waits for is seen as part of it.
pub(crate) async fn within<T>(traced: Option<Arc<Traced>>, work: impl Future<Output = T>) -> T {
    CURRENT.scope(traced, work).await
}

/// Does a piece of work, which becomes a span of the request that is worked on, if that is traced.
pub(crate) async fn child<T>(name: &'static str, work: impl Future<Output = T>) -> T {
    let Ok(Some(traced)) = CURRENT.try_with(Clone::clone) else { return work.await };
    let from = traced.now();
    let done = work.await;
    let to = traced.now();
    let mut children = traced.children.lock().unwrap_or_else(PoisonError::into_inner);
    if children.len() < CHILDREN {
        children.push((name, from, to));
    }
    done
}
