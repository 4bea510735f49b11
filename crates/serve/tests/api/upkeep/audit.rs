//! Who changed what.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _, Executor as _};
use tastemaker_serve::Settings;
use tastemaker_serve::store::Scope;

use crate::home::{Home, trained};

fn rows(body: &Value) -> Vec<[String; 4]> {
    let text = |act: &Value, key: &str| act[key].as_str().unwrap_or_default().to_owned();
    let row = |act: &Value| ["who", "act", "subject", "outcome"].map(|key| text(act, key));
    body["acts"].as_array().unwrap().iter().map(row).collect()
}

#[tokio::test]
async fn acts_of_administrators_and_erasures_are_noted_with_who_and_what_came_of_it() {
    let home = Home::with(|dir| {
        trained(dir, "models/default/second", ("item-knn", 7));
        let model = Some(trained(dir, "models/default/first", ("item-knn", 7)));
        Settings { model, models: Some(dir.join("models")), ..Settings::default() }
    })
    .await;
    let admin = home.key("default", Scope::Admin).await;
    let write = home.key("default", Scope::Write).await;
    let other = home.key("other", Scope::Admin).await;
    let ask = async |what: (&str, &str), body: Option<Value>, key: &str| {
        home.ask(what, body, key).await.status
    };
    let promote = |name: &str| Some(json!({ "name": name }));
    let at = ("POST", "/v1/models/promote");
    assert_eq!(ask(at, promote("second"), &admin.secret).await, 200);
    assert_eq!(ask(at, promote("nothing"), &admin.secret).await, 404);
    assert_eq!(ask(at, promote("second"), &write.secret).await, 403);
    assert_eq!(ask(("POST", "/v1/models/rollback"), None, &admin.secret).await, 200);
    assert_eq!(ask(("DELETE", "/v1/users/a%2Fb"), None, &write.secret).await, 200);
    assert_eq!(ask(("DELETE", "/api/item/i1"), None, &write.secret).await, 200);
    assert_eq!(ask(("PUT", "/v1/items/i2"), Some(json!({})), &write.secret).await, 200);
    let got = home.ask(("GET", "/v1/audit"), None, &admin.secret).await;
    let (admin_id, write_id) = (admin.record.id.as_str(), write.record.id.as_str());
    let rows = rows(&got.body);
    // What a model is called after going back has the time at which it was made.
    assert!(rows[2][2].starts_with("first@"), "{rows:?}");
    let expected = [
        [write_id, "DELETE /api/item/{id}", "i1", "200"],
        [write_id, "DELETE /v1/users/{user_id}", "a/b", "200"],
        [admin_id, "POST /v1/models/rollback", rows[2][2].as_str(), "200"],
        [admin_id, "POST /v1/models/promote", "nothing", "404 not-found"],
        [admin_id, "POST /v1/models/promote", "second", "200"],
    ];
    assert_eq!(rows, expected.map(|row| row.map(str::to_owned)));
    for secret in [&admin.secret, &write.secret] {
        assert!(!got.body.to_string().contains(secret.rsplit('_').next().unwrap()));
    }
    // Page by page.
    let first = home.ask(("GET", "/v1/audit?n=3"), None, &admin.secret).await.body;
    let cursor = first["cursor"].as_str().unwrap();
    let rest = format!("/v1/audit?n=3&cursor={cursor}");
    let rest = home.ask(("GET", &rest), None, &admin.secret).await;
    assert_eq!(rest.body["acts"].as_array().unwrap().len(), 2);
    // Only who may do such things may read of them, and of their own tenant alone.
    assert_eq!(ask(("GET", "/v1/audit"), None, &write.secret).await, 403);
    let got = home.ask(("GET", "/v1/audit"), None, &other.secret).await;
    assert_eq!(got.body["acts"], json!([]));
}

#[tokio::test]
async fn who_needs_no_key_is_noted_as_that() {
    let home = Home::empty().await;
    assert_eq!(home.ask(("DELETE", "/v1/users/u1"), None, "").await.status, 200);
    let got = home.get("/v1/audit").await.body;
    assert_eq!(
        rows(&got),
        [["open", "DELETE /v1/users/{user_id}", "u1", "200"].map(str::to_owned)]
    );
}

/// Lets a request go on until it waits, and tells whether it is over.
async fn goes_on(asked: &mut (impl Future + Unpin)) -> bool {
    std::future::poll_fn(|ctx| Poll::Ready(Pin::new(&mut *asked).poll(ctx).is_ready())).await
}

#[tokio::test]
async fn an_act_whose_sender_went_away_is_noted() {
    let home = Home::empty().await;
    let mut asked = Box::pin(home.ask(("DELETE", "/v1/users/u1"), None, ""));
    // Erasing goes on when nobody waits for it any more.
    while home.store.erased_user("default", "u1").await.unwrap().is_none() {
        assert!(!goes_on(&mut asked).await, "it is over before anybody can go away");
    }
    drop(asked);
    home.store.flush().await.unwrap();
    let acts = home.store.acts("default", "", 9).await.unwrap().rows;
    assert_eq!((acts.len(), acts[0].subject.as_str()), (1, "u1"));
    // Unless it was about to be noted as done.
    assert!(["nobody waited for the answer", "200"].contains(&acts[0].outcome.as_str()));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
async fn an_answer_does_not_wait_for_a_record_that_is_not_written() {
    let timeout = Duration::from_millis(300);
    let home = Home::with(|_| Settings { open: true, timeout, ..Settings::default() }).await;
    let (url, locks) = match home.store.is_shared() {
        true => (home.address.clone(), "BEGIN; LOCK TABLE audit IN ACCESS EXCLUSIVE MODE"),
        false => (format!("sqlite://{}", home.address), "BEGIN IMMEDIATE"),
    };
    sqlx::any::install_default_drivers();
    let mut other = AnyConnection::connect(&url).await.unwrap();
    other.execute(locks).await.unwrap();
    let began = std::time::Instant::now();
    assert_eq!(home.ask(("POST", "/v1/models/rollback"), None, "").await.status, 409);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let failures = home.get("/v1/failures").await.body.to_string();
    assert!(failures.contains("not in the audit log yet: POST /v1/models/rollback"), "{failures}");
    // It is written as soon as that is possible.
    other.execute("ROLLBACK").await.unwrap();
    let mut acts = Vec::new();
    while acts.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20), "it was never written");
        tokio::time::sleep(Duration::from_millis(20)).await;
        acts = rows(&home.get("/v1/audit").await.body);
    }
    assert_eq!(acts, [["open", "POST /v1/models/rollback", "", "409 no-model"].map(str::to_owned)]);
}
