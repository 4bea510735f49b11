//! Two models, and a server that draws users between them.

use std::sync::Arc;

use serde_json::{Value, json};
use tastemaker_serve::{App, Settings, router};

use crate::home::{Home, Set, places, trained};

/// Makes two models of the same data; the first answers.
pub(crate) fn two_models(dir: &std::path::Path) -> Settings {
    let one = trained(dir, "models/default/one", ("fused", 7));
    trained(dir, "models/default/two", ("popularity", 7));
    std::fs::write(one.parent().unwrap().join("active"), "one").unwrap();
    Settings { models: Some(dir.join("models")), open: true, ..Settings::default() }
}

/// Serves the same once more, as after a restart, by a clock.
pub(crate) async fn again(home: Home, clock: Option<Arc<Set>>) -> Home {
    let models = Some(home.dir.path().join("models"));
    let settings = Settings { models, open: true, ..Settings::default() };
    let places = places(home.dir.path());
    let store = home.store.clone();
    let app = match clock {
        Some(clock) => App::open_at(store, settings, places, clock).await.unwrap(),
        None => App::open(store, settings, places).await.unwrap(),
    };
    Home { router: router(app), ..home }
}

/// Begins an experiment with the models of both arms.
pub(crate) async fn begin(home: &Home, name: &str, more: Value) -> Value {
    let mut body = json!({
        "name": name,
        "arms": [{ "name": "control" }, { "name": "variant", "policy": { "model": "two" } }],
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let got = home.post("/v1/experiments", body).await;
    assert_eq!(got.status, 200, "{}", got.body);
    got.body
}

/// Asks for a user's list.
pub(crate) async fn ask(home: &Home, user: &str) -> Value {
    let got = home.post("/v1/recommend", json!({ "user_id": user, "n": 5 })).await;
    assert_eq!(got.status, 200, "{}", got.body);
    got.body
}
