//! What counts, and what the numbers say.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use tastemaker_engine::core::SystemClock;
use tastemaker_serve::store::{Change, Event, Repeat, Shown};

use super::scene::{again, ask, begin, two_models};
use crate::home::{Home, Set};

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;

/// Finds a user of each arm, with the list they were shown.
async fn one_of_each(home: &Home, skip: usize) -> [(String, Value); 2] {
    let (mut found, mut users) = ([None, None], 0..);
    loop {
        let user = format!("person-{skip}-{}", users.next().unwrap());
        let got = ask(home, &user).await;
        let place = usize::from(got["arm"] == "variant");
        found[place].get_or_insert((user, got));
        if let [Some(control), Some(variant)] = &found {
            return [control.clone(), variant.clone()];
        }
    }
}

async fn tell(home: &Home, (user, list): &(String, Value), (kind, time): (&str, i64)) {
    let event = json!({
        "user_id": user, "item_id": list["items"][0]["item_id"], "event_type": kind, "timestamp": time,
        "recommendation_id": list["recommendation_id"],
    });
    assert_eq!(home.post("/v1/events", event).await.status, 200);
}

async fn results(home: &Home, name: &str) -> Value {
    home.store.flush().await.unwrap();
    let got = home.get(&format!("/v1/experiments/{name}")).await;
    assert_eq!(got.status, 200, "{}", got.body);
    got.body["results"].clone()
}

#[tokio::test]
async fn an_event_counts_by_its_list_and_its_user_within_the_window() {
    let clock = Arc::new(Set(SystemClock::default(), AtomicI64::new(NOW)));
    let home = again(Home::with(two_models).await, Some(clock.clone())).await;
    begin(&home, "counts", json!({ "window_hours": 1, "success": ["buy"] })).await;
    let [control, variant] = one_of_each(&home, 0).await;
    tell(&home, &control, ("buy", NOW + 10)).await;
    tell(&home, &control, ("impression", NOW + 5)).await;
    tell(&home, &control, ("click", NOW + 10)).await;
    tell(&home, &variant, ("buy", NOW + HOUR + 1)).await;
    // Somebody else names the list of this one.
    tell(&home, &(control.0.clone(), variant.1.clone()), ("buy", NOW + 20)).await;
    let figures = |results: &Value, arm: usize| {
        let arm = &results["arms"][arm];
        let of = |name: &str| arm[name].as_u64().unwrap();
        (of("impressions"), of("successes"), of("finished"), of("takers"))
    };
    let early = results(&home, "counts").await;
    assert_eq!(figures(&early, 0), (0, 0, 0, 0), "nothing of it has happened yet: {early}");
    clock.1.store(NOW + HOUR - 1, Ordering::SeqCst);
    assert_eq!(figures(&results(&home, "counts").await, 0), (1, 1, 0, 0), "its window is open");
    clock.1.store(NOW + 2 * HOUR, Ordering::SeqCst);
    // These come later, and their windows are open.
    let late = one_of_each(&home, 1).await;
    let done = results(&home, "counts").await;
    let control_figures = figures(&done, 0);
    assert_eq!((control_figures.0, control_figures.1, control_figures.3), (1, 1, 1), "{done}");
    assert_eq!(figures(&done, 1).3, 0, "{done}");
    let users = |arm: usize| done["arms"][arm]["users"].as_u64().unwrap();
    assert!(users(0) > control_figures.2 && users(1) > figures(&done, 1).2, "{done}");
    assert_eq!(done["comparisons"][0]["verdict"], "open");
    // Who is erased was never there.
    home.ask(("DELETE", &format!("/v1/users/{}", control.0)), None, "").await;
    assert_eq!(figures(&results(&home, "counts").await, 0).1, 0);
    // What is written down at the end stays, also when the lists have gone.
    clock.1.store(NOW + 4 * HOUR, Ordering::SeqCst);
    tell(&home, &late[1], ("buy", NOW + 2 * HOUR + 1)).await;
    let stopped = home.post("/v1/experiments/counts/stop", json!(null)).await.body;
    assert_eq!(stopped["results"]["arms"][1]["takers"], 1, "{stopped}");
    home.store.change(Change::ForgetShown { before: i64::MAX }).await.unwrap();
    let kept = results(&home, "counts").await;
    assert_eq!(
        (&kept["until"], figures(&kept, 1)),
        (&stopped["results"]["until"], figures(&stopped["results"], 1))
    );
}

/// Writes down that so many users of an arm were shown a list, and that some took something.
async fn shown(home: &Home, arm: &str, (users, takers): (usize, usize)) {
    let list = |n: usize| Shown {
        tenant: "default".into(),
        id: format!("{arm}-{n}"),
        time: 1000,
        user: format!("{arm}-{n}"),
        model: "m".into(),
        request: "{}".into(),
        list: "[]".into(),
        experiment: "sizes".into(),
        arm: arm.into(),
        chances: String::new(),
    };
    let event = |n: usize| Event {
        id: format!("{arm}-{n}"),
        user: format!("{arm}-{n}"),
        item: "i1".into(),
        kind: "click".into(),
        value: 1.0,
        time: 2000,
        recommendation: format!("{arm}-{n}"),
        comment: String::new(),
        detail: "{}".into(),
    };
    home.store.change(Change::Shown((0..users).map(list).collect())).await.unwrap();
    let (tenant, events) = ("default".into(), (0..takers).map(event).collect());
    home.store.change(Change::Events { tenant, events, repeat: Repeat::Keep }).await.unwrap();
}

#[tokio::test]
async fn a_difference_is_told_and_so_are_arms_that_lose_users() {
    let home = Home::with(two_models).await;
    let arm = |name: &str| json!({ "name": name });
    let arms = json!([arm("a"), arm("b"), arm("c")]);
    begin(&home, "sizes", json!({ "arms": arms, "planned_users": 1000 })).await;
    shown(&home, "a", (400, 40)).await;
    shown(&home, "b", (400, 100)).await;
    shown(&home, "c", (410, 41)).await;
    let got = results(&home, "sizes").await;
    assert_eq!(
        (&got["arms"][0]["rate"]["mean"], &got["arms"][1]["rate"]["mean"]),
        (&json!(0.1), &json!(0.25))
    );
    let verdict = |got: &Value, place: usize| got["comparisons"][place]["verdict"].clone();
    assert_eq!((verdict(&got, 0), verdict(&got, 1)), (json!("higher"), json!("open")), "{got}");
    let first = &got["comparisons"][0];
    let number = |name: &str| first["contrast"][name].as_f64().unwrap();
    assert!((number("difference") - 0.15).abs() < 1e-9 && (number("lift") - 1.5).abs() < 1e-9);
    assert!(0.0 < number("low") && number("low") < number("fixed_low"));
    // Holm takes the smaller of two p twice.
    assert!((first["p"].as_f64().unwrap() - 2.0 * number("p")).abs() < 1e-12);
    assert_eq!(got["assignment"]["is_suspicious"], false);
    shown(&home, "c", (700, 41)).await;
    let got = results(&home, "sizes").await;
    assert_eq!(got["assignment"]["is_suspicious"], true, "{got}");
}
