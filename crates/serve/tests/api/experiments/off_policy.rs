//! What another policy would have been worth.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use tastemaker_engine::core::SystemClock;

use super::{again, ask, begin, two_models};
use crate::answers::Set;
use crate::home::{Home, ids};

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;

#[tokio::test]
async fn lists_that_were_drawn_tell_what_other_policies_are_worth() {
    let clock = Arc::new(Set(SystemClock::default(), AtomicI64::new(NOW)));
    let home = again(Home::with(two_models).await, Some(clock.clone())).await;
    let judge = async |more: Value| home.post("/v1/off-policy", more).await;
    let nothing = judge(json!({})).await;
    assert_eq!(
        (nothing.status, &nothing.body["type"]),
        (409, &json!("urn:tastemaker:problem:undrawn"))
    );
    assert!(nothing.body["detail"].as_str().unwrap().contains("explore"), "{}", nothing.body);
    let arms = json!([{ "name": "explorer", "policy": { "pipeline": { "explore": 0.5 } } }]);
    begin(&home, "explore", json!({ "arms": arms })).await;
    let mut first = HashSet::new();
    let mut lists = Vec::new();
    for user in 0..60 {
        // Nobody knows half of them.
        let user = if user % 2 == 0 { format!("u{user}") } else { format!("new-{user}") };
        let got = ask(&home, &user).await;
        let top = ids(&got["items"])[0].clone();
        let chance = got["items"][0]["chance"].as_f64().unwrap();
        assert!(chance > 0.5 || chance < 0.03, "half by the order, half drawn: {chance}");
        let two = home.post("/v1/recommend", json!({ "user_id": user, "n": 2 })).await.body;
        assert_eq!(ids(&two["items"])[0], top, "what is drawn stays");
        if user.starts_with("new") {
            first.insert(top.clone());
        }
        if chance < 0.03 {
            let event = json!({ "user_id": user, "item_id": top, "recommendation_id": got["recommendation_id"] });
            assert_eq!(home.post("/v1/events", event).await.status, 200);
        }
        lists.push((user, top, got));
    }
    assert!(first.len() > 5, "newcomers do not share one draw: {first:?}");
    home.store.flush().await.unwrap();
    let id = lists[1].2["recommendation_id"].as_str().unwrap();
    assert_eq!(home.get(&format!("/v1/explain/{id}")).await.body["replay"]["same"], true);
    assert_eq!(judge(json!({})).await.status, 409, "their windows are open");
    clock.1.store(NOW + 2 * HOUR, Ordering::SeqCst);
    let untouched = lists.iter().filter(|(user, _, got)| {
        user.starts_with("new") && got["items"][0]["chance"].as_f64() > Some(0.5)
    });
    let mut moved = 0;
    for (user, top, _) in untouched {
        moved += usize::from(ids(&ask(&home, user).await["items"])[0] != *top);
    }
    assert!(moved > 0, "another hour, another draw");
    let own = judge(json!({ "window_hours": 1 })).await;
    assert_eq!(own.status, 200, "{}", own.body);
    let own = own.body;
    assert_eq!(
        (&own["model"], &own["skipped"], &own["users"]),
        (&json!("one@7"), &json!(0), &json!(60))
    );
    // What the policy itself would show is what nobody took.
    let drawn =
        lists.iter().filter(|(_, _, got)| got["items"][0]["chance"].as_f64() < Some(0.03)).count();
    let (agreeing, n) = (own["agreeing"].as_u64().unwrap(), own["lists"].as_u64().unwrap());
    assert!(n >= 120 && agreeing > 40, "{own}");
    assert!(own["logged"]["mean"].as_f64().unwrap() > 0.0 && drawn > 10, "{own}");
    assert!(
        own["snips"]["mean"].as_f64().unwrap() < own["logged"]["mean"].as_f64().unwrap(),
        "{own}"
    );
    let other =
        judge(json!({ "window_hours": 1, "policy": { "model": "two" }, "lists": 50, "clip": 5 }))
            .await
            .body;
    assert_eq!((&other["model"], &other["lists"]), (&json!("two@7"), &json!(50)), "{other}");
    for wrong in [
        json!({ "days": 0 }),
        json!({ "lists": 0 }),
        json!({ "clip": 0.5 }),
        json!({ "window_hours": -1 }),
        json!({ "success": ["impression"] }),
        json!({ "policy": { "pipeline": { "preset": "fast" } } }),
    ] {
        assert_eq!(judge(wrong.clone()).await.status, 400, "{wrong}");
    }
    assert_eq!(
        judge(json!({ "window_hours": 1, "policy": { "model": "none" } })).await.status,
        404
    );
    assert_eq!(
        judge(json!({ "window_hours": 1, "policy": { "model": "previous" } })).await.status,
        409
    );
}
