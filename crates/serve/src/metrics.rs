//! What happened since the start, as Prometheus reads it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::jobs::{Job, State};
use crate::live::App;
use crate::traces::Traces;

/// Upper ends of the histogram's bars, in seconds.
pub(crate) const BARS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0, 10.0];

/// What happened on one route.
#[derive(Debug, Default)]
pub(crate) struct RouteMetrics {
    /// Answers by the first digit of their status.
    answers: [AtomicU64; 6],
    bars: [AtomicU64; BARS.len()],
    micros: AtomicU64,
}

/// The same at one moment, or between two.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Answers by the first digit of their status.
    pub(crate) answers: [u64; 6],
    pub(crate) bars: [u64; BARS.len()],
}

impl Seen {
    /// Counts the answers.
    pub(crate) fn all(&self) -> u64 {
        self.answers.iter().sum()
    }

    /// Counts those that failed by no fault of the client.
    pub(crate) const fn failed(&self) -> u64 {
        self.answers[5]
    }

    /// Returns what happened since an earlier moment.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            answers: std::array::from_fn(|i| self.answers[i].saturating_sub(earlier.answers[i])),
            bars: std::array::from_fn(|i| self.bars[i].saturating_sub(earlier.bars[i])),
        }
    }

    /// Adds what happened in another time.
    pub(crate) fn add(&mut self, other: &Self) {
        self.answers.iter_mut().zip(other.answers).for_each(|(all, n)| *all += n);
        self.bars.iter_mut().zip(other.bars).for_each(|(all, n)| *all += n);
    }
}

impl RouteMetrics {
    /// Returns what was counted up to now.
    pub(crate) fn seen(&self) -> Seen {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Seen { answers: self.answers.each_ref().map(count), bars: self.bars.each_ref().map(count) }
    }

    pub(crate) fn count(&self, status: u16, seconds: f64) {
        self.answers[usize::from(status / 100).min(5)].fetch_add(1, Ordering::Relaxed);
        if let Some(bar) = BARS.iter().position(|end| seconds <= *end) {
            self.bars[bar].fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add((seconds * 1e6) as u64, Ordering::Relaxed);
    }

    fn write(&self, out: &mut String, (method, path): (&str, &str)) {
        let route = format!("method=\"{method}\",route=\"{path}\"");
        let mut all = 0;
        for (digit, answers) in self.answers.iter().enumerate() {
            let n = answers.load(Ordering::Relaxed);
            all += n;
            if n > 0 {
                _ = writeln!(out, "tastemaker_requests_total{{{route},status=\"{digit}xx\"}} {n}");
            }
        }
        if all == 0 {
            return;
        }
        let mut below = 0;
        for (end, bar) in BARS.iter().zip(&self.bars) {
            below += bar.load(Ordering::Relaxed);
            _ = writeln!(out, "tastemaker_request_seconds_bucket{{{route},le=\"{end}\"}} {below}");
        }
        _ = writeln!(out, "tastemaker_request_seconds_bucket{{{route},le=\"+Inf\"}} {all}");
        let seconds = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        _ = writeln!(out, "tastemaker_request_seconds_sum{{{route}}} {seconds}");
        _ = writeln!(out, "tastemaker_request_seconds_count{{{route}}} {all}");
    }
}

/// What happened beside requests.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Events that were new.
    pub(crate) events: AtomicU64,
    /// Events that were new and name the list they came from.
    pub(crate) from_lists: AtomicU64,
    /// Lists that were shown without being kept, because too much waited.
    pub(crate) unkept: AtomicU64,
    /// Users whose events were in memory.
    pub(crate) hits: AtomicU64,
    /// Users whose events were read from the store.
    pub(crate) misses: AtomicU64,
    /// Lists that were made before and are still good.
    pub(crate) answers_found: AtomicU64,
    /// Lists that a model made.
    pub(crate) answers_made: AtomicU64,
    /// Items that were taken into a model.
    pub(crate) grown: AtomicU64,
    /// Trainings that came to their end.
    pub(crate) trained: AtomicU64,
    /// Those whose model answers since.
    pub(crate) promoted: AtomicU64,
    /// Trainings that failed.
    pub(crate) untrained: AtomicU64,
}

impl Counts {
    /// Counts a training that is over.
    pub(crate) fn count_training(&self, job: &Job) {
        let count = |count: &AtomicU64, holds: bool| {
            count.fetch_add(holds.into(), Ordering::Relaxed);
        };
        count(&self.trained, job.state == State::Done);
        count(&self.promoted, job.promoted);
        count(&self.untrained, job.state == State::Failed);
    }
}

/// Writes everything.
pub(crate) fn text(app: &App) -> String {
    let mut out = String::from(
        "# TYPE tastemaker_requests_total counter\n# TYPE tastemaker_request_seconds histogram\n",
    );
    for (name, metrics) in &app.routes {
        metrics.write(&mut out, (name.0.as_str(), name.1));
    }
    let counts = &app.counts;
    let counters = [
        ("events_total", counts.events.load(Ordering::Relaxed)),
        ("events_from_lists_total", counts.from_lists.load(Ordering::Relaxed)),
        ("lists_not_kept_total", counts.unkept.load(Ordering::Relaxed)),
        ("history_cache_hits_total", counts.hits.load(Ordering::Relaxed)),
        ("history_cache_misses_total", counts.misses.load(Ordering::Relaxed)),
        ("answer_cache_hits_total", counts.answers_found.load(Ordering::Relaxed)),
        ("answer_cache_misses_total", counts.answers_made.load(Ordering::Relaxed)),
        ("items_taken_in_total", counts.grown.load(Ordering::Relaxed)),
        ("trainings_done_total", counts.trained.load(Ordering::Relaxed)),
        ("trainings_promoted_total", counts.promoted.load(Ordering::Relaxed)),
        ("trainings_failed_total", counts.untrained.load(Ordering::Relaxed)),
        ("store_commits_total", app.store.commits()),
        ("store_changes_lost_total", app.store.lost()),
    ];
    for (name, n) in counters {
        _ = writeln!(out, "# TYPE tastemaker_{name} counter\ntastemaker_{name} {n}");
    }
    if let Some((sent, dropped)) = app.traces.as_ref().map(Traces::counts) {
        for (name, n) in [("spans_sent_total", sent), ("spans_dropped_total", dropped)] {
            _ = writeln!(out, "# TYPE tastemaker_{name} counter\ntastemaker_{name} {n}");
        }
    }
    let gauges = [
        ("store_queue", app.store.waiting()),
        ("store_queue_bytes", app.store.waiting_bytes()),
        ("trainings_under_way", app.jobs.under_way()),
        ("answer_queue", app.workers.waiting()),
        ("answer_cache_bytes", app.answers.bytes()),
        ("models_loaded", app.n_models()),
    ];
    for (name, n) in gauges {
        _ = writeln!(out, "# TYPE tastemaker_{name} gauge\ntastemaker_{name} {n}");
    }
    out
}
