//! Spans on their way to the collector: a bounded queue, and a thread that tells many at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tastemaker_core::{Clock as _, SystemClock};
use tokio::sync::oneshot;

use super::TraceSettings;
use super::span::{Span, body};
use crate::Error;

/// Requests whose spans may wait.
const QUEUE: usize = 2048;
/// Spans that are told at once.
const BATCH: usize = 512;
/// Longest time for one telling.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time for the last one, after the end was said, and until it is not waited for any more.
const LAST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(3));
/// Times to wait before trying again.
const AGAIN: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(1)];
/// Seconds between two warnings that nobody takes the spans.
const WARNING: f64 = 60.0;

enum Message {
    Spans(Vec<Span>),
    End,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    dropped: AtomicU64,
    /// Nothing is tried again any more.
    is_ending: AtomicBool,
}

/// The way to the collector.
pub(super) struct Sender {
    queue: SyncSender<Message>,
    counts: Arc<Counts>,
    /// Comes to an end with the thread; gone once somebody waits for that.
    over: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Sender {
    /// Starts the thread.
    pub(super) fn new(settings: &TraceSettings) -> Result<Self, Error> {
        let (queue, waiting) = sync_channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let telling = Telling {
            agent: ureq::Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .proxy(None)
                .user_agent(concat!("tastemaker/", env!("CARGO_PKG_VERSION")))
                .build()
                .into(),
            address: settings.address()?,
            headers: settings.headers.clone(),
            every: settings.every.as_secs_f64(),
            counts: counts.clone(),
            clock: SystemClock::default(),
            warned_at: None,
        };
        let (ends, over) = oneshot::channel::<()>();
        let work = move || {
            telling.run(&waiting);
            drop(ends);
        };
        // Nobody joins it: a collector that never answers must not keep the process from ending.
        let thread = std::thread::Builder::new().name("traces".into()).spawn(work);
        thread.map_err(|error| {
            tracing::error!("a thread for traces cannot be started: {error}");
            Error::Failed
        })?;
        Ok(Self { queue, counts, over: Mutex::new(Some(over)) })
    }

    /// Hands spans over if there is room for them.
    pub(super) fn offer(&self, spans: Vec<Span>) {
        let n = spans.len() as u64;
        if self.queue.try_send(Message::Spans(spans)).is_err() {
            self.counts.dropped.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// Has the rest told, as far as that goes at once, and waits for it, but not for long.
    pub(super) async fn end(&self) {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(over) = over else { return };
        self.counts.is_ending.store(true, Ordering::SeqCst);
        // When the queue is full the thread is at work, and sees that it is over before it waits again.
        self.queue.try_send(Message::End).ok();
        if tokio::time::timeout(LAST.1, over).await.is_err() {
            tracing::warn!("the last traces were not told in time");
        }
    }

    pub(super) fn counts(&self) -> (u64, u64) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (count(&self.counts.sent), count(&self.counts.dropped))
    }
}

struct Telling {
    agent: ureq::Agent,
    address: String,
    headers: Vec<(String, String)>,
    every: f64,
    counts: Arc<Counts>,
    clock: SystemClock,
    warned_at: Option<f64>,
}

impl Telling {
    fn run(mut self, waiting: &Receiver<Message>) {
        let mut spans = Vec::new();
        loop {
            let is_over = self.gather(waiting, &mut spans);
            while !spans.is_empty() && !self.is_ending() {
                let rest = spans.split_off(spans.len().min(BATCH));
                self.tell(&spans, PATIENCE);
                spans = rest;
            }
            if is_over || self.is_ending() {
                return self.tell_last(waiting, spans);
            }
        }
    }

    /// Tells once more, and drops what is too much for that.
    fn tell_last(&mut self, waiting: &Receiver<Message>, mut spans: Vec<Span>) {
        for message in waiting.try_iter() {
            if let Message::Spans(more) = message {
                spans.extend(more);
            }
        }
        let rest = spans.split_off(spans.len().min(BATCH));
        self.counts.dropped.fetch_add(rest.len() as u64, Ordering::Relaxed);
        if !spans.is_empty() {
            self.tell(&spans, LAST.0);
        }
    }

    fn is_ending(&self) -> bool {
        self.counts.is_ending.load(Ordering::SeqCst)
    }

    /// Takes what comes until it is enough, or time to tell; returns whether nothing comes any more.
    fn gather(&self, waiting: &Receiver<Message>, spans: &mut Vec<Span>) -> bool {
        let until = self.clock.seconds() + self.every;
        while spans.len() < BATCH && !self.is_ending() {
            let left = (until - self.clock.seconds()).max(0.0);
            match waiting.recv_timeout(Duration::from_secs_f64(left)) {
                Ok(Message::Spans(more)) => spans.extend(more),
                Err(RecvTimeoutError::Timeout) => return false,
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return true,
            }
        }
        false
    }

    fn tell(&mut self, spans: &[Span], patience: Duration) {
        let (n, body) = (spans.len() as u64, body(spans));
        let mut pauses = AGAIN.iter();
        loop {
            let (why, may_pass) = match self.post(&body, patience) {
                Ok(200..=299) => {
                    self.counts.sent.fetch_add(n, Ordering::Relaxed);
                    return;
                }
                // These are the ones after which OTLP wants another try.
                Ok(status) => {
                    (format!("it answered {status}"), [429, 502, 503, 504].contains(&status))
                }
                Err(error) => (error.to_string(), true),
            };
            let may_pass = may_pass && !self.is_ending();
            match pauses.next().filter(|_| may_pass) {
                Some(pause) => std::thread::sleep(*pause),
                None => {
                    self.counts.dropped.fetch_add(n, Ordering::Relaxed);
                    return self.warn(&why);
                }
            }
        }
    }

    fn post(&self, body: &[u8], patience: Duration) -> Result<u16, ureq::Error> {
        let request = self.agent.post(&self.address).config().timeout_global(Some(patience));
        let mut request = request.build().header("content-type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        Ok(request.send(body)?.status().as_u16())
    }

    fn warn(&mut self, why: &str) {
        let now = self.clock.seconds();
        if self.warned_at.is_none_or(|at| now - at >= WARNING) {
            self.warned_at = Some(now);
            tracing::warn!("traces were dropped, since {} does not take them: {why}", self.address);
        }
    }
}
