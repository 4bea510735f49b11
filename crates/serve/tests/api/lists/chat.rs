//! Talks: what was said stays, what happened is heeded, and nobody else's talk is told.

use serde_json::{Value, json};
use tastemaker_serve::store::Scope;

use crate::home::{Home, ids};

async fn say(home: &Home, body: Value) -> Value {
    let got = home.post("/v1/chat", body).await;
    assert_eq!(got.status, 200, "{}", got.body);
    got.body
}

#[tokio::test]
async fn a_talk_remembers_what_was_said_and_knows_what_happened() {
    let home = Home::new().await;
    let first = say(&home, json!({ "message": "show me 3 items", "user_id": "u2" })).await;
    let shown = ids(&first["items"]);
    assert_eq!((shown.len(), &first["turn"]), (3, &json!(1)), "{first}");
    assert!(first["items"][0]["reason"]["text"].is_string(), "{first}");
    let chat = &first["chat_id"];
    let why = say(&home, json!({ "chat_id": chat, "message": "why the second?" })).await;
    assert_eq!(ids(&why["items"]), shown[1..2], "{why}");
    let next = say(&home, json!({ "chat_id": chat, "message": "not the first" })).await;
    assert!(!ids(&next["items"]).contains(&shown[0]), "{next}");
    assert_eq!((&next["state"]["rejected"], &next["turn"]), (&json!([shown[0]]), &json!(3)));
    // What somebody takes elsewhere, and what nobody may see, is not listed in a talk either.
    let next = ids(&next["items"]);
    home.event("u2", &next[0]).await;
    let hidden = json!({ "hidden": true });
    let path = format!("/v1/items/{}", next[1]);
    assert_eq!(home.ask(("PUT", &path), Some(hidden), "").await.status, 200);
    let anew = say(&home, json!({ "message": "show me 20 items", "user_id": "u2" })).await;
    let anew = ids(&anew["items"]);
    assert!(!anew.is_empty() && !anew.contains(&next[0]) && !anew.contains(&next[1]), "{anew:?}");
    // Newcomers are talked with, too.
    let newcomer = say(&home, json!({ "message": "show me 2 items" })).await;
    assert_eq!(ids(&newcomer["items"]).len(), 2);
}

#[tokio::test]
async fn a_talk_outlives_its_model_and_not_its_user() {
    let home = Home::with(|dir| {
        crate::home::trained(dir, "models/default/one", ("fused", 7));
        crate::home::trained(dir, "models/default/two", ("item-knn", 8));
        std::fs::write(dir.join("models/default/active"), "one").unwrap();
        tastemaker_serve::Settings {
            models: Some(dir.join("models")),
            open: true,
            ..Default::default()
        }
    })
    .await;
    let first = say(&home, json!({ "message": "show me 3 items", "user_id": "u2" })).await;
    let shown = ids(&first["items"]);
    let got = home.post("/v1/models/promote", json!({ "name": "two" })).await;
    assert_eq!(got.status, 200, "{}", got.body);
    let chat = &first["chat_id"];
    let next = say(&home, json!({ "chat_id": chat, "message": "not the first" })).await;
    // The same item, though the other model has another number for it.
    assert_eq!(next["state"]["rejected"], json!([shown[0]]), "{next}");
    home.ask(("DELETE", "/v1/users/u2"), None, "").await;
    let gone = home.post("/v1/chat", json!({ "chat_id": chat, "message": "more" })).await;
    assert_eq!(gone.status, 404, "{}", gone.body);
}

#[tokio::test]
async fn what_is_wrong_is_told_and_talks_of_other_tenants_are_not_found() {
    let home = Home::new().await;
    for body in [
        json!({ "message": " " }),
        json!({ "message": "x".repeat(9000) }),
        json!({ "message": "more", "n": 21 }),
        json!({ "message": "more", "user_id": "" }),
        json!({ "message": "more", "chat_id": "1", "user_id": "u2" }),
        json!({ "text": "more" }),
    ] {
        let got = home.post("/v1/chat", body.clone()).await;
        assert_eq!(got.status, 400, "{body}: {}", got.body);
    }
    let unknown = home.post("/v1/chat", json!({ "message": "more", "chat_id": "none" })).await;
    assert_eq!(unknown.status, 404);
    let (own, other) =
        (home.key("default", Scope::Read).await, home.key("other", Scope::Read).await);
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let body = json!({ "message": "show me 3 items" });
    let begun = home.ask(("POST", "/v1/chat"), Some(body), &own.secret).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    let body = json!({ "message": "more", "chat_id": begun.body["chat_id"] });
    assert_eq!(home.ask(("POST", "/v1/chat"), Some(body), &other.secret).await.status, 404);
}
