//! Two tenants with the same ids never see anything of each other.

use proptest::prelude::*;
use serde_json::{Value, json};
use tastemaker_serve::Settings;
use tastemaker_serve::store::Scope;

use crate::home::{Home, trained};

/// A change that one of the tenants makes; all of it holds the mark of whose it is.
fn change(kind: u8, (user, item): (u8, u8), mark: &str) -> (&'static str, String, Option<Value>) {
    let (user, item) = (format!("u{user}"), format!("i{item}"));
    let star = json!([{ "FeedbackType": mark, "UserId": user, "ItemId": item, "Comment": mark, "Timestamp": "" }]);
    match kind {
        0 => (
            "PUT",
            format!("/v1/items/{item}"),
            Some(json!({ "fields": { "title": mark, "text": mark }, "categories": [mark] })),
        ),
        1 => ("PUT", format!("/v1/users/{user}"), Some(json!({ "comment": mark }))),
        2 => (
            "POST",
            "/v1/events".into(),
            Some(json!({ "user_id": user, "item_id": item, "event_type": mark })),
        ),
        3 => ("POST", "/api/feedback".into(), Some(star)),
        4 => ("DELETE", format!("/v1/users/{user}"), None),
        5 => ("DELETE", format!("/v1/items/{item}"), None),
        6 => (
            "POST",
            "/v1/recommend".into(),
            Some(json!({ "user_id": user, "context": { "mark": mark } })),
        ),
        7 => ("POST", "/v1/models/rollback".into(), None),
        8 => (
            "POST",
            "/v1/experiments".into(),
            Some(json!({ "name": mark, "arms": [{ "name": mark }] })),
        ),
        9 => ("POST", format!("/v1/experiments/{mark}/stop"), None),
        _ => ("DELETE", format!("/api/feedback/{mark}/{user}/{item}"), None),
    }
}

/// Everything that can be read with a key.
async fn all(home: &Home, key: &str) -> Vec<(String, Value)> {
    let document = home.get("/openapi.json").await.body;
    let mut seen = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        // The course of the server is that of all tenants, as `/metrics` is.
        let is_read = methods["get"]["x-scope"] == "read" || path == "/v1/audit";
        if !is_read || path == "/v1/stats/series" {
            continue;
        }
        let path = path.replace("{recommendation_id}", "none").replace("{name}", "popular");
        for (user, item) in [("u0", "i0"), ("u1", "i1")] {
            let path = path
                .replace("{user_id}", user)
                .replace("{item_id}", item)
                .replace("{kind}", "a-mark");
            let path = path
                .replace("{c}", item)
                .replace("{b}", if path.contains("{c}") { user } else { item });
            let id = if path.contains("item") { item } else { user };
            let path = path
                .replace("{a}", if path.contains("{b}") { user } else { "a-mark" })
                .replace("{id}", id);
            let mut body =
                home.ask(("GET", &format!("{path}?n=50&user_id={user}")), None, key).await.body;
            if let Some(fields) = body.as_object_mut() {
                // Made anew for every request.
                fields.remove("recommendation_id");
                fields.remove("instance");
                // Reading lists makes them more.
                if let Some(counts) = fields.get_mut("store").and_then(Value::as_object_mut) {
                    counts.remove("recommendations");
                }
            }
            seen.push((path, body));
        }
    }
    seen
}

#[test]
fn what_one_tenant_does_changes_nothing_that_the_other_sees() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let home = runtime.block_on(Home::with(|dir| {
        let model = trained(dir, "models/a/first", ("fused", 7));
        std::fs::write(model.parent().unwrap().join("active"), "first").unwrap();
        Settings { models: Some(dir.join("models")), ..Settings::default() }
    }));
    let (a, b) = runtime
        .block_on(async { (home.key("a", Scope::Admin).await, home.key("b", Scope::Admin).await) });
    let steps = prop::collection::vec((any::<bool>(), 0u8..11, 0u8..2, 0u8..2), 1..12);
    proptest!(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() }, |(steps in steps)| {
        runtime.block_on(async {
            for (first, kind, user, item) in steps {
                let (own, other) = if first { (&a, &b) } else { (&b, &a) };
                let mark = if first { "a-mark" } else { "b-mark" };
                // Newcomers are read in the background: what is seen is what is seen after that.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                home.store.flush().await.unwrap();
                let before = all(&home, &other.secret).await;
                let (method, path, body) = change(kind, (user, item), mark);
                let got = home.ask((method, &path), body, &own.secret).await;
                prop_assert!(got.status < 500 && got.status != 403, "{method} {path}: {}", got.body);
                home.store.flush().await.unwrap();
                let after = all(&home, &other.secret).await;
                for ((path, before), (_, after)) in before.iter().zip(&after) {
                    prop_assert_eq!(before, after, "{}", path);
                    let foreign = if first { "\"a-mark\"" } else { "\"b-mark\"" };
                    let is_echo = path.contains("a-mark");
                    prop_assert!(is_echo || !after.to_string().contains(foreign), "{}: {}", path, after);
                }
            }
            Ok(())
        })?;
    });
    // The model of one is nobody else's.
    let list = |key: &str| {
        runtime.block_on(home.ask(("GET", "/v1/recommend?user_id=u9"), None, key)).body["source"]
            .clone()
    };
    assert_eq!((list(&a.secret), list(&b.secret)), (json!("model"), json!("popular")));
    let models = runtime.block_on(home.ask(("GET", "/v1/models"), None, &b.secret)).body;
    assert_eq!((&models["data"], &models["available"]), (&json!([]), &json!([])));
}
