//! What befalls a server with a file beside it: it is killed, its disk is full.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::crash::{killed_under_writes, nothing_is_lost};
use super::server::{ask, spawn, start};
use crate::home::Home;

#[test]
fn a_server_killed_under_writes_has_lost_no_acknowledged_event() {
    killed_under_writes(&Home::new(), &[]);
}

/// The files of the process may not grow beyond a limit, which is what a full disk looks like from within.
#[cfg(unix)]
#[test]
fn a_full_disk_refuses_writes_answers_reads_and_loses_nothing() {
    let home = Home::with_model("item-knn");
    let args = ["--model", "model"];
    let mut cramped = Command::new("bash");
    // Blocks of 1024 bytes; a process that ignores the signal is told by an error.
    let script = "trap '' XFSZ; ulimit -f 600; exec \"$0\" \"$@\"";
    cramped.args(["-c", script, env!("CARGO_BIN_EXE_tastemaker")]);
    let server = spawn(cramped, &home, &args);
    let address = server.address.clone();
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    let began = Instant::now();
    while refused < 5 {
        assert!(began.elapsed() < Duration::from_secs(60), "the disk is never full");
        let batch = acknowledged.len() + refused;
        let event = |n: usize| json!({ "event_id": format!("{batch}-{n}"), "user_id": "u1", "item_id": format!("i{n}") });
        let events: Vec<_> = (0..100).map(event).collect();
        let (status, answer) =
            ask(&address, ("POST", "/v1/events"), &json!({ "events": events }).to_string())
                .unwrap();
        match status {
            200 => acknowledged.extend((0..100).map(|n| format!("{batch}-{n}"))),
            status => {
                assert_eq!(status, 503, "{answer}");
                refused += 1;
            }
        }
    }
    assert!(acknowledged.len() >= 300, "{} events", acknowledged.len());
    assert_eq!(ask(&address, ("GET", "/v1/recommend?user_id=u2"), "").unwrap().0, 200);
    nothing_is_lost(&address, &acknowledged);
    drop(server);
    let roomy = start(&home, &args);
    nothing_is_lost(&roomy.address, &acknowledged);
    let event = json!({ "user_id": "u1", "item_id": "i1" }).to_string();
    assert_eq!(ask(&roomy.address, ("POST", "/v1/events"), &event).unwrap().0, 200);
}
