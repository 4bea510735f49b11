//! What another policy would have been worth.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use tastemaker_engine::core::SystemClock;

use super::scene::{again, ask, begin, two_models};
use crate::home::{Got, Home, Set, ids};

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;
/// An item that was drawn has a chance of a half over some dozen.
const DRAWN: f64 = 0.03;

/// A list that was shown.
struct Shown {
    user: String,
    first: String,
    chance: f64,
    id: String,
}

/// Serves by a clock, with one arm whose lists explore.
async fn exploring() -> (Home, Arc<Set>) {
    let clock = Arc::new(Set(SystemClock::default(), AtomicI64::new(NOW)));
    let home = again(Home::with(two_models).await, Some(clock.clone())).await;
    let nothing = judge(&home, json!({})).await;
    assert_eq!(nothing.body["type"], "urn:tastemaker:problem:undrawn");
    assert!(nothing.body["detail"].as_str().unwrap().contains("explore"), "{}", nothing.body);
    let arms = json!([{ "name": "explorer", "policy": { "pipeline": { "explore": 0.5 } } }]);
    begin(&home, "explore", json!({ "arms": arms })).await;
    (home, clock)
}

async fn judge(home: &Home, body: Value) -> Got {
    home.post("/v1/off-policy", body).await
}

/// Shows lists to sixty users, half of whom nobody knows.
async fn shown(home: &Home) -> Vec<Shown> {
    let mut lists = Vec::new();
    for user in 0..60 {
        let user = if user % 2 == 0 { format!("u{user}") } else { format!("new-{user}") };
        let got = ask(home, &user).await;
        let (first, chance) = (ids(&got["items"])[0].clone(), &got["items"][0]["chance"]);
        let id = got["recommendation_id"].as_str().unwrap().to_owned();
        lists.push(Shown { user, first, chance: chance.as_f64().unwrap(), id });
    }
    lists
}

#[tokio::test]
async fn what_is_drawn_stays_for_an_hour_and_differs_between_users() {
    let (home, clock) = exploring().await;
    let lists = shown(&home).await;
    for list in &lists {
        let is_drawn = list.chance < DRAWN;
        assert!(is_drawn || list.chance > 0.5, "half by the order, half drawn: {}", list.chance);
        let asked = json!({ "user_id": list.user, "n": 2 });
        let shorter = home.post("/v1/recommend", asked).await.body;
        assert_eq!(ids(&shorter["items"])[0], list.first);
    }
    let newcomers: Vec<&Shown> = lists.iter().filter(|list| list.user.starts_with("new")).collect();
    let first: HashSet<&str> = newcomers.iter().map(|list| list.first.as_str()).collect();
    assert!(first.len() > 5, "newcomers do not share one draw: {first:?}");
    home.store.flush().await.unwrap();
    let explained = home.get(&format!("/v1/explain/{}", newcomers[0].id)).await.body;
    assert_eq!(explained["replay"]["same"], true, "{explained}");
    clock.1.store(NOW + HOUR, Ordering::SeqCst);
    let mut moved = 0;
    for list in newcomers {
        moved += usize::from(ids(&ask(&home, &list.user).await["items"])[0] != list.first);
    }
    assert!(moved > 5, "another hour, another draw: {moved}");
    let explained = home.get(&format!("/v1/explain/{}", lists[1].id)).await.body;
    assert_eq!(explained["replay"]["same"], true, "{explained}");
}

#[tokio::test]
async fn lists_that_were_drawn_tell_what_other_policies_are_worth() {
    let (home, clock) = exploring().await;
    let lists = shown(&home).await;
    // Whatever was drawn is taken, and nothing else.
    for list in lists.iter().filter(|list| list.chance < DRAWN) {
        let event =
            json!({ "user_id": list.user, "item_id": list.first, "recommendation_id": list.id });
        assert_eq!(home.post("/v1/events", event).await.status, 200);
    }
    home.store.flush().await.unwrap();
    assert_eq!(judge(&home, json!({})).await.status, 409, "their windows are open");
    clock.1.store(NOW + 2 * HOUR, Ordering::SeqCst);
    let own = judge(&home, json!({ "window_hours": 1 })).await;
    assert_eq!(own.status, 200, "{}", own.body);
    let own = own.body;
    let count = |name: &str| own[name].as_u64().unwrap() as usize;
    assert_eq!((count("lists"), count("users"), count("skipped")), (60, 60, 0));
    let drawn = lists.iter().filter(|list| list.chance < DRAWN).count();
    assert_eq!((&own["model"], count("agreeing")), (&json!("one@7"), 60 - drawn), "{own}");
    let mean = |name: &str| own[name]["mean"].as_f64().unwrap();
    assert!((mean("logged") - drawn as f64 / 60.0).abs() < 1e-9, "{own}");
    // Nobody took what the policy shows.
    assert!(mean("ips").abs() < 1e-9 && mean("snips").abs() < 1e-9, "{own}");
    let asked = json!({ "window_hours": 1, "policy": { "model": "two" }, "lists": 50, "clip": 5 });
    let other = judge(&home, asked).await.body;
    assert_eq!((&other["model"], &other["lists"]), (&json!("two@7"), &json!(50)), "{other}");
}

#[tokio::test]
async fn what_cannot_be_judged_is_refused() {
    let (home, clock) = exploring().await;
    ask(&home, "u1").await;
    home.store.flush().await.unwrap();
    clock.1.store(NOW + 2 * HOUR, Ordering::SeqCst);
    for wrong in [
        json!({ "days": 0 }),
        json!({ "lists": 0 }),
        json!({ "clip": 0.5 }),
        json!({ "window_hours": -1 }),
        json!({ "success": ["impression"] }),
        json!({ "policy": { "pipeline": { "preset": "fast" } } }),
    ] {
        assert_eq!(judge(&home, wrong.clone()).await.status, 400, "{wrong}");
    }
    for (model, status) in [("none", 404), ("previous", 409), ("two", 200)] {
        let asked = json!({ "window_hours": 1, "policy": { "model": model } });
        assert_eq!(judge(&home, asked).await.status, status, "{model}");
    }
}
