//! A long fit that is ended from outside can be gone on with.

use std::process::Stdio;

use serde_json::Value;

use crate::home::{Call, Home, NO_SEARCH, SMALL};

/// Trains for so long that there is time to end it.
fn train<'a>(home: &'a Home, out: &str) -> Call<'a> {
    home.run(["train", "--data", "data", "--model", "sasrec", "--out", out])
        .args(SMALL)
        .args(NO_SEARCH)
        .args(["--set", "models.sasrec.epochs=120", "--set", "models.sasrec.dim=32"])
}

fn files(home: &Home, model: &str) -> String {
    let manifest: Value =
        serde_json::from_str(&home.read(&format!("{model}/manifest.json"))).unwrap();
    manifest["files"].to_string()
}

#[test]
fn a_fit_that_was_killed_goes_on_and_ends_with_the_same_bytes() {
    let home = Home::with_data();
    let mut child = train(&home, "model").spawn(Stdio::null());
    home.wait_for_checkpoint("model.training", &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!home.path("model").exists(), "it had not come to its end");
    let resumed = train(&home, "model").args(["-v"]).end();
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert!(resumed.err.contains("goes on from a checkpoint"), "{}", resumed.err);
    assert!(!home.path("model.training").exists(), "the state goes when the model is there");
    train(&home, "whole").good();
    assert_eq!(files(&home, "model"), files(&home, "whole"));
}

#[test]
fn a_folder_of_that_name_that_is_not_ours_is_left_alone() {
    let home = Home::with_data();
    home.put("model.training/notes.txt", "mine");
    train(&home, "model").fails(1, &["model.training", "notes.txt"]);
    assert_eq!(home.read("model.training/notes.txt"), "mine");
}

#[cfg(unix)]
#[test]
fn control_c_ends_with_a_checkpoint_and_says_how_to_go_on() {
    let home = Home::with_data();
    let mut child = train(&home, "model").spawn(Stdio::piped());
    home.wait_for_checkpoint("model.training", &mut child);
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the same command goes on from model.training"), "{said}");
    assert!(home.path("model.training").exists() && !home.path("model").exists());
}
