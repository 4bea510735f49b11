//! A server notices what another process wrote to its store.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tastemaker_serve::store::{Change, Event, Repeat, Scope, Store};

use super::bulk::import;
use crate::home::{Home, ids};

/// Waits until an answer is as wanted, and tells whether that was within a second.
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
async fn within_a_second(home: &Home, path: &str, is_wanted: impl Fn(&Value) -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        if is_wanted(&home.get(path).await.body) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn an_import_beside_a_server_changes_its_answers_within_a_second() {
    let home = Home::new().await;
    let list = "/v1/recommend?user_id=u1&n=3";
    let first = home.get(list).await.body;
    let [taken, hidden] = [0, 1].map(|at| ids(&first["items"])[at].clone());
    // It is known, and kept, what everybody gets.
    assert_eq!(ids(&home.get(list).await.body["items"])[0], taken);
    let text = home.get("/v1/items/i3").await.body["fields"]["text"].clone();
    let put = |name: &str, rows: &[Value]| {
        let path = home.dir.path().join(name);
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        path
    };
    let events = put("events.jsonl", &[json!({ "user_id": "u1", "item_id": taken })]);
    let items = put(
        "items.jsonl",
        &[
            json!({ "item_id": "brand-new", "fields": { "title": "Brand new", "text": text } }),
            json!({ "item_id": hidden, "hidden": true }),
        ],
    );
    let beside = Store::open_beside(&home.address).await.unwrap();
    let paths: [Option<&Path>; 3] = [Some(&events), Some(&items), None];
    import(&beside, paths).await.unwrap();
    let is_new = |body: &Value| {
        let now = ids(&body["items"]);
        !now.contains(&taken) && !now.contains(&hidden)
    };
    assert!(within_a_second(&home, list, is_new).await);
    let holds = |body: &Value| body.to_string().contains("\"brand-new\"");
    assert!(within_a_second(&home, "/v1/similar/i3?n=20", holds).await);
    let history = home.get("/v1/users/u1/history?n=1").await.body;
    assert_eq!(history["events"][0]["item_id"], json!(taken));
}

#[tokio::test]
async fn what_another_process_does_to_one_tenant_lets_the_others_be() {
    let home = Home::new().await;
    let [mine, other] =
        [home.key("default", Scope::Read).await, home.key("other", Scope::Read).await];
    let asked = async |path: &str, key: &str| home.ask(("GET", path), None, key).await.status;
    let list = "/v1/recommend?user_id=u1&n=3";
    assert_eq!(asked(list, &mine.secret).await, 200);
    // The other one is at work here, too.
    assert_eq!(asked("/v1/stats", &other.secret).await, 200);
    let hits = async || {
        let text = home.get("/metrics").await.body.as_str().unwrap().to_owned();
        let line =
            text.lines().find(|line| line.starts_with("tastemaker_history_cache_hits_total"));
        line.unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let beside = Store::open_beside(&home.address).await.unwrap();
    let event = Event {
        id: "e".into(),
        user: "u1".into(),
        item: "i1".into(),
        kind: "click".into(),
        value: 1.0,
        time: 1,
        recommendation: String::new(),
        comment: String::new(),
        detail: "{}".into(),
    };
    let (tenant, repeat) = ("other".to_owned(), Repeat::Keep);
    beside.change(Change::Events { tenant, events: vec![event], repeat }).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = hits().await;
    assert_eq!(asked(list, &mine.secret).await, 200);
    // What servers share is read again after a second anyway.
    let is_kept = hits().await == before + 1 || home.store.is_shared();
    assert!(is_kept, "it was forgotten");
}
