//! Lists, and how events change them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::json;
use tastemaker_engine::core::{Clock, SystemClock};
use tastemaker_serve::store::IMPRESSION;
use tastemaker_serve::{App, Settings, router};

use crate::home::{Home, ids};

#[tokio::test]
async fn an_event_changes_the_next_answer_of_known_and_of_new_users() {
    let home = Home::new().await;
    for user in ["u7", "somebody-new"] {
        let before = home.list(user, 10).await;
        assert_eq!(before.len(), 10);
        let taken = home.event(user, &before[0]).await;
        assert_eq!((taken.status, &taken.body["accepted"]), (200, &json!(1)), "{}", taken.body);
        let after = home.list(user, 10).await;
        assert!(!after.contains(&before[0]), "what was taken is not listed again");
        assert_ne!(before[1..], after[..9], "what was taken speaks for others");
    }
}

#[tokio::test]
async fn the_same_event_counts_once_and_an_impression_is_no_part_of_a_history() {
    let home = Home::new().await;
    let before = home.list("u1", 5).await;
    let shown =
        json!({ "user_id": "u1", "item_id": before[0], "event_type": IMPRESSION, "event_id": "e" });
    let events = json!({ "events": [shown, shown] });
    let got = home.post("/v1/events", events).await;
    assert_eq!((&got.body["accepted"], &got.body["repeated"]), (&json!(1), &json!(1)));
    assert_eq!(home.list("u1", 5).await, before);
    let page = home.get("/v1/events?user_id=u1").await.body;
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn sessions_words_filters_and_exclusions_are_answered() {
    let home = Home::new().await;
    let session = home
        .post("/v1/recommend", json!({ "history": ["i0", "i4", "nobody-knows"], "n": 5 }))
        .await;
    assert_eq!(session.body["items"].as_array().unwrap().len(), 5, "{}", session.body);
    assert!(!ids(&session.body["items"]).contains(&"i0".to_owned()));
    let text = home.get("/v1/items/i3").await.body["fields"]["text"].clone();
    let words = home.post("/v1/recommend", json!({ "words": text, "n": 40 })).await;
    assert_eq!(words.body["source"], "words", "{}", words.body);
    let place = ids(&words.body["items"]).iter().position(|id| id == "i3").unwrap();
    let score = |place: usize| words.body["items"][place]["score"].as_f64().unwrap();
    assert!((score(place) - score(0)).abs() < 1e-5, "nothing is more like a text than itself");
    let excluded = home
        .post("/v1/recommend", json!({ "user_id": "u1", "exclude": ["i1", "x"], "n": 1000 }))
        .await;
    assert!(!ids(&excluded.body["items"]).contains(&"i1".to_owned()));
    let filter = json!({ "user_id": "somebody", "filter": "year >= 2000", "n": 1000 });
    let filtered = home.post("/v1/recommend", filter).await;
    let mut years = Vec::new();
    for id in ids(&filtered.body["items"]) {
        let year = home.get(&format!("/v1/items/{id}")).await.body["fields"]["year"].clone();
        years.push(year.as_str().unwrap().parse::<f64>().unwrap());
    }
    assert!(
        !years.is_empty() && years.len() < 40 && years.iter().all(|year| *year >= 2000.0),
        "{years:?}"
    );
    let both = json!({ "words": text, "filter": "year >= 2000", "n": 1000 });
    let mut both = ids(&home.post("/v1/recommend", both).await.body["items"]);
    let mut filtered = ids(&filtered.body["items"]);
    both.sort_unstable();
    filtered.sort_unstable();
    assert_eq!(both, filtered);
    let wrong = json!({ "words": text, "filter": "nonsense > 1" });
    assert_eq!(home.post("/v1/recommend", wrong).await.status, 422);
    let wrong = home.post("/v1/recommend", json!({ "user_id": "u1", "filter": "year >= (" })).await;
    assert_eq!(
        (wrong.status, &wrong.body["type"]),
        (422, &json!("urn:tastemaker:problem:bad-filter"))
    );
}

#[tokio::test]
async fn a_list_is_explained_later_and_comes_out_the_same() {
    let home = Home::new().await;
    home.event("u2", "i1").await;
    let got = home.get("/v1/recommend?user_id=u2&n=5").await.body;
    let id = got["recommendation_id"].as_str().unwrap().to_owned();
    home.store.flush().await.unwrap();
    let explained = home.get(&format!("/v1/explain/{id}")).await.body;
    assert_eq!(explained["replay"]["same"], true, "{explained}");
    assert!(explained["replay"]["items"][0]["reason"]["text"].is_string());
    // What happens later does not change what was.
    home.event("u2", &ids(&got["items"])[0]).await;
    let explained = home.get(&format!("/v1/explain/{id}")).await.body;
    assert_eq!(explained["replay"]["same"], true, "{explained}");
    assert_eq!(home.get("/v1/explain/unknown").await.status, 404);
}

#[tokio::test]
async fn who_was_erased_is_a_newcomer_and_is_told_what_remains() {
    let home = Home::new().await;
    let newcomer = home.list("never-seen", 10).await;
    home.event("u3", "i2").await;
    let got = home.ask(("DELETE", "/v1/users/u3"), None, "").await;
    assert_eq!(got.body["rows_removed"], 1);
    assert!(got.body["remains"].as_str().unwrap().contains("model@7"), "{}", got.body);
    assert_eq!(home.list("u3", 10).await, newcomer);
    assert_eq!(home.get("/v1/users/u3").await.status, 404);
    let nobody = home.ask(("DELETE", "/v1/users/nobody"), None, "").await.body;
    assert!(nobody["remains"].as_str().unwrap().starts_with("nothing"));
}

/// A clock that is set by hand; what measures spans goes on.
struct Set(SystemClock, AtomicI64);

impl Clock for Set {
    fn seconds(&self) -> f64 {
        self.0.seconds()
    }

    fn unix_seconds(&self) -> i64 {
        self.1.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_makes_no_event_unseen_and_no_list_another() {
    let first = Home::new().await;
    let clock = Arc::new(Set(SystemClock::default(), AtomicI64::new(1_800_000_000)));
    let settings =
        Settings { model: Some(first.dir.path().join("model")), open: true, ..Settings::default() };
    let places = crate::home::places(first.dir.path());
    let app = App::open_at(first.store.clone(), settings, places, clock.clone()).await.unwrap();
    let home = Home { router: router(app), ..first };
    let mut lists = Vec::new();
    for back in [0, 3600, 86_400, 40 * 86_400] {
        clock.1.store(1_800_000_000 - back, Ordering::SeqCst);
        let top = home.list("u2", 1).await.remove(0);
        assert_eq!(home.event("u2", &top).await.body["accepted"], 1);
        let got = home.get("/v1/recommend?user_id=u2").await.body;
        assert!(!ids(&got["items"]).contains(&top), "{top} in {got}");
        lists.push(got["recommendation_id"].as_str().unwrap().to_owned());
    }
    home.store.flush().await.unwrap();
    let mut unlike = lists.clone();
    unlike.sort_unstable();
    unlike.dedup();
    assert_eq!(unlike.len(), lists.len());
    // The last one looked at all events, whatever times they bear.
    let last = home.get(&format!("/v1/explain/{}", lists[3])).await.body;
    assert_eq!(last["replay"]["same"], true, "{last}");
    assert_eq!(home.get("/v1/events?user_id=u2").await.body["events"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn without_a_model_popular_and_new_items_are_listed() {
    let home = Home::empty().await;
    assert!(home.list("u", 5).await.is_empty());
    for (item, time) in [("old", 1), ("new", 2), ("liked", 0)] {
        let body = json!({ "fields": { "title": item }, "timestamp": time });
        home.ask(("PUT", &format!("/v1/items/{item}")), Some(body), "").await;
    }
    home.event("a", "liked").await;
    assert_eq!(home.list("u", 5).await, ["liked", "new", "old"]);
    assert_eq!(home.list("a", 5).await, ["new", "old"]);
    assert_eq!(home.get("/v1/similar/old").await.status, 409);
}

#[tokio::test]
async fn texts_become_vectors_and_documents_an_order() {
    let home = Home::new().await;
    let models = home.get("/v1/models").await.body;
    let encoder =
        models["data"].as_array().unwrap().iter().find(|one| one["role"] == "encoder").unwrap();
    let text = home.get("/v1/items/i3").await.body["fields"]["text"].clone();
    let ask = |more: serde_json::Value| {
        let mut body = json!({ "model": encoder["id"], "input": [text, "x"] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let plain = home.post("/v1/embeddings", ask(json!({}))).await.body;
    let dim = plain["data"][0]["embedding"].as_array().unwrap().len();
    assert_eq!(plain["data"].as_array().unwrap().len(), 2);
    let coded = home.post("/v1/embeddings", ask(json!({ "encoding_format": "base64" }))).await.body;
    assert_eq!(coded["data"][0]["embedding"].as_str().unwrap().len(), (dim * 4).div_ceil(3) * 4);
    let short = home.post("/v1/embeddings", ask(json!({ "dimensions": 3 }))).await.body;
    assert_eq!(short["data"][0]["embedding"].as_array().unwrap().len(), 3);
    assert_eq!(
        home.post("/v1/embeddings", json!({ "model": "other", "input": "x" })).await.status,
        404
    );
    let other = home.get("/v1/items/i4").await.body["fields"]["text"].clone();
    let body = json!({ "query": text, "documents": [other, { "text": text }], "top_n": 1 });
    let ranked = home.post("/v1/rerank", body).await.body;
    assert_eq!(ranked["results"].as_array().unwrap().len(), 1);
    assert_eq!(ranked["results"][0]["index"], 1, "{ranked}");
}
