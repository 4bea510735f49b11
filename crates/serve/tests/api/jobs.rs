//! Retraining: the server goes on answering, and says what came of it.
#![cfg(unix)]

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde_json::{Value, json};
use tastemaker_serve::store::Scope;
use tastemaker_serve::{App, Settings, router};

use crate::home::{Got, Home, trained};

/// A shell script in the place of the training process: `$2` is the serving model, `$4` what was heard, `$6` where the new one goes.
fn trainer(script: &str) -> Vec<OsString> {
    ["sh", "-c", script, "trainer"].map(OsString::from).into()
}

/// "Trains" by copying the serving model.
const COPY: &str =
    r#"cp -r "$2" "$6" && echo '{"promote": true, "why": "it is as good"}' > "$6.report.json""#;
const FOREVER: &str = "echo working >&2; exec sleep 1000";

async fn home(script: &str) -> Home {
    Home::with(|dir| {
        trained(dir, "models/default/first", ("fused", 7));
        std::fs::write(dir.join("models/default/active"), "first").unwrap();
        Settings {
            models: Some(dir.join("models")),
            open: true,
            trainer: trainer(script),
            ..Settings::default()
        }
    })
    .await
}

/// Another server on the same folder and store.
async fn served(home: &Home, script: &str, retrain_hours: f64) -> (Arc<App>, Router) {
    let settings = Settings {
        models: Some(home.dir.path().join("models")),
        open: true,
        trainer: trainer(script),
        retrain_hours,
        ..Settings::default()
    };
    let places = crate::home::places(home.dir.path());
    let app = App::open(home.store.clone(), settings, places).await.unwrap();
    (app.clone(), router(app))
}

async fn start(home: &Home) -> String {
    let got = home.post("/v1/jobs", json!({ "kind": "retrain" })).await;
    assert_eq!(got.status, 202, "{}", got.body);
    got.body["id"].as_str().unwrap().to_owned()
}

async fn until(home: &Home, id: &str, is: impl Fn(&Value) -> bool) -> Value {
    let mut looks = 1000;
    loop {
        let job = home.get(&format!("/v1/jobs/{id}")).await.body;
        if is(&job) {
            return job;
        }
        looks -= 1;
        assert!(looks > 0, "it never came so far: {job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn over(home: &Home, id: &str) -> Value {
    until(home, id, |job| !["waiting", "running"].contains(&job["state"].as_str().unwrap())).await
}

/// Nothing is left of a job but what is said of it.
async fn is_tidy(home: &Home) -> bool {
    let is_tidy = || {
        let work = home.dir.path().join("models/default/.work");
        let mut names = std::fs::read_dir(work).unwrap().map(|entry| entry.unwrap().file_name());
        names.all(|name| name.to_string_lossy().ends_with(".json"))
    };
    // What is said of it is written a moment after it is known.
    for _ in 0..50 {
        if is_tidy() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

async fn cancel(home: &Home, id: &str) -> Got {
    home.ask(("DELETE", &format!("/v1/jobs/{id}")), None, "").await
}

#[tokio::test]
async fn a_new_model_is_promoted_listed_and_taken_back() {
    let home = home(COPY).await;
    let job = over(&home, &start(&home).await).await;
    assert_eq!((&job["state"], &job["promoted"]), (&json!("done"), &json!(true)), "{job}");
    assert_eq!((&job["why"], &job["because"]), (&json!("it is as good"), &json!("asked")));
    let name = job["model"].as_str().unwrap();
    let models = home.get("/v1/models").await.body;
    assert!(models["data"][0]["id"].as_str().unwrap().starts_with(name), "{models}");
    assert!(models["data"][1]["id"].as_str().unwrap().starts_with("first@"), "{models}");
    assert!(home.dir.path().join(format!("models/default/{name}.report.json")).is_file());
    assert!(is_tidy(&home).await);
    let back = home.post("/v1/models/rollback", json!({})).await.body;
    assert!(back["id"].as_str().unwrap().starts_with("first@"));
    assert_eq!(home.list("u1", 3).await.len(), 3);
    assert_eq!(home.get("/v1/jobs").await.body["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn old_models_go_but_not_those_that_were_put_there_or_answer() {
    let home = home(COPY).await;
    let job = over(&home, &start(&home).await).await;
    let answers = job["model"].as_str().unwrap().to_owned();
    let home = Home { router: served(&home, &COPY.replace("true", "false"), 0.0).await.1, ..home };
    for _ in 0..12 {
        let job = over(&home, &start(&home).await).await;
        assert_eq!((&job["state"], &job["promoted"]), (&json!("done"), &json!(false)), "{job}");
    }
    let models = home.get("/v1/models").await.body;
    let there: Vec<&str> =
        models["available"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    // Ten of the thirteen, the oldest of which answers, and the one that was there.
    assert!(there.contains(&"first") && there.contains(&answers.as_str()), "{there:?}");
    assert!((11..=12).contains(&there.len()), "{there:?}");
}

#[tokio::test]
async fn a_model_that_was_promoted_meanwhile_stays() {
    let waits = format!(r#"while [ ! -e "$4/../../../go" ]; do sleep 0.05; done; {COPY}"#);
    let home = home(&waits).await;
    trained(home.dir.path(), "models/default/second", ("item-knn", 7));
    let id = start(&home).await;
    until(&home, &id, |job| job["state"] == "running").await;
    let got = home.post("/v1/models/promote", json!({ "name": "second" })).await;
    assert_eq!(got.status, 200);
    std::fs::write(home.dir.path().join("models/default/go"), "").unwrap();
    let job = over(&home, &id).await;
    assert_eq!((&job["state"], &job["promoted"]), (&json!("done"), &json!(false)), "{job}");
    assert!(job["why"].as_str().unwrap().contains("another model answers"), "{job}");
    let models = home.get("/v1/models").await.body;
    assert!(models["data"][0]["id"].as_str().unwrap().starts_with("second@"), "{models}");
}

#[tokio::test]
async fn what_was_heard_reaches_the_trainer_without_impressions_and_with_erasures() {
    let script = format!(r#"cat "$4"/*.jsonl >&2; {COPY}"#);
    let home = home(&script).await;
    home.event("u1", "i1").await;
    home.event("gone", "i2").await;
    let shown = json!({ "user_id": "u1", "item_id": "i3", "event_type": "impression" });
    home.post("/v1/events", shown).await;
    home.ask(("DELETE", "/v1/users/gone"), None, "").await;
    let new = json!({ "fields": { "title": "New" }, "categories": ["a"] });
    home.ask(("PUT", "/v1/items/new"), Some(new), "").await;
    let job = over(&home, &start(&home).await).await;
    let said = job["output"].as_str().unwrap();
    assert!(said.contains(r#""user_id":"u1","item_id":"i1","value":1.0"#), "{said}");
    assert!(said.contains(r#"{"user":"gone"}"#) && !said.contains(r#""user_id":"gone""#), "{said}");
    assert!(!said.contains("\"i3\"") && said.contains(r#""title":"New""#), "{said}");
}

#[tokio::test]
async fn a_training_process_that_dies_leaves_the_old_model_and_its_last_words() {
    let dies = r#"mkdir "$6"; echo "learning" >&2; echo "out of memory" >&2; kill -9 $$"#;
    let home = home(dies).await;
    let before = home.list("u1", 5).await;
    let job = over(&home, &start(&home).await).await;
    assert_eq!((&job["state"], &job["promoted"]), (&json!("failed"), &json!(false)));
    assert!(job["why"].as_str().unwrap().contains("signal: 9"), "{job}");
    assert!(job["why"].as_str().unwrap().contains("out of memory"), "{job}");
    assert_eq!(job["output"], "learning\nout of memory\n");
    assert_eq!(home.list("u1", 5).await, before);
    assert_eq!(home.get("/v1/models").await.body["available"], json!(["first"]));
    assert!(is_tidy(&home).await);
    // It does not stand in the way of the next one.
    over(&home, &start(&home).await).await;
    let told = home.get("/metrics").await.body;
    for line in ["trainings_failed_total 2", "trainings_done_total 0", "trainings_under_way 0"] {
        assert!(told.as_str().unwrap().contains(&format!("tastemaker_{line}\n")), "{told}");
    }
}

#[tokio::test]
async fn one_that_writes_no_model_or_a_damaged_one_has_failed() {
    for script in [
        "true",
        r#"echo '{"promote": true}' > "$6.report.json""#,
        r#"cp -r "$2" "$6" && echo '{"promote": tr' > "$6.report.json""#,
        r#"cp -r "$2" "$6" && echo x >> "$6/data/events.parquet" && echo '{"promote": true}' > "$6.report.json""#,
    ] {
        let home = home(script).await;
        let job = over(&home, &start(&home).await).await;
        assert_eq!(job["state"], "failed", "{script}: {job}");
        let serving = &home.get("/v1/models").await.body["data"][0]["id"];
        assert!(serving.as_str().unwrap().starts_with("first@"), "{script}");
    }
}

#[tokio::test]
async fn a_job_is_cancelled_and_only_one_runs_at_a_time() {
    let home = home(FOREVER).await;
    let id = start(&home).await;
    until(&home, &id, |job| job["output"] == "working\n").await;
    let second = home.post("/v1/jobs", json!({ "kind": "retrain" })).await;
    assert_eq!(
        (second.status, &second.body["type"]),
        (409, &json!("urn:tastemaker:problem:job-runs"))
    );
    assert_eq!(home.list("u1", 3).await.len(), 3);
    let got = cancel(&home, &id).await;
    assert_eq!((got.status, &got.body["state"]), (200, &json!("cancelled")));
    assert_eq!(cancel(&home, &id).await.status, 409);
    assert_eq!(cancel(&home, "nothing").await.status, 404);
    over(&home, &id).await;
    let wrong = home.post("/v1/jobs", json!({ "kind": "dance" })).await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn jobs_are_for_admins_and_for_nobody_of_another_tenant() {
    let home = home(FOREVER).await;
    let (admin, write) =
        (home.key("default", Scope::Admin).await, home.key("default", Scope::Write).await);
    let other = home.key("other", Scope::Admin).await;
    let ask = async |key: &str, method: &str, path: &str| {
        let body = (method == "POST").then(|| json!({ "kind": "retrain" }));
        home.ask((method, path), body, key).await
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    let job = ask(&admin.secret, "POST", "/v1/jobs").await;
    assert_eq!(job.status, 202, "{}", job.body);
    let path = format!("/v1/jobs/{}", job.body["id"].as_str().unwrap());
    for (method, path) in
        [("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", &path), ("DELETE", &path)]
    {
        assert_eq!(ask(&write.secret, method, path).await.status, 403, "{method} {path}");
    }
    assert_eq!(ask(&other.secret, "GET", "/v1/jobs").await.body, json!({ "jobs": [] }));
    assert_eq!(ask(&other.secret, "GET", &path).await.status, 404);
    assert_eq!(ask(&other.secret, "DELETE", &path).await.status, 404);
    // It has no model of its own to train anew.
    assert_eq!(ask(&other.secret, "POST", "/v1/jobs").await.status, 409);
    assert_eq!(ask(&admin.secret, "DELETE", &path).await.body["state"], "cancelled");
}

#[tokio::test]
async fn what_a_server_left_under_way_is_lost_to_the_next_one() {
    let home = home(FOREVER).await;
    let id = start(&home).await;
    until(&home, &id, |job| job["output"] == "working\n").await;
    let next = async || {
        let models = Some(home.dir.path().join("models"));
        let settings = Settings { models, open: true, ..Settings::default() };
        let places = crate::home::places(home.dir.path());
        let next = router(App::open(home.store.clone(), settings, places).await.unwrap());
        Home {
            router: next,
            store: home.store.clone(),
            dir: tempfile::tempdir().unwrap(),
            address: home.address.clone(),
        }
    };
    let beside = next().await;
    assert_eq!(beside.get(&format!("/v1/jobs/{id}")).await.status, 404, "another server is at it");
    // As a server leaves it that dies.
    let file = home.dir.path().join(format!("models/default/.work/{id}.json"));
    let under_way = std::fs::read(&file).unwrap();
    cancel(&home, &id).await;
    std::fs::write(&file, under_way).unwrap();
    let next = next().await;
    assert_eq!(next.get(&format!("/v1/jobs/{id}")).await.body["state"], "lost");
    // One that was not told what to train with says so.
    let got = next.post("/v1/jobs", json!({ "kind": "retrain" })).await;
    assert_eq!((got.status, &got.body["type"]), (409, &json!("urn:tastemaker:problem:no-trainer")));
}

#[tokio::test]
async fn the_clock_starts_a_training_and_the_end_of_the_server_ends_one() {
    let home = home(COPY).await;
    let serve = async |script: &str, hours: f64, end: &str| {
        let (app, router) = served(&home, script, hours).await;
        let there = Home {
            router,
            store: home.store.clone(),
            dir: tempfile::tempdir().unwrap(),
            address: home.address.clone(),
        };
        let ends = async {
            if hours <= 0.0 {
                start(&there).await;
            }
            while !there.get("/v1/jobs").await.body.to_string().contains(end) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tastemaker_serve::run(app, "127.0.0.1:0".parse().unwrap(), |_| {}, ends).await.unwrap();
        there.get("/v1/jobs").await.body["jobs"][0].clone()
    };
    // Without an event there is nothing to learn, however long it has been.
    home.event("u1", "i1").await;
    home.store.flush().await.unwrap();
    let job = serve(COPY, 1e-9, "\"done\"").await;
    assert_eq!((&job["because"], &job["promoted"]), (&json!("hours"), &json!(true)));
    let pid = home.dir.path().join("pid");
    let script = format!("echo $$ > {}; {FOREVER}", pid.display());
    let job = serve(&script, 0.0, "working").await;
    assert_eq!(job["state"], "cancelled");
    let pid = std::fs::read_to_string(pid).unwrap();
    let is_there = std::process::Command::new("kill").args(["-0", pid.trim()]).output().unwrap();
    assert!(!is_there.status.success(), "{pid} runs on");
}
