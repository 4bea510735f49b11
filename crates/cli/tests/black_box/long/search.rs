//! `search`: what it prints and leaves, going on after an end from outside, the same result whatever runs at once, faults.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::home::{Call, Home, SMALL};

/// Takes out what the clock decides.
fn timeless(mut searched: Value) -> Value {
    for trial in searched["trials"].as_array_mut().unwrap() {
        trial["seconds"] = Value::Null;
    }
    searched["best"]["seconds"] = Value::Null;
    searched
}

fn search<'a>(home: &'a Home, model: &str, out: &str) -> Call<'a> {
    home.run(["search", "--data", "data"]).args(["--model", model, "--out", out]).args(SMALL)
}

const IALS: [&str; 4] =
    ["--space", "models.ials.factors=8,16", "--space", "models.ials.alpha=log(0.5, 20)"];

#[test]
fn a_search_prints_a_table_and_leaves_settings_that_train_takes() {
    let home = Home::with_data();
    let table =
        search(&home, "ials", "found").args(IALS).args(["--trials", "4", "--seed", "3"]).good();
    assert!(table.contains("| trial | share of iterations | factors |"), "{table}");
    assert!(table.contains("best: trial") && table.contains("[models.ials]"), "{table}");
    assert_eq!(table.lines().filter(|line| line.starts_with("| ")).count(), 1 + 4, "{table}");
    let svg = home.read("found/trials.svg");
    assert!(svg.starts_with("<svg") && svg.contains("best so far"));
    let again =
        search(&home, "ials", "found").args(IALS).args(["--trials", "4", "--seed", "3"]).json();
    let best = &again["best"];
    assert_eq!(again["trials"].as_array().unwrap().len(), 4, "nothing was tried again");
    assert!(
        home.read("found/best.toml")
            .contains(&format!("alpha = {}", best["settings"]["models.ials.alpha"]))
    );
    home.run(["train", "--data", "data", "--model", "ials", "--out", "model"])
        .args(["--config", "found/best.toml"])
        .args(SMALL)
        .good();
    let manifest: Value = serde_json::from_str(&home.read("model/manifest.json")).unwrap();
    let trained = &manifest["parts"][0]["settings"];
    assert_eq!(trained["factors"], best["settings"]["models.ials.factors"]);
}

#[test]
fn every_method_gives_the_same_with_one_trial_at_a_time_and_with_several() {
    let home = Home::with_data();
    for (model, method, space) in [
        ("ials", "grid", "models.ials.factors=4,8,16"),
        ("item-knn", "halving", "models.item-knn.neighbours=int(5, 40)"),
        ("gru4rec", "halving", "models.gru4rec.learning_rate=log(1e-3, 1e-2)"),
    ] {
        let of = |jobs: &str, threads: &str| {
            let out = format!("{model}-{jobs}-{threads}");
            let call = search(&home, model, &out).args(["--method", method, "--space", space]);
            let call = call.args(["--trials", "9", "--jobs", jobs, "--threads", threads]);
            let few = ["--set", "models.gru4rec.epochs=9", "--set", "models.gru4rec.hidden=16"];
            timeless(call.args(few).json())
        };
        let one = of("1", "1");
        assert_eq!(one, of("2", "2"), "{model}");
        assert_eq!(one, of("3", "1"), "{model}");
        let best = one["best"]["value"].as_f64().unwrap();
        assert!(best > 0.0 && one["method"] == method, "{one}");
    }
}

#[test]
fn without_a_space_the_model_says_what_to_try_and_a_file_may_say_so_too() {
    let home = Home::with_data();
    let keys = |searched: &Value| {
        let settings = searched["best"]["settings"].as_object().unwrap();
        settings.keys().cloned().collect::<Vec<_>>()
    };
    let usual = search(&home, "markov", "usual").args(["--trials", "2"]).json();
    assert!(keys(&usual).contains(&"models.markov.decay".to_owned()), "{usual}");
    home.put(
        "space.toml",
        "[search.space.models.ials]\nfactors = [4, 8]\nalpha = \"log(1, 4, 2)\"\n[search.space.models.ease]\nlambda = [1.0]\n",
    );
    let file = search(&home, "ials", "file").args(["--config", "space.toml", "--method", "grid"]);
    let file = file.json();
    assert_eq!(keys(&file), ["models.ials.alpha", "models.ials.factors"]);
    assert_eq!(file["trials"].as_array().unwrap().len(), 4);
}

/// Searches for so long that there is time to end it.
fn long<'a>(home: &'a Home, out: &str) -> Call<'a> {
    search(home, "sasrec", out)
        .args(["--method", "halving", "--trials", "9", "--jobs", "1"])
        .args(["--space", "models.sasrec.learning_rate=log(1e-4, 1e-2)"])
        .args(["--space", "models.sasrec.dim=32,64", "--set", "models.sasrec.epochs=18"])
}

fn trials(home: &Home, out: &str) -> usize {
    let text = std::fs::read_to_string(home.path(out).join("journal.json")).unwrap_or_default();
    text.matches("\"number\"").count()
}

#[test]
fn a_search_that_was_killed_goes_on_and_ends_like_one_that_was_not() {
    let home = Home::with_data();
    let mut child = long(&home, "killed").spawn(Stdio::null());
    while trials(&home, "killed") < 3 {
        assert!(child.try_wait().unwrap().is_none(), "the search is still under way");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = trials(&home, "killed");
    assert!((3..13).contains(&before), "{before}");
    let journal: Value = serde_json::from_str(&home.read("killed/journal.json")).unwrap();
    let resumed = long(&home, "killed").json();
    let whole = long(&home, "whole").json();
    assert_eq!(resumed["trials"][0]["seconds"], journal["trials"][0]["seconds"], "not run again");
    assert_eq!(timeless(resumed), timeless(whole));
    assert_eq!(home.read("killed/best.toml"), home.read("whole/best.toml"));
}

#[cfg(unix)]
#[test]
fn control_c_ends_a_search_and_says_how_to_go_on() {
    let home = Home::with_data();
    let mut child = long(&home, "found").spawn(Stdio::piped());
    while trials(&home, "found") < 1 {
        assert!(child.try_wait().unwrap().is_none(), "the search is still under way");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the same command goes on"), "{said}");
}

#[test]
fn a_limit_of_time_keeps_what_was_found() {
    let home = Home::with_data();
    let call = long(&home, "found").args(["--budget-s", "0.0001"]);
    let outcome = call.args(["--format", "json"]).end();
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(outcome.err.contains("the time was up after 1 trials"), "{}", outcome.err);
    assert!(outcome.err.contains("a larger --budget-s"), "{}", outcome.err);
    let searched: Value = serde_json::from_str(&outcome.out).unwrap();
    let (best, first) = (&searched["best"], &searched["trials"][0]);
    assert_eq!((best, &searched["cut"]), (first, &Value::Bool(true)));
    let rest = timeless(long(&home, "found").json());
    assert_eq!(rest["trials"].as_array().unwrap().len(), 13, "the same command goes on");
    assert_eq!(rest["trials"][0]["value"], first["value"]);
}

#[test]
fn bad_spaces_are_told_with_their_keys_and_what_to_do() {
    let home = Home::with_data();
    search(&home, "ials", "found")
        .args(["--space", "models.ials.factor=8,16", "--space", "models.ials.alpha=normal(0, 1)"])
        .args(["--space", "models.ease.lambda=1,2", "--space", "models.ials.iterations"])
        .args(["--space", "models.ials.exponent=1,x", "--space", "models.ials.regularisation=-1,1"])
        .fails(
            2,
            &[
                "did you mean `factors`",
                "`models.ials.alpha` has no range called `normal`",
                "`models.ease.lambda` is not searched here: keys begin with `models.ials.`",
                "`models.ials.iterations` is no `--space KEY=VALUES`",
                "`models.ials.exponent` does not fit",
                "`models.ials.regularisation` must be",
            ],
        );
    search(&home, "ials", "found")
        .args(["--space", "models.ials.factors=8,16", "--set", "models.ials.factors=8"])
        .fails(2, &["`models.ials.factors` is both set by hand and searched"]);
    search(&home, "fused", "found").fails(1, &["search its parts"]);
    search(&home, "recent", "found").fails(2, &["there is no model `recent`"]);
    search(&home, "ials", "data").args(IALS).fails(1, &["data holds", "no part of a search"]);
    home.run(["search", "--data", "data", "--model", "ials", "--out", "x", "--trials", "0"]).end();
}

#[test]
fn another_search_does_not_go_on_from_a_journal() {
    let home = Home::with_data();
    let ials =
        |seed: &'static str| search(&home, "ials", "found").args(IALS).args(["--seed", seed]);
    ials("1").args(["--trials", "2"]).good();
    ials("2").args(["--trials", "2"]).fails(1, &["holds a search of something else"]);
    let more = ials("1").args(["--trials", "3"]).json();
    assert_eq!(more["trials"].as_array().unwrap().len(), 3, "more trials go on");
    let fewer = ials("1").args(["--trials", "1"]).json();
    assert_eq!(fewer["trials"].as_array().unwrap().len(), 1, "and fewer leave the others out");
    ials("1").args(["--jobs", "100000"]).fails(2, &["--jobs", "1024"]);
}

#[test]
fn settings_that_cannot_be_together_are_passed_over_and_told() {
    let home = Home::with_data();
    let searched = search(&home, "sasrec", "found")
        .args(["--space", "models.sasrec.dim=32,33", "--space", "models.sasrec.heads=1,2"])
        .args(["--method", "grid", "--set", "models.sasrec.epochs=1"])
        .json();
    let failures: Vec<&str> = searched["trials"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|trial| trial["failure"].as_str())
        .collect();
    assert_eq!(failures.len(), 1, "{searched}");
    assert!(failures[0].contains("must divide `dim` = 33"), "{failures:?}");
}

#[test]
fn settings_are_searched_for_a_task_and_train_learns_it() {
    let home = Home::with_data();
    let call = || {
        let few = ["--trials", "3", "--set", "models.linear.epochs=2"];
        search(&home, "linear", "found").args(few).args(["--task", "like"])
    };
    let found = call().json();
    let best = found["best"]["value"].as_f64().unwrap();
    assert!(found["metric"] == "auc" && (0.0..=1.0).contains(&best), "{found}");
    assert!(call().good().contains(&format!("with auc {best:.4}")));
    assert!(home.read("found/best.toml").contains("objective = \"like\""));
    // Lists are another search.
    search(&home, "linear", "found").args(["--trials", "3"]).fails(1, &["another --out"]);
    search(&home, "linear", "new").args(["--task", "likes"]).fails(2, &["no task `likes`"]);
}
