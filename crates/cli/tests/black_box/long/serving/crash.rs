//! Writers that know what was acknowledged to them, and servers that end under them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use super::server::{ask, start};
use crate::home::Home;

/// Writers at the same time.
const WRITERS: usize = 4;

/// What became of the writes of one writer.
#[derive(Default)]
pub(crate) struct Written {
    /// Ids of the events that were acknowledged.
    pub(crate) acknowledged: Vec<String>,
    /// Statuses of those that were refused.
    pub(crate) refused: Vec<u16>,
}

/// Writes events, one after the other, until it is over or the server is gone.
fn write(address: &str, name: &str, is_over: &AtomicBool) -> Written {
    let mut written = Written::default();
    for n in 0.. {
        let id = format!("{name}-{n:06}");
        let event =
            json!({ "event_id": id, "user_id": format!("u-{name}"), "item_id": format!("i{n}") });
        match ask(address, ("POST", "/v1/events"), &event.to_string()) {
            Some((200, _)) => written.acknowledged.push(id),
            Some((status, _)) => written.refused.push(status),
            // The server is gone: whether it wrote this one nobody was told.
            None => break,
        }
        if is_over.load(Ordering::SeqCst) {
            break;
        }
    }
    written
}

/// Has events written to a server while `happens` runs, and as long as that lasts.
pub(crate) fn under_writes(address: &str, round: usize, happens: impl FnOnce()) -> Written {
    let is_over = &AtomicBool::new(false);
    let mut all = Written::default();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || write(address, &format!("{round}-{writer}"), is_over))
            })
            .collect();
        happens();
        is_over.store(true, Ordering::SeqCst);
        for writer in writers {
            let written = writer.join().unwrap();
            all.acknowledged.extend(written.acknowledged);
            all.refused.extend(written.refused);
        }
    });
    all
}

/// Compares what a server keeps with what was acknowledged.
#[track_caller]
pub(crate) fn nothing_is_lost(address: &str, acknowledged: &[String]) {
    let mut kept = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/events?n=1000&cursor={cursor}");
        let (_, page) = ask(address, ("GET", &path), "").unwrap();
        for event in page["events"].as_array().unwrap() {
            kept.insert(event["event_id"].as_str().unwrap().to_owned());
        }
        page["cursor"].as_str().unwrap().clone_into(&mut cursor);
        if cursor.is_empty() {
            break;
        }
    }
    let lost: Vec<&String> = acknowledged.iter().filter(|id| !kept.contains(*id)).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
}

/// Returns how often a server is killed: `TASTEMAKER_TEST_ROUNDS`, or 5 times.
#[expect(clippy::disallowed_methods, reason = "the length of a test is no setting")]
fn rounds() -> usize {
    std::env::var("TASTEMAKER_TEST_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap())
}

/// Kills servers under writes, and looks at what the last one finds.
pub(crate) fn killed_under_writes(home: &Home, args: &[&str]) {
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..rounds() {
        let mut server = start(home, args);
        let address = server.address.clone();
        let written = under_writes(&address, round, || {
            std::thread::sleep(Duration::from_millis(250 + 70 * (round as u64 % 5)));
            // SIGKILL: nothing of the process runs after it.
            server.child.kill().unwrap();
            server.child.wait().unwrap();
        });
        acknowledged.extend(written.acknowledged);
    }
    assert!(acknowledged.len() > 50, "{} events", acknowledged.len());
    nothing_is_lost(&start(home, args).address, &acknowledged);
}
