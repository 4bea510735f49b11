//! The server as a process: it answers at once and ends well when it is told to; who may use it.

use std::process::Command;

use serde_json::{Value, json};

use super::server::{Server, ask, start};
use crate::home::Home;

#[test]
fn a_served_model_answers_learns_and_ends_well() {
    let home = Home::with_model("item-knn");
    let mut server = start(&home, &["--model", "model"]);
    let list = |server: &Server| {
        ask(&server.address, ("GET", "/v1/recommend?user_id=u1&n=3"), "").unwrap().1["items"]
            .clone()
    };
    let first = list(&server)[0]["item_id"].as_str().unwrap().to_owned();
    let event = json!({ "user_id": "u1", "item_id": first }).to_string();
    assert_eq!(ask(&server.address, ("POST", "/v1/events"), &event).unwrap().0, 200);
    let after = list(&server);
    assert_ne!(after[0]["item_id"], first);
    #[cfg(unix)]
    {
        let told = Command::new("kill").arg(server.child.id().to_string()).status().unwrap();
        assert!(told.success());
        assert_eq!(server.child.wait().unwrap().code(), Some(0));
        // What was learnt is known after a restart.
        server = start(&home, &["--model", "model"]);
        assert_eq!(list(&server), after);
    }
}

#[test]
fn the_model_of_the_demo_answers_where_no_other_is_named() {
    let home = Home::with_model("item-knn");
    std::fs::create_dir(home.path("demo")).unwrap();
    std::fs::rename(home.path("model"), home.path("demo/model")).unwrap();
    let source = |args: &[&str]| {
        let server = start(&home, args);
        ask(&server.address, ("GET", "/v1/recommend?user_id=u1"), "").unwrap().1["source"].clone()
    };
    assert_eq!(source(&[]), "model");
    std::fs::create_dir(home.path("models")).unwrap();
    assert_eq!(source(&["--models", "models"]), "popular");
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let home = Home::new();
    let made: Value = serde_json::from_str(
        &home.run(["keys", "create", "--scope", "write", "--format", "json"]).good(),
    )
    .unwrap();
    let (id, secret) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let listed = home.run(["keys", "list"]).good();
    assert!(
        listed.contains(id) && listed.contains("write") && !listed.contains(secret),
        "{listed}"
    );
    home.run(["keys", "revoke", id]).good();
    assert!(home.run(["keys", "list"]).good().contains("revoked"));
    let again = home.run(["keys", "revoke", id]).end();
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("there is no key"), "{}", again.err);
    assert_eq!(home.run(["keys", "create", "--tenant", "../a"]).end().code, Some(1));
}

#[test]
fn a_server_that_everybody_could_use_is_not_started_by_accident() {
    let home = Home::new();
    let refused = home.run(["serve", "--addr", "0.0.0.0:0"]).end();
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("keys create") && refused.err.contains("--open"),
        "{}",
        refused.err
    );
    let missing = home.run(["serve", "--model", "nothing"]).end();
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.contains("is not a saved model"), "{}", missing.err);
}
