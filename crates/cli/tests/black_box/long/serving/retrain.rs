//! A model trained anew, in the server and by hand.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::server::{ask, start};
use crate::home::Home;

/// Unix seconds of the first new event: long after the world's.
const NOW: i64 = 1_764_000_000;

/// A second event of each user comes after all first ones.
fn events() -> Vec<Value> {
    let event = |n: i64| {
        let (round, user) = (n / 60, n % 60);
        // Everybody takes the new item first and then something of the catalogue.
        let item = if round == 0 { "new".to_owned() } else { format!("i{}", user * 7 % 40) };
        json!({ "user_id": format!("u{user}"), "item_id": item, "timestamp": NOW + n })
    };
    (0..120).map(event).collect()
}

/// Waits until the newest job is over.
fn job(address: &str) -> Value {
    for _ in 0..600 {
        let (_, jobs) = ask(address, ("GET", "/v1/jobs"), "").unwrap();
        let newest = jobs["jobs"][0].clone();
        if newest["ended"].is_string() {
            return newest;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("no job came to its end");
}

#[test]
fn events_start_a_training_whose_model_answers_and_can_be_taken_back() {
    let home = Home::with_model("item-knn");
    fs::create_dir_all(home.path("models/default")).unwrap();
    fs::rename(home.path("model"), home.path("models/default/first")).unwrap();
    home.put("models/default/active", "first");
    let server = start(
        &home,
        &["--models", "models", "--retrain-events", "120", "--retrain-promote", "always"],
    );
    let address = server.address.clone();
    let get = |path: &str| ask(&address, ("GET", path), "").unwrap();
    assert_eq!(get("/v1/similar/new").0, 404);
    let body = json!({ "events": events() }).to_string();
    assert_eq!(ask(&address, ("POST", "/v1/events"), &body).unwrap().0, 200);
    let job = job(&address);
    assert_eq!((&job["state"], &job["because"]), (&json!("done"), &json!("events")), "{job}");
    assert_eq!(job["promoted"], true);
    let report = &job["report"];
    assert_eq!(report["merged"]["new"], 120, "{report}");
    let judged = &report["judged"];
    assert_eq!(judged["events"], 60, "{report}");
    assert!(judged["users"].as_u64().unwrap() >= 40, "{report}");
    assert!(judged["serving"].is_number() && judged["candidate"].is_number());
    assert!(report["data"]["events_sha256"].is_string() && report["seed"].is_number());
    // The new model knows what the old one could not.
    assert_eq!(get("/v1/similar/new").0, 200);
    let models = get("/v1/models").1;
    assert!(models["data"][0]["id"].as_str().unwrap().starts_with(job["model"].as_str().unwrap()));
    assert_eq!(ask(&address, ("POST", "/v1/models/rollback"), "").unwrap().0, 200);
    assert_eq!(get("/v1/similar/new").0, 404);
    let list = get("/v1/recommend?user_id=u1&n=3").1;
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
}

#[test]
fn a_training_that_cannot_read_its_model_fails_and_the_server_goes_on() {
    let home = Home::with_model("item-knn");
    fs::create_dir_all(home.path("models/default")).unwrap();
    fs::rename(home.path("model"), home.path("models/default/first")).unwrap();
    home.put("models/default/active", "first");
    let server = start(&home, &["--models", "models"]);
    // Of a model in memory the files are not needed to answer.
    home.damage("models/default/first/data/events.parquet");
    let address = &server.address;
    let (status, begun) = ask(address, ("POST", "/v1/jobs"), r#"{"kind":"retrain"}"#).unwrap();
    assert_eq!(status, 202, "{begun}");
    let job = job(address);
    assert_eq!((&job["id"], &job["state"]), (&begun["id"], &json!("failed")), "{job}");
    for place in ["why", "output"] {
        let said = job[place].as_str().unwrap();
        assert!(said.contains("was changed or damaged"), "{said}");
    }
    assert_eq!(ask(address, ("GET", "/v1/recommend?user_id=u1"), "").unwrap().0, 200);
    assert_eq!(
        fs::read_dir(home.path("models/default")).unwrap().count(),
        3,
        "active, first, .work"
    );
}

#[test]
fn a_training_whose_server_is_gone_ends() {
    let home = Home::with_model("ials");
    let manifest: Value = home.read("model/manifest.json").parse().unwrap();
    let mut long = manifest.clone();
    // Longer than anybody waits.
    long["parts"][0]["settings"]["iterations"] = json!(10_000);
    long["parts"][0]["settings"]["factors"] = json!(512);
    assert_ne!(long, manifest);
    home.put("model/manifest.json", long.to_string());
    let mut command = Command::new(env!("CARGO_BIN_EXE_tastemaker"));
    command.current_dir(home.path("")).env("HOME", home.path("")).args(["retrain", "--offline"]);
    command.args(["--serving", "model", "--changes", "heard", "--out", "next", "--end-with-stdin"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "it is being trained");
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(!home.path("next").exists());
}

#[test]
fn a_model_is_trained_anew_by_hand_and_the_report_says_what_was_compared() {
    let home = Home::with_model("item-knn");
    let mut lines = String::new();
    for event in events() {
        let mut event = event;
        event["value"] = json!(1.0);
        writeln!(lines, "{event}").unwrap();
    }
    home.put("heard/events.jsonl", &lines);
    home.put(
        "heard/items.jsonl",
        "{\"item_id\":\"new\",\"fields\":{\"title\":\"Quite new\",\"no-such-column\":1}}\n",
    );
    home.put("heard/erased.jsonl", "{\"user\":\"u3\"}\n");
    let args = ["retrain", "--serving", "model", "--changes", "heard", "--out", "next"];
    let report = home.run(args).args(["--tolerance", "0.5"]).json();
    // What u3 did before is gone; what was heard after is theirs again.
    let [old, erased] =
        ["of_serving", "erased"].map(|name| report["merged"][name].as_u64().unwrap());
    let all = home.read("model/data/manifest.json").parse::<Value>().unwrap()["counts"]["events"]
        .as_u64();
    assert_eq!(Some(old + erased), all);
    assert!(erased > 0 && report["merged"]["new"] == 120, "{report}");
    // Each takes two new items, of which the second may be one they had taken before.
    let users = report["judged"]["users"].as_u64().unwrap();
    assert!((40..=60).contains(&users) && report["judged"]["events"] == 60, "{report}");
    let bar = report["judged"]["serving"].as_f64().unwrap() * 0.5;
    let is_not_worse = report["judged"]["candidate"].as_f64().unwrap() >= bar;
    assert_eq!(report["promote"], is_not_worse);
    assert_eq!(report, serde_json::from_str::<Value>(&home.read("next.report.json")).unwrap());
    let near = home.run(["similar", "--model", "next", "--item", "new"]).json();
    assert!(!near.as_array().map_or(near["items"].as_array().unwrap().is_empty(), Vec::is_empty));
    // The same again is the same, and what is in the data already counts once.
    let again =
        home.run(["retrain", "--serving", "model", "--changes", "heard", "--out", "again"]).json();
    assert_eq!(again["judged"], report["judged"]);
    assert_eq!(again["data"]["events_sha256"], report["data"]["events_sha256"]);
    let third =
        home.run(["retrain", "--serving", "next", "--changes", "heard", "--out", "third"]).json();
    assert_eq!(
        (&third["merged"]["repeated"], &third["judged"]),
        (&json!(118), &Value::Null),
        "{third}"
    );
    assert_eq!(third["promote"], false);
    assert!(third["why"].as_str().unwrap().contains("nothing can be judged"));
}

#[test]
fn bad_changes_are_told_by_file_and_line_and_leave_nothing() {
    let home = Home::with_model("item-knn");
    home.put("heard/events.jsonl", "{\"user_id\":\"u1\"}\n");
    let args = ["retrain", "--serving", "model", "--changes", "heard", "--out", "next"];
    home.run(args).fails(1, &["events.jsonl", "line 1", "item_id"]);
    home.run(["retrain", "--serving", "data", "--changes", "heard", "--out", "next"])
        .fails(1, &["is not a saved model"]);
    home.run(args).args(["--holdout", "2"]).end();
}
