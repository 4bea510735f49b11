//! What the server did within the last hour, in memory, so that a page opened later shows the past.
//! Counts are those of the whole server, as `/metrics` gives them to everybody.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

use super::course::quantile;
use crate::Error;
use crate::call::{Answer, Call};
use crate::live::App;
use crate::metrics::Seen;

/// Samples that are kept: those of an hour, with one every five seconds.
const KEPT: usize = 720;

/// What happened between two samples.
#[derive(Clone, Debug, Default)]
struct Sample {
    /// Unix milliseconds of its end.
    time: i64,
    seconds: f64,
    /// Routes that were asked, by their number.
    routes: Vec<(usize, Seen)>,
    counts: [u64; 4],
    waiting: [usize; 2],
}

#[derive(Debug, Default)]
struct Totals {
    at: f64,
    routes: Vec<Seen>,
    counts: [u64; 4],
}

#[derive(Debug, Default)]
struct Ring {
    last: Option<Totals>,
    samples: VecDeque<Sample>,
}

/// The samples.
#[derive(Debug, Default)]
pub(crate) struct Series(Mutex<Ring>);

impl Ring {
    /// Takes a sample, unless the last one is too young.
    fn tick(&mut self, (every, time): (f64, i64), now: Totals, waiting: [usize; 2]) {
        let Some(last) = &self.last else {
            self.last = Some(now);
            return;
        };
        let seconds = now.at - last.at;
        if seconds < 0.9 * every {
            return;
        }
        let routes = now.routes.iter().zip(&last.routes).enumerate();
        let routes = routes.map(|(number, (now, last))| (number, now.since(last)));
        let counts = std::array::from_fn(|i| now.counts[i].saturating_sub(last.counts[i]));
        let routes = routes.filter(|(_, seen)| seen.all() > 0).collect();
        if self.samples.len() >= KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { time, seconds, routes, counts, waiting });
        self.last = Some(now);
    }
}

impl App {
    /// Looks at the counts, when it is time to.
    pub(crate) fn look(&self) {
        let counts = &self.counts;
        let counts =
            [&counts.events, &counts.from_lists, &counts.answers_found, &counts.answers_made];
        let now = Totals {
            at: self.clock.seconds(),
            routes: self.routes.iter().map(|(_, metrics)| metrics.seen()).collect(),
            counts: counts.map(|count| count.load(Ordering::Relaxed)),
        };
        let waiting = [self.workers.waiting(), self.store.waiting()];
        let mut ring = self.series.0.lock().unwrap_or_else(PoisonError::into_inner);
        let every = self.settings.sample.as_secs_f64();
        ring.tick((every, self.clock.unix_ms()), now, waiting);
    }

    /// Looks at the counts as long as the server runs.
    pub(crate) async fn keep_looking(self: Arc<Self>) {
        loop {
            self.look();
            tokio::time::sleep(self.settings.sample).await;
        }
    }
}

/// The last hour.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SeriesAnswer {
    /// Seconds between two samples.
    every_s: f64,
    /// Samples, oldest first.
    samples: Vec<SampleOut>,
    /// Routes that were asked within these samples, the most asked first.
    routes: Vec<RouteOut>,
}

/// What happened between two samples. Requests are those that a key is for, without changes of the model and the pages' own questions for
/// these numbers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SampleOut {
    /// Unix milliseconds of its end.
    time: i64,
    /// Its length.
    seconds: f64,
    /// Requests that were answered.
    requests: u64,
    /// Those that failed, by no fault of the client.
    failed: u64,
    /// Milliseconds within which half of them was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ms: Option<f64>,
    /// Milliseconds within which 99 of 100 were answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ms: Option<f64>,
    /// Events that were new.
    events: u64,
    /// Lists that were asked for.
    lists: u64,
    /// Events that name the list they came from.
    from_lists: u64,
    /// Lists that were made before and found again.
    hits: u64,
    /// Lists that a model made.
    misses: u64,
    /// Answers that waited for their turn at its end.
    answers_waiting: usize,
    /// Changes that waited to be written at its end.
    changes_waiting: usize,
}

/// What happened on a route.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RouteOut {
    method: String,
    path: &'static str,
    requests: u64,
    failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ms: Option<f64>,
}

/// `GET /v1/stats/series`.
pub(super) async fn show(call: Call) -> Result<Answer, Error> {
    let since: i64 = call.number("since", i64::MIN)?;
    call.app.look();
    let ring = call.app.series.0.lock().unwrap_or_else(PoisonError::into_inner);
    let samples: Vec<&Sample> = ring.samples.iter().filter(|sample| sample.time > since).collect();
    let mut by_route: BTreeMap<usize, Seen> = BTreeMap::new();
    for (number, seen) in ring.samples.iter().flat_map(|sample| &sample.routes) {
        by_route.entry(*number).or_default().add(seen);
    }
    let mut routes: Vec<RouteOut> =
        by_route.iter().map(|(number, seen)| route_out(&call.app, *number, seen)).collect();
    routes.sort_by_key(|route| std::cmp::Reverse(route.requests));
    Answer::json(&SeriesAnswer {
        every_s: call.app.settings.sample.as_secs_f64(),
        samples: samples.into_iter().map(|sample| sample_out(&call.app, sample)).collect(),
        routes,
    })
}

fn route_out(app: &App, number: usize, seen: &Seen) -> RouteOut {
    let (method, path) = &app.routes[number].0;
    RouteOut {
        method: method.clone(),
        path,
        requests: seen.all(),
        failed: seen.failed(),
        p50_ms: quantile(&seen.bars, seen.all(), 0.5),
        p99_ms: quantile(&seen.bars, seen.all(), 0.99),
    }
}

/// Loading a model takes as long as it takes and is no question; nor is what the pages ask to draw all this.
fn is_question(path: &str) -> bool {
    let is_own = path.starts_with("/v1/") && path != "/v1/stats/series";
    let is_gorse = path.starts_with("/api/") && !path.contains("health");
    is_gorse || is_own && !path.starts_with("/v1/models/")
}

fn sample_out(app: &App, sample: &Sample) -> SampleOut {
    let (mut all, mut lists) = (Seen::default(), 0);
    for (number, seen) in &sample.routes {
        let path = app.routes[*number].0.1;
        if is_question(path) {
            all.add(seen);
        }
        if path.ends_with("/recommend") || path.starts_with("/api/recommend") {
            lists += seen.answers[2];
        }
    }
    let [events, from_lists, hits, misses] = sample.counts;
    let [answers_waiting, changes_waiting] = sample.waiting;
    SampleOut {
        time: sample.time,
        seconds: sample.seconds,
        requests: all.all(),
        failed: all.failed(),
        p50_ms: quantile(&all.bars, all.all(), 0.5),
        p99_ms: quantile(&all.bars, all.all(), 0.99),
        events,
        lists,
        from_lists,
        hits,
        misses,
        answers_waiting,
        changes_waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(at: f64, n: u64) -> Totals {
        let mut seen = Seen::default();
        (seen.answers[2], seen.bars[0]) = (n, n);
        Totals { at, routes: vec![Seen::default(), seen], counts: [n, 0, 0, 0] }
    }

    #[test]
    fn a_sample_holds_what_happened_since_the_one_before_and_an_hour_is_kept() {
        let mut ring = Ring::default();
        let mut tick = |at: f64, n: u64| {
            ring.tick((5.0, (1000.0 * at) as i64), totals(at, n), [0, 0]);
            ring.samples.clone()
        };
        assert_eq!(tick(0.0, 3).len(), 0, "what was before the first look belongs to no sample");
        assert_eq!(tick(1.0, 4).len(), 0, "too early");
        let samples = tick(5.0, 10);
        assert_eq!((samples[0].routes.len(), samples[0].routes[0].0), (1, 1));
        assert_eq!((samples[0].routes[0].1.all(), samples[0].counts[0]), (7, 7));
        let samples = tick(10.0, 10);
        assert!(samples[1].routes.is_empty() && samples[1].counts[0] == 0);
        for n in 3..2000 {
            tick(5.0 * f64::from(n), 10);
        }
        let samples = tick(10_000.0, 12);
        assert_eq!((samples.len(), samples[KEPT - 1].counts[0]), (KEPT, 2));
    }
}
