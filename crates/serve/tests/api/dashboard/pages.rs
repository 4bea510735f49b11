//! The pages of the dashboard, and what they ask for.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tastemaker_serve::Settings;
use tastemaker_serve::store::Scope;

use crate::home::{Home, ids, trained};

#[tokio::test]
async fn pages_come_from_the_program_and_may_run_nothing_else() {
    let home = Home::with(|_| Settings::default()).await;
    for from in ["/", "/dashboard"] {
        let got = home.get(from).await;
        assert_eq!(
            (got.status, &got.response.headers()["location"]),
            (307, &"/dashboard/".parse().unwrap())
        );
    }
    for (file, kind) in [
        ("", "text/html"),
        ("app.js", "text/javascript"),
        ("style.css", "text/css"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let path = format!("/dashboard/{file}");
        let got = home.get(&path).await;
        let headers = got.response.headers();
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert!(got.status == 200 && text("content-type").starts_with(kind), "{path}");
        let policy = text("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("script-src 'self'"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'),
            "{policy}"
        );
        assert_eq!(
            (text("cache-control"), text("x-content-type-options")),
            ("no-cache".into(), "nosniff".into())
        );
        assert_eq!(headers.get_all("content-security-policy").iter().count(), 1);
        // It is sent again only when it has changed.
        let known = Request::builder().uri(&path).header("if-none-match", &headers["etag"]);
        let again = home.send(known.body(Body::empty()).unwrap()).await;
        assert_eq!((again.status, again.body), (304, json!("")));
        let other = Request::builder().uri(&path).header("if-none-match", "W/\"0\"");
        assert_eq!(home.send(other.body(Body::empty()).unwrap()).await.status, 200);
    }
    for missing in ["nothing.js", "..%2fCargo.toml", "%2e%2e", "app.js%00", "APP.JS"] {
        let status = home.get(&format!("/dashboard/{missing}")).await.status;
        assert!(status == 404 || status == 400, "{missing}: {status}");
    }
    // The pages need no key; what they show does.
    assert_eq!(home.get("/v1/browse/users").await.status, 401);
    let policy = &home.get("/v1/stats").await.response.headers()["content-security-policy"].clone();
    assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'");
}

#[tokio::test]
async fn users_and_items_of_store_and_model_are_browsed_once_each() {
    let home = Home::new().await;
    home.event("u1", "i1").await;
    home.event("new<b>", "i1").await;
    home.ask(("PUT", "/v1/users/with-fields"), Some(json!({})), "").await;
    let mut users: Vec<(String, String)> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = home.get(&format!("/v1/browse/users?n=7&cursor={cursor}")).await.body;
        for user in page["users"].as_array().unwrap() {
            let text = |key: &str| user[key].as_str().unwrap().to_owned();
            users.push((text("user_id"), text("source")));
        }
        cursor = page["cursor"].as_str().unwrap().replace('<', "%3C").replace('>', "%3E");
        if cursor.is_empty() {
            break;
        }
    }
    let n = users.len();
    let source = |id: &str| users.iter().find(|user| user.0 == id).unwrap().1.clone();
    assert_eq!(
        (source("u1"), source("u2"), source("new<b>")),
        ("both".into(), "model".into(), "store".into())
    );
    assert_eq!(n, 62, "60 of the model, and two more");
    users.sort_unstable();
    users.dedup_by(|a, b| a.0 == b.0);
    assert_eq!(users.len(), n, "nobody twice");
    let found = home.get("/v1/browse/users?q=u1").await.body;
    let found: Vec<&str> = found["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["user_id"].as_str().unwrap())
        .collect();
    assert!(found.contains(&"u1") && found.contains(&"u10") && !found.contains(&"u2"), "{found:?}");
    // Who was erased is nobody's to look at.
    home.ask(("DELETE", "/v1/users/u2"), None, "").await;
    let found = home.get("/v1/browse/users?q=u2&n=200").await.body;
    assert!(!ids_of(&found["users"], "user_id").contains(&"u2".to_owned()));

    home.ask(
        ("PUT", "/v1/items/own"),
        Some(json!({ "fields": { "title": "A <i>hostile</i> one" } })),
        "",
    )
    .await;
    let all = home.get("/v1/browse/items?n=200").await.body;
    assert_eq!(ids(&all["items"]).iter().filter(|id| *id == "own").count(), 1);
    assert!(ids(&all["items"]).len() >= 41);
    let found = home.get("/v1/browse/items?q=hostile%20one").await.body;
    assert_eq!(found["items"][0]["title"], "A <i>hostile</i> one");
    assert_eq!(home.get("/v1/browse/items?cursor=xyz").await.status, 400);
}

fn ids_of(rows: &Value, key: &str) -> Vec<String> {
    rows.as_array().unwrap().iter().map(|row| row[key].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_history_joins_what_the_model_knows_and_what_was_told_newest_first() {
    let home = Home::new().await;
    let before = home.get("/v1/users/u1/history").await.body;
    let n = before["n_events"].as_u64().unwrap();
    assert!(n > 0 && before["events"][0]["source"] == "model", "{before}");
    let item = home.list("u1", 1).await.remove(0);
    home.event("u1", &item).await;
    let after = home.get("/v1/users/u1/history?n=2").await.body;
    assert_eq!(
        (after["n_events"].as_u64().unwrap(), after["events"].as_array().unwrap().len()),
        (n + 1, 2)
    );
    let newest = &after["events"][0];
    assert_eq!(
        (&newest["item_id"], &newest["source"], &newest["event_type"]),
        (&json!(item), &json!("store"), &json!("click"))
    );
    assert_ne!(newest["title"], "");
    // An item that only the store knows has its title too.
    home.ask(
        ("PUT", "/v1/items/own"),
        Some(json!({ "fields": { "name": "Own" }, "hidden": true })),
        "",
    )
    .await;
    home.event("u1", "own").await;
    assert_eq!(home.get("/v1/users/u1/history").await.body["events"][0]["title"], "Own");
    assert_eq!(home.get("/v1/users/nobody/history").await.status, 404);
    home.ask(("DELETE", "/v1/users/u1"), None, "").await;
    assert_eq!(home.get("/v1/users/u1/history").await.status, 404);
}

#[tokio::test]
async fn an_audience_says_at_how_many_it_looked() {
    let home = Home::new().await;
    let got = home.get("/v1/items/i1/audience?sample=20&within=40").await;
    assert_eq!(got.status, 200, "{}", got.body);
    assert_eq!((&got.body["users_looked_at"], &got.body["n_users"]), (&json!(20), &json!(60)));
    let users = got.body["users"].as_array().unwrap();
    assert!(!users.is_empty() && users.len() as u64 == got.body["reached"].as_u64().unwrap());
    let places: Vec<u64> = users.iter().map(|user| user["rank"].as_u64().unwrap()).collect();
    assert!(places.is_sorted() && places[0] >= 1, "{places:?}");
    // It stands where a list has it.
    let (user, place) = (users[0]["user_id"].as_str().unwrap(), places[0] as usize);
    assert_eq!(home.list(user, 40).await[place - 1], "i1");
    assert_eq!(home.get("/v1/items/nothing/audience").await.status, 404);
    assert_eq!(Home::empty().await.get("/v1/items/i1/audience").await.status, 409);
}

#[tokio::test]
async fn the_model_before_can_be_asked_and_its_lists_are_not_kept() {
    let home = Home::with(|dir| {
        trained(dir, "models/default/good", ("popularity", 8));
        let model = Some(trained(dir, "model", ("fused", 7)));
        Settings { model, models: Some(dir.join("models")), open: true, ..Settings::default() }
    })
    .await;
    let ask = async |model: &str| {
        home.post("/v1/recommend", json!({ "user_id": "u1", "n": 10, "model": model })).await
    };
    let missing = ask("previous").await;
    assert_eq!(
        (missing.status, &missing.body["type"]),
        (409, &json!("urn:tastemaker:problem:no-model"))
    );
    assert_eq!(ask("another").await.status, 400);
    let before = ask("serving").await.body;
    assert_eq!(home.post("/v1/models/promote", json!({ "name": "good" })).await.status, 200);
    let previous = ask("previous").await.body;
    assert_eq!((&previous["items"], &previous["model"]), (&before["items"], &json!("model@7")));
    assert!(previous.get("recommendation_id").is_none() && before["recommendation_id"].is_string());
    assert_eq!(ask("serving").await.body["model"], "good@8");
    let runs = home.get("/v1/models/runs").await.body;
    let run = |name: &str| {
        runs["runs"].as_array().unwrap().iter().find(|run| run["name"] == name).unwrap().clone()
    };
    assert_eq!(run("good")["roles"], json!(["serving", "available"]));
    assert_eq!(run("model")["roles"], json!(["previous"]));
    assert_eq!(run("model")["parts"], json!(["item-knn", "text-knn"]));
}

#[tokio::test]
async fn curves_beside_a_model_are_shown() {
    let home = Home::with(|dir| {
        trained(dir, "models/default/good", ("popularity", 8));
        let curves = r#"[{"model":"sasrec","best_epoch":2,"epochs":[{"loss":2.0,"validation":0.1,"samples":5,"seconds":0.5},{"loss":1.0,"validation":null,"samples":5,"seconds":0.5}]}]"#;
        std::fs::write(dir.join("models/default/good.curves.json"), curves).unwrap();
        trained(dir, "models/default/other", ("popularity", 9));
        std::fs::write(dir.join("models/default/other.curves.json"), "no json").unwrap();
        Settings { models: Some(dir.join("models")), open: true, ..Settings::default() }
    })
    .await;
    let runs = home.get("/v1/models/runs").await.body;
    assert_eq!(
        (&runs["runs"][1]["name"], &runs["runs"][0]["trainings"]),
        (&json!("good"), &json!([]))
    );
    assert_eq!(runs["runs"][1]["trainings"][0]["epochs"][1]["loss"], 1.0);
}

#[tokio::test]
async fn settings_and_failures_are_for_administrators_and_tell_no_secret() {
    let home = Home::with(|dir| Settings {
        model: Some(trained(dir, "model", ("fused", 7))),
        rate: 3,
        ..Settings::default()
    })
    .await;
    let (read, admin) =
        (home.key("default", Scope::Read).await, home.key("default", Scope::Admin).await);
    let other = home.key("other", Scope::Admin).await;
    let get = async |path: &str, key: &str| home.ask(("GET", path), None, key).await;
    for path in ["/v1/settings", "/v1/failures"] {
        assert_eq!(get(path, &read.secret).await.status, 403, "{path}");
    }
    let settings = get("/v1/settings", &admin.secret).await.body;
    let all = settings.to_string();
    assert!(!all.contains("store.db") && !all.contains(&admin.secret), "{all}");
    let server = settings["server"].as_array().unwrap();
    assert!(server.iter().any(|row| row["name"] == "rate" && row["value"] == 3));
    let sections = settings["sections"].as_array().unwrap();
    let knn = sections.iter().find(|section| section["name"] == "models.item-knn").unwrap();
    assert!(
        knn["settings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["about"].as_str().unwrap().len() > 5),
        "{knn}"
    );
    let elsewhere = get("/v1/settings", &other.secret).await.body;
    let names = ids_of(&elsewhere["server"], "name");
    assert!(names.contains(&"rate".into()) && !names.contains(&"model".into()), "{names:?}");
    // Who asks too often is turned away, and that is kept; for their own tenant alone.
    let mut turned_away = 0;
    for _ in 0..9 {
        turned_away +=
            u32::from(home.ask(("GET", "/v1/users"), None, &read.secret).await.status == 429);
    }
    assert!(turned_away > 0);
    let failures = get("/v1/failures", &admin.secret).await.body;
    let newest = &failures["failures"][0];
    assert_eq!(
        (&newest["route"], &newest["status"]),
        (&json!("GET /v1/users"), &json!(429)),
        "{failures}"
    );
    assert_eq!(newest["problem"], "urn:tastemaker:problem:too-fast");
    assert!(
        newest["times"].as_u64().unwrap() == u64::from(turned_away)
            && newest["request_id"].is_string()
    );
    assert_eq!(get("/v1/failures", &other.secret).await.body["failures"], json!([]));
}

#[tokio::test]
async fn the_course_of_the_server_is_told_in_samples() {
    let home = Home::with(|dir| Settings {
        model: Some(trained(dir, "model", ("fused", 7))),
        open: true,
        sample: Duration::from_millis(100),
        ..Settings::default()
    })
    .await;
    let first = home.get("/v1/stats/series").await.body;
    assert_eq!((&first["samples"], &first["routes"]), (&json!([]), &json!([])));
    let list = home.post("/v1/recommend", json!({ "user_id": "u1" })).await.body;
    let event =
        json!({ "user_id": "u1", "item_id": "i1", "recommendation_id": list["recommendation_id"] });
    home.post("/v1/events", event).await;
    tokio::time::sleep(Duration::from_millis(110)).await;
    let second = home.get("/v1/stats/series").await.body;
    let sample = &second["samples"][0];
    let count = |name: &str| sample[name].as_u64().unwrap();
    assert_eq!(
        ["requests", "failed", "events", "lists", "from_lists", "misses"].map(count),
        [2, 0, 1, 1, 1, 1]
    );
    assert!(sample["p99_ms"].as_f64().unwrap() >= sample["p50_ms"].as_f64().unwrap());
    let routes: Vec<&str> = second["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["path"].as_str().unwrap())
        .collect();
    assert!(routes.contains(&"/v1/recommend") && routes.contains(&"/v1/events"), "{routes:?}");
    let since = sample["time"].as_i64().unwrap();
    assert_eq!(
        home.get(&format!("/v1/stats/series?since={since}")).await.body["samples"],
        json!([])
    );
}
