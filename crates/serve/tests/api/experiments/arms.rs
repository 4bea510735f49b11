//! Who comes to which arm, and what the arm answers with.

use serde_json::{Value, json};
use tastemaker_serve::Settings;
use tastemaker_serve::store::Scope;

use super::scene::{again, ask, begin, two_models};
use crate::home::{Home, ids};

#[tokio::test]
async fn everybody_stays_in_their_arm_which_answers_with_its_model() {
    let home = Home::with(two_models).await;
    let before = ask(&home, "u1").await;
    assert_eq!(before.get("experiment"), None);
    begin(&home, "which-model", json!({ "share": 50 })).await;
    let mut arms = std::collections::BTreeMap::<String, usize>::new();
    let mut all = Vec::new();
    for user in 0..200 {
        let user = format!("u{user}");
        let got = ask(&home, &user).await;
        let arm = got["arm"].as_str().unwrap_or("none").to_owned();
        let model = if arm == "variant" { "two@7" } else { "one@7" };
        assert_eq!(got["model"], model, "{got}");
        assert_eq!(got.get("experiment").is_some(), arm != "none");
        assert_eq!(ask(&home, &user).await["arm"], got["arm"]);
        *arms.entry(arm).or_default() += 1;
        all.push((user, got));
    }
    // A half takes part, and half of those are in each arm.
    assert!(arms["none"].abs_diff(100) < 25 && arms["variant"].abs_diff(50) < 20, "{arms:?}");
    let home = again(home, None).await;
    for (user, before) in all.iter().take(40) {
        let now = ask(&home, user).await;
        let key = |got: &Value| (got["arm"].clone(), got["model"].clone(), ids(&got["items"]));
        assert_eq!(key(&now), key(before), "after a restart: {user}");
    }
    // A client of Gorse is drawn, too; who chooses by hand or is nobody is not.
    let (user, _) = all.iter().find(|(_, got)| got["arm"] == "variant").unwrap();
    let variant = ids(&ask(&home, user).await["items"]);
    assert_eq!(home.get(&format!("/api/recommend/{user}?n=5")).await.body, json!(variant));
    for asked in [
        json!({ "user_id": user, "model": "serving" }),
        json!({ "history": ["i1"], "user_id": user }),
        json!({ "words": "something" }),
        json!({}),
    ] {
        let got = home.post("/v1/recommend", asked.clone()).await;
        assert_eq!((got.status, got.body.get("arm")), (200, None), "{asked}");
        assert_eq!(got.body["model"], "one@7");
    }
}

#[tokio::test]
async fn an_arm_may_have_a_pipeline_and_its_lists_are_explained_and_never_mixed() {
    let home = Home::with(two_models).await;
    let pipeline = json!({ "filter": "year >= 2000" });
    let arms = json!([{ "name": "control" }, { "name": "new", "policy": { "pipeline": pipeline, "context": { "page": "start" } } }]);
    begin(&home, "only-new", json!({ "arms": arms })).await;
    let mut tried = 0..;
    let (user, got) = loop {
        let user = format!("somebody-{}", tried.next().unwrap());
        let got = ask(&home, &user).await;
        if got["arm"] == "new" {
            break (user, got);
        }
    };
    let list = ids(&got["items"]);
    for id in &list {
        let year = home.get(&format!("/v1/items/{id}")).await.body["fields"]["year"].clone();
        assert!(year.as_str().unwrap().parse::<f64>().unwrap() >= 2000.0, "{id}: {year}");
    }
    home.store.flush().await.unwrap();
    let explain = format!("/v1/explain/{}", got["recommendation_id"].as_str().unwrap());
    let explained = home.get(&explain).await.body;
    assert_eq!(explained["replay"]["same"], true, "{explained}");
    assert_eq!(explained["experiment"], json!(["only-new", "new"]));
    assert_eq!(explained["request"]["context"]["page"], "start");
    let by_hand = json!({ "user_id": user, "n": 5, "model": "serving" });
    let plain = ids(&home.post("/v1/recommend", by_hand).await.body["items"]);
    assert_ne!(plain, list);
    assert_eq!(ids(&ask(&home, &user).await["items"]), list);
    let stopped = home.post("/v1/experiments/only-new/stop", json!(null)).await;
    assert_eq!(stopped.status, 200, "{}", stopped.body);
    let after = ask(&home, &user).await;
    assert_eq!((ids(&after["items"]), after.get("arm")), (plain, None));
    // What was shown then can be explained now.
    assert_eq!(home.get(&explain).await.body["replay"]["same"], true);
    // The same arms under another name draw users anew.
    begin(&home, "again", json!({})).await;
    assert_eq!(ask(&home, &user).await["experiment"], "again");
}

#[tokio::test]
async fn items_that_are_new_reach_all_arms() {
    let home = Home::with(|dir| {
        let settings = two_models(dir);
        crate::home::trained(dir, "models/default/three", ("text-knn", 7));
        settings
    })
    .await;
    let text = home.get("/v1/items/i3").await.body["fields"].clone();
    let put = async |id: &str| {
        let body = json!({ "fields": text });
        home.ask(("PUT", &format!("/v1/items/{id}")), Some(body), "").await
    };
    put("new-before").await;
    let arms = json!([{ "name": "a" }, { "name": "b", "policy": { "model": "three" } }]);
    begin(&home, "newcomers", json!({ "arms": arms })).await;
    put("new-after").await;
    let mut tried = 0..;
    let user = loop {
        let user = format!("u{}", tried.next().unwrap());
        if ask(&home, &user).await["arm"] == "b" {
            break user;
        }
    };
    let mut is_known = false;
    for _ in 0..200 {
        let asked = json!({ "user_id": user, "n": 1000 });
        let all = ids(&home.post("/v1/recommend", asked).await.body["items"]);
        is_known = ["new-before", "new-after"].iter().all(|new| all.iter().any(|id| id == new));
        if is_known {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(is_known, "the model of the arm knows no new items");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let home = Home::with(two_models).await;
    let post = async |body: Value| {
        let got = home.post("/v1/experiments", body).await;
        let slug = got.body["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        (got.status, slug)
    };
    let with = |policy: Value| json!({ "name": "x", "arms": [{ "name": "a", "policy": policy }] });
    for (policy, status, slug) in [
        (json!({ "model": "three" }), 404, "not-found"),
        (json!({ "model": "../default/two" }), 404, "not-found"),
        (json!({ "model": "previous" }), 409, "no-model"),
        (json!({ "pipeline": { "explore": 7 } }), 422, "bad-filter"),
        (json!({ "pipeline": { "sources": [{ "from": "sasrec" }] } }), 422, "bad-filter"),
        (json!({ "pipeline": { "filter": "nothing ==" } }), 422, "bad-filter"),
        (json!({ "pipeline": { "unknown": 1 } }), 400, "bad-body"),
        (json!({ "context": { "a": 1 } }), 400, "bad-body"),
    ] {
        assert_eq!(post(with(policy.clone())).await, (status, slug.to_owned()), "{policy}");
    }
    assert_eq!(home.get("/v1/experiments").await.body, json!({ "experiments": [] }));
    assert_eq!(home.get("/v1/experiments/x").await.status, 404);
    assert_eq!(home.post("/v1/experiments/x/stop", json!(null)).await.status, 404);
    begin(&home, "first", json!({})).await;
    assert_eq!(post(with(json!({}))).await, (409, "experiment-runs".into()));
    assert_eq!(home.post("/v1/experiments/first/stop", json!(null)).await.status, 200);
    assert_eq!(home.post("/v1/experiments/first/stop", json!(null)).await.status, 409);
    let first = json!({ "name": "first", "arms": [{ "name": "a" }] });
    assert_eq!(post(first).await, (409, "experiment-known".into()));
    // `previous` is the one that it was at the beginning.
    home.post("/v1/models/promote", json!({ "name": "two" })).await;
    let arms = json!([{ "name": "a" }, { "name": "b", "policy": { "model": "previous" } }]);
    let begun = begin(&home, "second", json!({ "arms": arms })).await;
    assert_eq!(begun["arms"][1]["policy"]["model"], "one");
    let listed = home.get("/v1/experiments").await.body;
    let name = |place: usize| listed["experiments"][place]["name"].clone();
    assert_eq!((name(0), name(1)), (json!("second"), json!("first")));
    assert_eq!(listed["experiments"][0]["is_running"], true);
}

#[tokio::test]
async fn keys_that_read_may_look_and_no_more_and_tenants_know_nothing_of_each_other() {
    let home = Home::with(|_| Settings::default()).await;
    home.store
        .change(tastemaker_serve::store::Change::Begin(tastemaker_serve::store::Experiment {
            tenant: "a".into(),
            name: "mine".into(),
            definition: json!({ "name": "mine", "arms": [{ "name": "x" }] }).to_string(),
            started: 1,
            ended: 0,
            results: String::new(),
        }))
        .await
        .unwrap();
    let read = home.key("a", Scope::Read).await.secret;
    let other = home.key("b", Scope::Admin).await.secret;
    let body = json!({ "name": "x", "arms": [{ "name": "a" }] });
    for (path, body) in [
        ("/v1/experiments", body),
        ("/v1/experiments/mine/stop", json!(null)),
        ("/v1/off-policy", json!({})),
    ] {
        assert_eq!(home.ask(("POST", path), Some(body), &read).await.status, 403, "{path}");
    }
    assert_eq!(home.ask(("GET", "/v1/experiments/mine"), None, &read).await.status, 200);
    assert_eq!(home.ask(("GET", "/v1/experiments/mine"), None, &other).await.status, 404);
    assert_eq!(home.ask(("POST", "/v1/experiments/mine/stop"), None, &other).await.status, 404);
    let list = home.ask(("GET", "/v1/experiments"), None, &other).await.body;
    assert_eq!(list, json!({ "experiments": [] }));
}
