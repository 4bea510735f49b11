//! Items that come, change and go.

use std::time::Duration;

use serde_json::{Value, json};
use tastemaker_serve::{App, Settings, router};

use crate::home::{Home, trained};

async fn within_a_second(home: &Home, path: &str, holds: impl Fn(&Value) -> bool) -> bool {
    for _ in 0..50 {
        if holds(&home.get(path).await.body) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn a_new_item_is_recommended_from_its_text_within_a_second_and_no_more_when_it_is_hidden_or_gone()
 {
    let home = Home::new().await;
    let text = home.get("/v1/items/i3").await.body["fields"]["text"].clone();
    let body = |hidden: bool| json!({ "fields": { "title": "Brand new", "text": text }, "hidden": hidden });
    let put = home.ask(("PUT", "/v1/items/brand%2Fnew"), Some(body(false)), "").await;
    assert_eq!(put.body["status"], "reading", "{}", put.body);
    let holds = |body: &Value| body.to_string().contains("\"brand/new\"");
    assert!(within_a_second(&home, "/v1/similar/i3?n=20", holds).await);
    assert!(within_a_second(&home, "/v1/recommend?user_id=u1&n=1000", holds).await);
    assert!(!holds(&home.get("/v1/recommend?user_id=u1&n=1000&exclude=brand/new").await.body));
    let put = home.ask(("PUT", "/v1/items/brand%2Fnew"), Some(body(true)), "").await;
    assert_eq!(put.body["status"], "known");
    assert!(!holds(&home.get("/v1/recommend?user_id=u1&n=1000").await.body));
    assert!(!holds(&home.get("/v1/similar/i3?n=1000").await.body));
    home.ask(("PUT", "/v1/items/brand%2Fnew"), Some(body(false)), "").await;
    assert!(holds(&home.get("/v1/recommend?user_id=u1&n=1000").await.body));
    home.ask(("DELETE", "/v1/items/brand%2Fnew"), None, "").await;
    assert!(!holds(&home.get("/v1/recommend?user_id=u1&n=1000").await.body));
    assert_eq!(home.get("/v1/items/brand%2Fnew").await.status, 404);
    // Lists of the old items are as they were.
    assert_eq!(home.list("u1", 5).await.len(), 5);
}

#[tokio::test]
async fn many_items_at_once_are_told_apart() {
    let home = Home::new().await;
    let items = json!({ "items": [
        { "item_id": "i1", "fields": { "text": "changed" } },
        { "item_id": "no-text", "fields": { "unheard": 1 } },
        { "item_id": "with-text", "fields": { "text": "topic words" } },
    ]});
    let got = home.post("/v1/items", items).await.body;
    let status: Vec<&str> = got["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["status"].as_str().unwrap())
        .collect();
    assert_eq!(status, ["known", "stored", "reading"]);
    let first = home.get("/v1/items?n=2").await.body;
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let rest =
        home.get(&format!("/v1/items?n=2&cursor={}", first["cursor"].as_str().unwrap())).await.body;
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert_eq!(rest["cursor"], "");
    assert_eq!(home.post("/v1/items", json!({ "items": [{}] })).await.status, 400);
}

#[tokio::test]
async fn an_item_without_a_text_is_placed_by_those_who_took_it_also_after_a_restart() {
    let home = Home::with(|dir| Settings {
        model: Some(trained(dir, "model", ("ials", 7))),
        open: true,
        ..Settings::default()
    })
    .await;
    assert_eq!(home.get("/v1/similar/fresh").await.status, 404);
    // Those who took an item take the new one too.
    let takers: Vec<String> = (0..60).map(|n| format!("u{n}")).collect();
    let mut took = Vec::new();
    for user in &takers {
        let list = home.list(user, 40).await;
        // What was taken is not listed.
        if !list.contains(&"i3".to_owned()) {
            took.push(user.clone());
        }
    }
    assert!((3..50).contains(&took.len()), "{took:?}");
    let (last, others) = took.split_last().unwrap();
    for user in others {
        assert_eq!(home.event(user, "fresh").await.status, 200);
    }
    let is_near = |got: &Value| {
        got["items"]
            .as_array()
            .is_some_and(|items| items.iter().any(|item| item["item_id"] == "i3"))
    };
    assert!(within_a_second(&home, "/v1/similar/fresh?n=5", is_near).await);
    let list = home.list(last, 10).await;
    assert!(list.contains(&"fresh".to_owned()), "{list:?}");
    let places = crate::home::places(home.dir.path());
    let settings =
        Settings { model: Some(home.dir.path().join("model")), open: true, ..Settings::default() };
    let app = App::open(home.store.clone(), settings, places).await.unwrap();
    let again = Home { router: router(app), ..home };
    assert!(within_a_second(&again, "/v1/similar/fresh?n=5", is_near).await);
}

#[tokio::test]
async fn items_are_placed_by_takers_alone_and_not_by_those_who_were_erased() {
    let home = Home::with(|dir| Settings {
        model: Some(trained(dir, "model", ("ials", 7))),
        open: true,
        ..Settings::default()
    })
    .await;
    let seen = json!({ "user_id": "u1", "item_id": "ghost", "event_type": "impression" });
    assert_eq!(home.post("/v1/events", seen).await.status, 200);
    home.event("nobody-knows", "strange").await;
    home.event("u1", "fresh").await;
    let is_there = |got: &Value| got["items"].is_array();
    assert!(within_a_second(&home, "/v1/similar/fresh?n=5", is_there).await);
    let alone = home.get("/v1/similar/fresh?n=5").await.body["items"].clone();
    // What was only shown, and what nobody took whom the model knows, it does not take in.
    for unplaced in ["ghost", "strange"] {
        assert_eq!(home.get(&format!("/v1/similar/{unplaced}")).await.status, 404);
    }
    home.event("u2", "fresh").await;
    let other = |got: &Value| got["items"].is_array() && got["items"] != alone;
    assert!(
        within_a_second(&home, "/v1/similar/fresh?n=5", other).await
            || within_a_second(&home, "/v1/similar/fresh?n=5", other).await
    );
    // Without the second taker it lies where the first one put it, also when the second one comes back.
    home.ask(("DELETE", "/v1/users/u2"), None, "").await;
    home.event("u2", "fresh").await;
    let as_before = |got: &Value| got["items"] == alone;
    assert!(
        within_a_second(&home, "/v1/similar/fresh?n=5", as_before).await
            || within_a_second(&home, "/v1/similar/fresh?n=5", as_before).await
    );
}
