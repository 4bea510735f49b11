//! Models that come and go while the server runs.

use std::time::Duration;

use serde_json::json;
use tastemaker_serve::store::Store;
use tastemaker_serve::{App, Settings, router};

use crate::home::{Home, trained};

#[tokio::test]
async fn a_model_is_promoted_and_rolled_back_and_a_corrupt_one_changes_nothing() {
    let home = Home::with(|dir| {
        trained(dir, "models/default/good", ("fused", 8));
        let bad = trained(dir, "models/default/bad", ("popularity", 9));
        let file = bad.join("popularity.safetensors");
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let model = Some(trained(dir, "model", ("fused", 7)));
        Settings { model, models: Some(dir.join("models")), open: true, ..Settings::default() }
    })
    .await;
    let serving = async || home.get("/v1/models").await.body["data"][0]["id"].clone();
    assert_eq!(serving().await, "model@7");
    assert_eq!(home.get("/v1/models").await.body["available"], json!(["bad", "good"]));
    let before = home.list("u1", 10).await;
    let promote = async |name: &str| home.post("/v1/models/promote", json!({ "name": name })).await;
    let refused = promote("bad").await;
    assert_eq!(
        (refused.status, &refused.body["type"]),
        (422, &json!("urn:tastemaker:problem:bad-model"))
    );
    for name in ["../model", "..", "", "missing", "good/../good", "/etc"] {
        assert_eq!(promote(name).await.status, 404, "{name}");
    }
    assert_eq!((serving().await, home.list("u1", 10).await), (json!("model@7"), before.clone()));
    assert_eq!(home.post("/v1/models/rollback", json!({})).await.status, 409);
    assert_eq!(promote("good").await.status, 200);
    assert_eq!(serving().await, "good@8");
    assert_eq!(promote("good").await.status, 200, "again");
    let active = home.dir.path().join("models/default/active");
    assert_eq!(std::fs::read_to_string(&active).unwrap(), "good");
    assert_eq!(home.post("/v1/models/rollback", json!({})).await.status, 200);
    assert_eq!((serving().await, home.list("u1", 10).await), (json!("model@7"), before));
    assert_eq!(std::fs::read_to_string(&active).unwrap(), "");
}

#[tokio::test]
async fn what_one_server_promotes_answers_on_all_that_share_a_database() {
    let folder = |dir: &std::path::Path| {
        trained(dir, "models/default/one", ("item-knn", 7));
        trained(dir, "models/default/two", ("item-knn", 8));
        std::fs::write(dir.join("models/default/active"), "one").unwrap();
        Settings { models: Some(dir.join("models")), open: true, ..Settings::default() }
    };
    let first = Home::with(folder).await;
    let dir = tempfile::tempdir().unwrap();
    let open = async || {
        let settings =
            Settings { models: Some(dir.path().join("models")), open: true, ..Settings::default() };
        let places = crate::home::places(dir.path());
        App::open(first.store.clone(), settings, places).await.unwrap()
    };
    folder(dir.path());
    let other = Home {
        router: router(open().await),
        store: first.store.clone(),
        address: first.address.clone(),
        dir: tempfile::tempdir().unwrap(),
    };
    let serving = async |home: &Home| home.get("/v1/models").await.body["data"][0]["id"].clone();
    // A file is one server's own.
    let expected = if first.store.is_shared() { json!("two@8") } else { json!("one@7") };
    assert_eq!(first.post("/v1/models/promote", json!({ "name": "two" })).await.status, 200);
    for _ in 0..150 {
        if serving(&other).await == "two@8" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(serving(&other).await, expected);
    // One that starts later comes to it, too.
    let folder = dir.path().join("models/default");
    let older = std::time::UNIX_EPOCH + Duration::from_secs(60);
    let active = |name: &str| {
        std::fs::write(folder.join("active"), name).unwrap();
        std::fs::File::options().append(true).open(folder.join("active")).unwrap()
    };
    active("one").set_modified(older).unwrap();
    let later = Home { router: router(open().await), ..other };
    assert_eq!(serving(&later).await, expected);
    // What was promoted here since then counts more, as when the others could not be told.
    drop(active("one"));
    let newer = Home { router: router(open().await), ..later };
    assert_eq!(serving(&newer).await, "one@7");
    // One that lacks the model goes on with its own, until it is there.
    active("one").set_modified(older).unwrap();
    std::fs::rename(folder.join("two"), dir.path().join("two")).unwrap();
    let lacking = Home { router: router(open().await), ..newer };
    assert_eq!(serving(&lacking).await, "one@7");
    assert_eq!(first.post("/v1/models/promote", json!({ "name": "one" })).await.status, 200);
    assert_eq!(first.post("/v1/models/promote", json!({ "name": "two" })).await.status, 200);
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(serving(&lacking).await, "one@7");
    std::fs::rename(dir.path().join("two"), folder.join("two")).unwrap();
    for _ in 0..150 {
        if serving(&lacking).await == expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(serving(&lacking).await, expected);
}

#[tokio::test]
async fn servers_that_share_a_database_share_new_items_and_erasures() {
    let fused = |dir: &std::path::Path| Settings {
        model: Some(trained(dir, "model", ("fused", 7))),
        open: true,
        ..Settings::default()
    };
    let first = Home::with(fused).await;
    let dir = tempfile::tempdir().unwrap();
    // Another process has a store of its own over the same database.
    let store = Store::open(&first.address).await.unwrap();
    let app = App::open(store.clone(), fused(dir.path()), crate::home::places(dir.path()));
    let other =
        Home { router: router(app.await.unwrap()), store, address: first.address.clone(), dir };
    let text = other.get("/v1/items/i3").await.body["fields"]["text"].clone();
    let talk = json!({ "message": "show me 3 items", "user_id": "u2" });
    let talk = other.post("/v1/chat", talk).await.body;
    let item = json!({ "fields": { "title": "New", "text": text } });
    assert_eq!(first.ask(("PUT", "/v1/items/new"), Some(item), "").await.status, 200);
    assert_eq!(first.ask(("DELETE", "/v1/users/u2"), None, "").await.status, 200);
    let mut status = 0;
    for _ in 0..150 {
        status = other.get("/v1/similar/new").await.status;
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What others may change is read again after a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let next = json!({ "chat_id": talk["chat_id"], "message": "more" });
    let next = other.post("/v1/chat", next).await.status;
    // A file is one server's own.
    let expected = if other.store.is_shared() { (200, 404) } else { (404, 200) };
    assert_eq!((status, next), expected);
}
