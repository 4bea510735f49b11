//! Many connections that ask at once: each as soon as it has its answer, or at set times.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use tastemaker_core::{Clock, Progress, seed};

use super::client::Client;
use super::report::{Latencies, Report};
use crate::Error;

/// Part of the time in which the server gets warm and nothing is counted.
const WARMING: f64 = 0.2;
/// Failures in a row after which a connection gives up.
const HOPELESS: usize = 20;

/// What to ask for.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    /// Host and port.
    pub address: &'a str,
    /// A key, where the server wants one.
    pub key: Option<&'a str>,
    /// Users to ask for; drawn at random.
    pub users: &'a [String],
    /// Items that events are about; drawn at random.
    pub items: &'a [String],
    /// Items of a list.
    pub n: usize,
    /// More of the question behind `?`, as in `&filter=…`; empty for none.
    pub question: &'a str,
    /// Connections.
    pub connections: usize,
    /// Seconds to measure for, after a fifth of it to get warm.
    pub seconds: f64,
    /// Requests a second, sent when they are due whether others are answered or not, and timed from then on; each connection asks as soon
    /// as it has its answer where there is none.
    pub rate: Option<f64>,
    /// Share of requests that are events.
    pub events: f64,
    /// Root of what is drawn.
    pub seed: u64,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    recommend: Vec<f32>,
    events: Vec<f32>,
    failed: usize,
}

/// Asks a server for a while; `clock` is read by all connections.
pub fn load(asked: &Load<'_>, clock: &dyn Clock, progress: &dyn Progress) -> Result<Report, Error> {
    let sent = AtomicUsize::new(0);
    let begun = clock.seconds();
    let seen: Vec<Result<Seen, Error>> = std::thread::scope(|scope| {
        let ask = |number: usize| {
            let sent = &sent;
            scope.spawn(move || connection(asked, (number, sent), (clock, begun)))
        };
        let asking: Vec<_> = (0..asked.connections).map(ask).collect();
        let whole = (asked.seconds * (1.0 + WARMING)).ceil() as usize;
        while asking.iter().any(|one| !one.is_finished()) {
            let done = (clock.seconds() - begun) as usize;
            progress.report("asking", done.min(whole), whole);
            std::thread::sleep(Duration::from_millis(100));
        }
        progress.report("asking", whole, whole);
        let joined = asking.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.map(|seen| seen.unwrap_or(Err(Error::Failed))).collect()
    });
    let mut all = Seen::default();
    for seen in seen {
        let seen = seen?;
        all.recommend.extend(seen.recommend);
        all.events.extend(seen.events);
        all.failed += seen.failed;
    }
    let requests = all.recommend.len() + all.events.len() + all.failed;
    let kinds = [("recommend", all.recommend), ("events", all.events)];
    Ok(Report {
        seconds: asked.seconds,
        requests,
        failed: all.failed,
        per_second: (requests - all.failed) as f64 / asked.seconds,
        kinds: kinds.into_iter().filter_map(|(kind, ms)| Latencies::new(kind, ms)).collect(),
    })
}

fn connection(
    asked: &Load<'_>,
    (number, sent): (usize, &AtomicUsize),
    (clock, begun): (&dyn Clock, f64),
) -> Result<Seen, Error> {
    let unreachable = |source| Error::Unreachable { address: asked.address.to_owned(), source };
    let mut rng = seed::stream(asked.seed, &format!("load/{number}"));
    let mut client = Client::new(asked.address, asked.key).map_err(unreachable)?;
    let mut seen = Seen::default();
    let warm = begun + asked.seconds * WARMING;
    let end = warm + asked.seconds;
    let mut in_a_row = 0;
    loop {
        // The time from which on somebody waits.
        let due = match asked.rate {
            Some(rate) => begun + sent.fetch_add(1, Ordering::Relaxed) as f64 / rate,
            None => clock.seconds(),
        };
        if due >= end || clock.seconds() >= end {
            return Ok(seen);
        }
        let early = due - clock.seconds();
        if early > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(early));
        }
        let user = &asked.users[rng.random_range(0..asked.users.len())];
        let is_event = rng.random::<f64>() < asked.events;
        let answer = if is_event {
            let item = &asked.items[rng.random_range(0..asked.items.len())];
            let event = serde_json::json!({ "user_id": user, "item_id": item });
            client.ask("POST", "/v1/events", &event.to_string())
        } else {
            let user = in_address(user);
            let path = format!("/v1/recommend?n={}&user_id={user}{}", asked.n, asked.question);
            client.ask("GET", &path, "")
        };
        let now = clock.seconds();
        let is_good = matches!(answer, Ok(200));
        in_a_row = if is_good { 0 } else { in_a_row + 1 };
        if let Err(source) = answer {
            if in_a_row >= HOPELESS {
                return Err(unreachable(source));
            }
            client = Client::new(asked.address, asked.key).map_err(unreachable)?;
        }
        if due < warm {
            continue;
        }
        match (is_good, is_event) {
            (false, _) => seen.failed += 1,
            (true, true) => seen.events.push(((now - due) * 1e3) as f32),
            (true, false) => seen.recommend.push(((now - due) * 1e3) as f32),
        }
    }
}

/// Writes a text so that it can stand in an address.
fn in_address(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let write = |byte: u8| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_all_kinds_stand_in_an_address() {
        assert_eq!(in_address("a-1"), "a-1");
        assert_eq!(in_address("a/b ü&"), "a%2Fb%20%C3%BC%26");
    }
}
