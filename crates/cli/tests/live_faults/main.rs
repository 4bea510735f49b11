//! What befalls a server on a Postgres: it is killed, and the database goes away under it. Starts a Postgres of its own from Debian's
//! `postgresql`. `TASTEMAKER_TEST_ROUNDS=100 cargo test --workspace --features tastemaker-cli/live --test live_faults`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what it did not expect")]

#[path = "../black_box/long/serving/crash.rs"]
mod crash;
#[path = "../black_box/home.rs"]
#[expect(dead_code, reason = "it serves more tests than these")]
mod home;
mod postgres;
#[path = "../black_box/long/serving/server.rs"]
mod server;

use std::time::Duration;

use serde_json::json;

use home::Home;
use postgres::Postgres;
use server::ask;

#[test]
fn live_postgres_a_server_killed_under_writes_has_lost_no_acknowledged_event() {
    let postgres = Postgres::start();
    crash::killed_under_writes(&Home::new(), &["--store", &postgres.url]);
}

#[test]
fn live_postgres_one_restarted_under_load_costs_refusals_and_nothing_else() {
    let (postgres, home) = (Postgres::start(), Home::with_model("item-knn"));
    let server = server::start(&home, &["--store", &postgres.url, "--model", "model"]);
    let address = &server.address;
    let written = crash::under_writes(address, 0, || {
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(400));
            postgres.restart();
        }
        std::thread::sleep(Duration::from_millis(400));
    });
    assert!(written.acknowledged.len() > 50, "{} events", written.acknowledged.len());
    assert!(written.refused.iter().all(|status| *status == 503), "{:?}", written.refused);
    // It finds back by itself.
    let event = json!({ "event_id": "after", "user_id": "u1", "item_id": "i1" }).to_string();
    let found_back = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        ask(address, ("POST", "/v1/events"), &event).unwrap().0 == 200
    });
    assert!(found_back, "it does not find back");
    assert_eq!(ask(address, ("GET", "/v1/recommend?user_id=u1"), "").unwrap().0, 200);
    assert_eq!(ask(address, ("GET", "/health/ready"), "").unwrap().0, 200);
    crash::nothing_is_lost(address, &written.acknowledged);
}

#[test]
fn live_postgres_one_that_is_gone_refuses_writes_and_is_told_by_the_health() {
    let (postgres, home) = (Postgres::start(), Home::new());
    let server = server::start(&home, &["--store", &postgres.url]);
    let event = json!({ "user_id": "u1", "item_id": "i1" }).to_string();
    let ask = |method, path, body| ask(&server.address, (method, path), body).unwrap();
    assert_eq!(ask("POST", "/v1/events", &event).0, 200);
    drop(postgres);
    let (status, problem) = ask("POST", "/v1/events", &event);
    assert_eq!(status, 503, "{problem}");
    assert!(!problem.to_string().contains("127.0.0.1"), "{problem}");
    assert_eq!(ask("GET", "/health/ready", "").0, 503);
    assert_eq!(ask("GET", "/health/live", "").0, 200);
}
