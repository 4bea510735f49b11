//! What befalls a server with a file beside it: it is killed, its disk is full.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
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

/// The server raises the low limit on open files that it is started with.
#[cfg(unix)]
#[test]
fn ten_thousand_idle_connections_keep_nobody_from_an_answer() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // Fewer where the system allows no process more.
    let n_idle = most.saturating_sub(500).min(10_000);
    assert!(n_idle > 1024, "`ulimit -Hn` says {most}");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let home = Home::new();
    let mut cramped = Command::new("bash");
    let script = "ulimit -Sn 1024; exec \"$0\" \"$@\"";
    cramped.args(["-c", script, env!("CARGO_BIN_EXE_tastemaker")]);
    let server = spawn(cramped, &home, &[]);
    // Each was served once, so that it may stay as long as it likes.
    let mut idle = Vec::new();
    for _ in 0..n_idle {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        idle.push(stream);
    }
    let event = json!({ "user_id": "u1", "item_id": "i1" }).to_string();
    assert_eq!(ask(&server.address, ("POST", "/v1/events"), &event).unwrap().0, 200);
    // They are all still there.
    let first = &mut idle[0];
    first
        .write_all(b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut rest = String::new();
    first.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.matches("HTTP/1.1 200").count(), 1, "{rest}");
}

/// The files of the process may not grow beyond a limit, which is what a full disk looks like from within.
#[cfg(target_os = "linux")]
#[test]
#[expect(clippy::disallowed_methods, reason = "a test that waits for something has an end")]
fn a_full_disk_refuses_writes_answers_reads_and_loses_nothing() {
    let home = Home::with_model("item-knn");
    let args = ["--model", "model"];
    let mut cramped = Command::new("bash");
    // Blocks of 1024 bytes; a process that ignores the signal is told by an error.
    let script = "trap '' XFSZ; ulimit -Sf 600; exec \"$0\" \"$@\"";
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
    // Once there is room it goes on by itself.
    let pid = server.child.id().to_string();
    let raised =
        Command::new("prlimit").args(["--fsize=unlimited", "--pid", &pid]).status().unwrap();
    assert!(raised.success());
    let event = json!({ "user_id": "u1", "item_id": "i1" }).to_string();
    assert_eq!(ask(&address, ("POST", "/v1/events"), &event).unwrap().0, 200);
    drop(server);
    let roomy = start(&home, &args);
    nothing_is_lost(&roomy.address, &acknowledged);
}
