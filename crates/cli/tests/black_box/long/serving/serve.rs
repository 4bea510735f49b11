//! The server as a process: it answers at once, ends well when it is told to, and loses nothing it has acknowledged when it is killed.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::home::Home;

/// A server under way.
pub(super) struct Server {
    child: Child,
    pub(super) address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(super) fn start(home: &Home, more: &[&str]) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tastemaker"));
    command.current_dir(home.path("")).env("HOME", home.path("")).args([
        "serve",
        "--offline",
        "--addr",
        "127.0.0.1:0",
    ]);
    let mut child =
        command.args(more).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let address = loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the server ended: {said}");
        said.push_str(&line);
        if let Some((_, rest)) = line.split_once("http://") {
            break rest.split_whitespace().next().unwrap().to_owned();
        }
    };
    // What it says later must not fill the pipe.
    std::thread::spawn(move || lines.read_to_string(&mut String::new()));
    Server { child, address }
}

/// Sends one request on a connection of its own; `None` when the server is gone.
pub(super) fn ask(address: &str, (method, path): (&str, &str), body: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, serde_json::from_str(body).ok()?))
}

/// Writes events until the server is gone; returns the ids of those it acknowledged.
fn write(address: &str, (round, writer): (usize, usize), is_over: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        let id = format!("{round}-{writer}-{n:06}");
        let event =
            json!({ "event_id": id, "user_id": format!("u{writer}"), "item_id": format!("i{n}") });
        match ask(address, ("POST", "/v1/events"), &event.to_string()) {
            Some((200, _)) => acknowledged.push(id),
            _ if is_over.load(Ordering::SeqCst) => break,
            other => assert!(is_over.load(Ordering::SeqCst), "{other:?}"),
        }
    }
    acknowledged
}

fn kept(address: &str) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let (_, page) =
            ask(address, ("GET", &format!("/v1/events?n=1000&cursor={cursor}")), "").unwrap();
        for event in page["events"].as_array().unwrap() {
            kept.insert(event["event_id"].as_str().unwrap().to_owned());
        }
        page["cursor"].as_str().unwrap().clone_into(&mut cursor);
        if cursor.is_empty() {
            return kept;
        }
    }
}

#[test]
fn a_server_killed_under_writes_has_lost_no_acknowledged_event() {
    let home = Home::new();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..5 {
        let mut server = start(&home, &[]);
        let is_over = AtomicBool::new(false);
        let (address, is_over) = (server.address.clone(), &is_over);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let address = &address;
                    scope.spawn(move || write(address, (round, writer), is_over))
                })
                .collect();
            std::thread::sleep(Duration::from_millis(250 + 70 * round as u64));
            is_over.store(true, Ordering::SeqCst);
            // SIGKILL: nothing of the process runs after it.
            server.child.kill().unwrap();
            server.child.wait().unwrap();
            acknowledged.extend(writers.into_iter().flat_map(|writer| writer.join().unwrap()));
        });
    }
    assert!(acknowledged.len() > 50, "{} events", acknowledged.len());
    let server = start(&home, &[]);
    let kept = kept(&server.address);
    let lost: Vec<&String> = acknowledged.iter().filter(|id| !kept.contains(*id)).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
}

#[test]
fn a_served_model_answers_learns_and_ends_well() {
    let home = Home::with_model("item-knn");
    let mut server = start(&home, &["--model", "model"]);
    let list = |server: &Server| {
        ask(&server.address, ("GET", "/v1/recommend?user_id=u1&n=3"), "").unwrap().1["items"]
            .clone()
    };
    let first = list(&server)[0]["item_id"].as_str().unwrap().to_owned();
    let event = json!({ "user_id": "u1", "item_id": first }).to_string();
    assert_eq!(ask(&server.address, ("POST", "/v1/events"), &event).unwrap().0, 200);
    let after = list(&server);
    assert_ne!(after[0]["item_id"], first);
    #[cfg(unix)]
    {
        let told = Command::new("kill").arg(server.child.id().to_string()).status().unwrap();
        assert!(told.success());
        assert_eq!(server.child.wait().unwrap().code(), Some(0));
        // What was learnt is known after a restart.
        server = start(&home, &["--model", "model"]);
        assert_eq!(list(&server), after);
    }
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let home = Home::new();
    let made: Value = serde_json::from_str(
        &home.run(["keys", "create", "--scope", "write", "--format", "json"]).good(),
    )
    .unwrap();
    let (id, secret) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let listed = home.run(["keys", "list"]).good();
    assert!(
        listed.contains(id) && listed.contains("write") && !listed.contains(secret),
        "{listed}"
    );
    home.run(["keys", "revoke", id]).good();
    assert!(home.run(["keys", "list"]).good().contains("revoked"));
    let again = home.run(["keys", "revoke", id]).end();
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("there is no key"), "{}", again.err);
    assert_eq!(home.run(["keys", "create", "--tenant", "../a"]).end().code, Some(1));
}

#[test]
fn a_server_that_everybody_could_use_is_not_started_by_accident() {
    let home = Home::new();
    let refused = home.run(["serve", "--addr", "0.0.0.0:0"]).end();
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("keys create") && refused.err.contains("--open"),
        "{}",
        refused.err
    );
    let missing = home.run(["serve", "--model", "nothing"]).end();
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.contains("is not a saved model"), "{}", missing.err);
}
