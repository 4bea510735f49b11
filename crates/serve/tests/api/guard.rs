//! Who is let in.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use tastemaker_serve::Settings;
use tastemaker_serve::store::{Change, Scope};

use crate::home::Home;

async fn closed(rate: u32) -> Home {
    Home::with(|_| Settings { rate, ..Settings::default() }).await
}

#[tokio::test]
async fn nobody_without_a_key_is_let_in_where_it_is_not_open() {
    let home = closed(0).await;
    let got = home.get("/v1/stats").await;
    assert_eq!((got.status, &got.body["type"]), (401, &json!("urn:tastemaker:problem:no-key")));
    assert_eq!(got.response.headers()["content-type"], "application/problem+json");
    assert!(got.response.headers().contains_key("x-request-id"));
    assert_eq!(got.response.headers()["x-content-type-options"], "nosniff");
    assert!(!got.response.headers().contains_key("access-control-allow-origin"));
    for key in ["tm_", "tm_x_y", "nonsense", "tm_0000000000000000_00"] {
        assert_eq!(home.ask(("GET", "/v1/stats"), None, key).await.status, 401, "{key}");
    }
    for path in ["/health/live", "/health/ready", "/metrics", "/openapi.json"] {
        assert_eq!(home.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_get_nothing_where_no_key_is_needed() {
    let home = Home::with(|_| Settings { open: true, local: true, ..Settings::default() }).await;
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = Request::builder().method("POST").uri("/v1/models/rollback");
        for (name, value) in headers {
            request = match *name {
                // Where HTTP/2 has the name.
                ":authority" => request.uri(format!("https://{value}/v1/models/rollback")),
                name => request.header(name, *value),
            };
        }
        home.send(request.body(Body::empty()).unwrap()).await
    };
    for own in [
        &[("host", "localhost:8080")][..],
        &[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")],
        &[("host", "[::1]:8080"), ("sec-fetch-site", "same-origin")],
        &[(":authority", "localhost:8080"), ("origin", "https://localhost:8080")],
    ] {
        assert_eq!(ask(own).await.status, 409, "{own:?}: there is no model to go back to");
    }
    for foreign in [
        &[("host", "localhost:8080"), ("origin", "https://elsewhere.example")][..],
        &[("host", "localhost:8080"), ("origin", "null")],
        &[("host", "localhost:8080"), ("sec-fetch-site", "cross-site")],
        &[("host", "rebound.example:8080")],
        &[(":authority", "rebound.example:8080")],
        &[(":authority", "localhost:8080"), ("origin", "https://elsewhere.example")],
        &[("host", "127.0.0.1:8080"), ("x-forwarded-for", "203.0.113.7")],
        &[],
    ] {
        let got = ask(foreign).await;
        let kind = &got.body["type"];
        assert_eq!(
            (got.status, kind),
            (403, &json!("urn:tastemaker:problem:foreign")),
            "{foreign:?}"
        );
    }
}

#[tokio::test]
async fn a_first_key_closes_an_open_server() {
    let home = Home::empty().await;
    assert_eq!(home.get("/v1/stats").await.status, 200);
    let key = home.key("default", Scope::Read).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(home.get("/v1/stats").await.status, 401);
    assert_eq!(home.ask(("GET", "/v1/stats"), None, &key.secret).await.status, 200);
}

#[tokio::test]
async fn a_key_that_reads_cannot_write_and_one_that_writes_cannot_promote() {
    let home = closed(0).await;
    let (read, write) = (home.key("a", Scope::Read).await, home.key("a", Scope::Write).await);
    let document = home.get("/openapi.json").await.body;
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let needs = operation["x-scope"].as_str().unwrap_or("none");
            let path = path.replace(['{', '}'], "");
            let method = method.to_uppercase();
            let forbidden = match needs {
                "write" => vec![&read],
                "admin" => vec![&read, &write],
                _ => vec![],
            };
            for key in forbidden {
                let got = home.ask((&method, &path), Some(json!({})), &key.secret).await;
                assert_eq!(got.status, 403, "{method} {path}");
                tried += 1;
            }
        }
    }
    assert!(tried > 20, "{tried}");
    // Writing back writes, whatever the method.
    let got = home.ask(("GET", "/api/recommend/u?write-back-type=read"), None, &read.secret).await;
    assert_eq!(got.status, 403);
}

#[tokio::test]
async fn a_revoked_key_stops_within_a_second() {
    let home = closed(0).await;
    let key = home.key("a", Scope::Write).await;
    let event = || json!({ "user_id": "u", "item_id": "i" });
    assert_eq!(home.ask(("POST", "/v1/events"), Some(event()), &key.secret).await.status, 200);
    home.store.change(Change::RevokeKey { id: key.record.id.clone(), time: 2 }).await.unwrap();
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(home.ask(("POST", "/v1/events"), Some(event()), &key.secret).await.status, 401);
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_to_wait() {
    let home = closed(3).await;
    let (one, other) = (home.key("a", Scope::Read).await, home.key("a", Scope::Read).await);
    let mut turned_away = 0;
    for _ in 0..8 {
        let got = home.ask(("GET", "/v1/users"), None, &one.secret).await;
        if got.status == 429 {
            assert_eq!(got.response.headers()["retry-after"], "1");
            turned_away += 1;
        }
    }
    assert!(turned_away > 0);
    assert_eq!(home.ask(("GET", "/v1/users"), None, &other.secret).await.status, 200);
}
