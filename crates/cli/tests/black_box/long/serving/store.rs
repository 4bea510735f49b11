//! The store from the command line: rows in and out, copies, and who did it.

use std::time::Duration;

use serde_json::{Value, json};

use super::crash::{nothing_is_lost, under_writes};
use super::server::{ask, start};
use crate::home::Home;

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_copy_made_while_a_server_takes_events_is_put_back_after_it() {
    let home = Home::new();
    let mut server = start(&home, &[]);
    let address = server.address.clone();
    let before = under_writes(&address, 0, || std::thread::sleep(Duration::from_millis(200)));
    under_writes(&address, 1, || {
        let made = home.run(["store", "backup", "--out", "copy.db", "--format", "json"]).good();
        let made = json_of(&made);
        assert!(made["events"].as_u64().unwrap() >= before.acknowledged.len() as u64, "{made}");
    });
    // Not while it is in use, whatever is said.
    let restore = ["store", "restore", "--from", "copy.db"];
    for more in [&[][..], &["--force"]] {
        let refused = home.run(restore).args(more).end();
        assert_eq!(refused.code, Some(1));
        assert!(refused.err.contains("tastemaker.db is in use"), "{}", refused.err);
    }
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let refused = home.run(restore).end();
    assert!(refused.err.contains("--force"), "{}", refused.err);
    let said = home.run(restore).args(["--force"]).good();
    assert!(said.contains("restored in tastemaker.db"), "{said}");
    let server = start(&home, &[]);
    nothing_is_lost(&server.address, &before.acknowledged);
}

#[test]
fn rows_go_out_into_files_and_into_another_store() {
    let home = Home::new();
    home.put(
        "log.jsonl",
        "{\"user_id\":\"u1\",\"item_id\":\"i1\",\"timestamp\":1764410400}\n{\"FeedbackType\":\"star\",\"UserId\":\"u1\",\"ItemId\":\"i2\",\"Timestamp\":\"2022-02-24\"}\n",
    );
    home.put("items.csv", "item_id,categories\ni1,a|b\ni2,\n");
    let import = ["store", "import", "--events", "log.jsonl", "--items", "items.csv"];
    let done = json_of(&home.run(import).args(["--format", "json"]).good());
    assert_eq!((&done["events"]["written"], &done["items"]["rows"]), (&json!(2), &json!(2)));
    let said = home.run(import).good();
    assert!(said.contains("| events") && said.contains("log.jsonl"), "{said}");
    let done = json_of(&home.run(["store", "export", "--out", "out", "--format", "json"]).good());
    assert_eq!(
        (&done["events"], &done["items"], &done["users"]),
        (&json!(2), &json!(2), &json!(0))
    );
    let again = ["store", "import", "--store", "other.db", "--events", "out/events.jsonl"];
    home.run(again).args(["--items", "out/items.jsonl", "--users", "out/users.jsonl"]).good();
    home.run(["store", "export", "--store", "other.db", "--out", "out2"]).good();
    for name in ["events.jsonl", "items.jsonl", "users.jsonl"] {
        assert_eq!(home.read(&format!("out/{name}")), home.read(&format!("out2/{name}")));
    }
    home.run(["store", "export", "--out", "table", "--file-format", "parquet"]).good();
    home.run(["store", "import", "--store", "third.db", "--events", "table/events.parquet"]).good();
}

#[test]
fn wrong_calls_about_a_store_say_what_is_wrong() {
    let home = Home::new();
    home.put("bad.jsonl", "{\"user_id\":\"u1\",\"item_id\":\"i1\"}\n{\"user_id\":\"u1\"}\n");
    let nothing = home.run(["store", "import"]).end();
    assert_eq!(nothing.code, Some(2), "{}", nothing.err);
    for (args, says) in [
        (&["export", "--out", "out"][..], "there is no store at tastemaker.db"),
        (&["backup", "--out", "copy.db"], "there is no store at tastemaker.db"),
        (&["restore", "--from", "copy.db"], "there is no store at copy.db"),
        (&["import", "--events", "bad.jsonl"], "bad.jsonl, line 2, `item_id`: it is missing"),
        (&["import", "--tenant", "../a", "--events", "bad.jsonl"], "cannot name a tenant"),
        (&["backup", "--out", "x", "--store", "postgres://u:pw@h/d"], "pg_dump"),
    ] {
        let refused = home.run(["store"]).args(args).end();
        assert_eq!(refused.code, Some(1), "{args:?}");
        assert!(refused.err.contains(says) && !refused.err.contains("pw"), "{}", refused.err);
    }
    assert!(!home.path("out").exists() && !home.path("copy.db").exists());
}

#[test]
fn what_is_done_on_the_command_line_is_in_the_audit_log() {
    let home = Home::new();
    let create = ["keys", "create", "--scope", "admin", "--format", "json"];
    let first = json_of(&home.run(create).good());
    let other = json_of(&home.run(create).good());
    home.run(["keys", "revoke", other["id"].as_str().unwrap()]).good();
    home.put("log.jsonl", "{\"user_id\":\"u1\",\"item_id\":\"i1\"}\n");
    home.run(["store", "import", "--events", "log.jsonl"]).good();
    // Without a key nobody reads it, so the server is asked with one.
    let server = start(&home, &[]);
    let path = "/v1/audit";
    assert_eq!(ask(&server.address, ("GET", path), "").unwrap().0, 401);
    // The key stands where the first line of the request ends.
    let key = first["key"].as_str().unwrap();
    let with_key = format!("{path} HTTP/1.1\r\nx-api-key: {key}\r\nx-rest:");
    let (status, page) = ask(&server.address, ("GET", &with_key), "").unwrap();
    assert_eq!(status, 200);
    let acts: Vec<(&str, &str, &str)> = page["acts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|act| {
            let text = |key: &str| act[key].as_str().unwrap();
            (text("who"), text("act"), text("subject"))
        })
        .collect();
    let (first, second) = (first["id"].as_str().unwrap(), other["id"].as_str().unwrap());
    let line = "command line";
    assert_eq!(
        acts,
        [
            (line, "store import", "1 events"),
            (line, "keys revoke", second),
            (line, "keys create", second),
            (line, "keys create", first)
        ]
    );
}
