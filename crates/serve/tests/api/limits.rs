//! What is too long, too deep or too odd.

use axum::body::Body;
use axum::http::Request;
use proptest::prelude::*;
use serde_json::json;

use crate::home::Home;

async fn raw(home: &Home, path: &str, body: impl Into<Body>) -> u16 {
    let request =
        Request::post(path).header("content-type", "application/json").body(body.into()).unwrap();
    home.send(request).await.status
}

#[tokio::test]
async fn bodies_that_are_too_long_too_deep_or_no_json_are_refused() {
    let home = Home::empty().await;
    assert_eq!(raw(&home, "/v1/events", vec![b' '; 100 << 20]).await, 413);
    assert_eq!(raw(&home, "/v1/events", "[".repeat(1 << 20)).await, 400);
    let deep = format!(
        "{}{}{}",
        r#"{"user_id":"u","item_id":"i","context":{"a":"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(raw(&home, "/v1/events", deep).await, 400);
    for body in [
        "",
        "{",
        "null",
        "[]",
        "\u{0}",
        r#"{"user_id":1,"item_id":"i"}"#,
        r#"{"user_id":"u","item_id":"i","value":1e999}"#,
    ] {
        assert_eq!(raw(&home, "/v1/events", body).await, 400, "{body:?}");
    }
    assert_eq!(raw(&home, "/v1/events", vec![0xff, 0xfe]).await, 400);
    let form = Request::post("/v1/events")
        .header("content-type", "text/plain")
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(home.send(form).await.status, 415);
    assert_eq!(home.get("/v1/nothing").await.status, 404);
    assert_eq!(home.ask(("PATCH", "/v1/events"), None, "").await.status, 405);
    assert_eq!(home.get("/v1/users?n=many").await.status, 400);
    assert_eq!(home.get("/v1/items/%ff%fe").await.status, 400);
}

fn encoded(id: &str) -> String {
    id.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn odd_ids_come_back_as_they_went_in_or_are_refused() {
    let home = Home::new().await;
    let odd = [
        "a/b",
        "..",
        "../../etc/passwd",
        "x'; DROP TABLE events; --",
        "\" OR ''='",
        "蜜🐝",
        "a b",
        "%2F",
        "$1",
        "{id}",
        "?n=1#x",
    ];
    for id in odd {
        let path = format!("/v1/users/{}", encoded(id));
        let put = home.ask(("PUT", &path), Some(json!({ "comment": id })), "").await;
        assert_eq!(put.status, 200, "{id}: {}", put.body);
        let got = home.get(&path).await.body;
        assert_eq!((&got["user_id"], &got["comment"]), (&json!(id), &json!(id)));
        assert_eq!(home.event(id, id).await.status, 200, "{id}");
        assert_eq!(
            home.get(&format!("/v1/events?user_id={}", encoded(id))).await.body["events"][0]["item_id"],
            id
        );
        assert_eq!(
            home.get(&format!("/v1/recommend?user_id={}", encoded(id))).await.status,
            200,
            "{id}"
        );
        assert_eq!(home.get(&format!("/v1/similar/{}", encoded(id))).await.status, 404, "{id}");
    }
    for id in ["x".repeat(10_000), "a\0b".to_owned(), "line\nbreak".to_owned(), String::new()] {
        assert_eq!(home.event(&id, "i").await.status, 422);
        assert_eq!(home.event("u", &id).await.status, 422);
        let got = home.post("/v1/recommend", json!({ "user_id": id })).await;
        assert_eq!(got.status, 400, "{}", got.body);
    }
    let long = "x".repeat(10_000);
    for path in [
        format!("/v1/users/{long}"),
        format!("/v1/items/{long}"),
        format!("/v1/explain/{long}"),
        format!("/v1/similar/{long}"),
    ] {
        assert_eq!(home.get(&path).await.status, 404);
    }
}

#[test]
fn no_body_makes_the_server_fail() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let home = runtime.block_on(Home::new());
    static PATHS: [&str; 9] = [
        "/v1/recommend",
        "/v1/events",
        "/v1/items",
        "/v1/embeddings",
        "/v1/rerank",
        "/api/feedback",
        "/api/user",
        "/api/items",
        "/api/session/recommend",
    ];
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|x| json!(x)),
        any::<f64>().prop_map(|x| json!(x)),
        any::<i64>().prop_map(|x| json!(x)),
        ".{0,12}".prop_map(|x| json!(x)),
        Just(json!("i1")),
    ];
    let names = prop_oneof!["user_id|item_id|events|items|n|history|words|filter|exclude|value|timestamp|fields|input|model|query|documents|UserId|ItemId|FeedbackType|Timestamp"
        .split('|').map(str::to_owned).map(Just).fold(".{0,4}".boxed(), |all, name| prop_oneof![2 => all, 1 => name].boxed())];
    let value = leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|x| json!(x)),
            prop::collection::vec((names.clone(), inner), 0..6)
                .prop_map(|x| json!(x.into_iter().collect::<serde_json::Map<_, _>>())),
        ]
    });
    proptest!(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() }, |(body in value, path in prop::sample::select(&PATHS[..]))| {
        let got = runtime.block_on(home.post(path, body.clone()));
        prop_assert!(got.status < 500, "{path} {body}: {}", got.body);
    });
}

#[tokio::test]
async fn zero_bytes_and_endless_numbers_are_refused() {
    let home = Home::empty().await;
    for path in ["/v1/users/%00", "/v1/items?cursor=%00", "/api/user/a%00b"] {
        assert_eq!(home.get(path).await.status, 400, "{path}");
    }
    let event = json!({ "user_id": "u", "item_id": "i", "value": 1e300 });
    assert_eq!(home.post("/v1/events", event).await.status, 400);
}
