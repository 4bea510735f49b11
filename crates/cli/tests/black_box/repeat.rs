//! Same seed, same result: over runs, over numbers of threads, over saving and loading.

use serde_json::Value;

use crate::home::{FEW_EPOCHS, Home, NO_SEARCH, SMALL};

/// Takes out what the clock and the memory of the machine decide.
fn timeless(mut report: Value) -> Value {
    for model in report["models"].as_array_mut().unwrap() {
        for key in ["fit_seconds", "search_seconds", "score_seconds", "peak_memory_bytes"] {
            assert!(model.as_object_mut().unwrap().remove(key).is_some(), "{key}");
        }
    }
    report
}

#[test]
fn the_same_seed_gives_the_same_report_with_one_thread_and_with_two() {
    let home = Home::with_data();
    let report = |threads: &str, seed: &str, kept: &str| {
        let report = home
            .run(["evaluate", "--data", "data", "--models", "all", "--threads", threads])
            .args(FEW_EPOCHS)
            .args(["--seed", seed, "--split", "random", "--save-per-user", kept])
            .args(SMALL)
            .args(NO_SEARCH)
            .json();
        (timeless(report).to_string(), home.read(kept))
    };
    let one = report("1", "5", "one.csv");
    assert_eq!(one, report("2", "5", "two.csv"));
    assert_ne!(one.1, report("2", "6", "other.csv").1, "another seed is another split");
}

#[test]
fn the_search_finds_the_same_settings_with_one_thread_and_with_two() {
    let home = Home::with_data();
    let report = |threads: &str| {
        let call = home.run(["evaluate", "--data", "data", "--models", "item-knn,fused"]);
        timeless(call.args(["--threads", threads]).args(SMALL).json()).to_string()
    };
    assert_eq!(report("1"), report("2"));
}

#[test]
fn a_model_trained_twice_is_the_same_to_the_last_byte() {
    let home = Home::with_data();
    let train = |out: &str, threads: &str| {
        home.run(["train", "--data", "data", "--out", out, "--threads", threads])
            .args(SMALL)
            .args(NO_SEARCH)
            .good();
        let manifest: Value =
            serde_json::from_str(&home.read(&format!("{out}/manifest.json"))).unwrap();
        (manifest["files"].to_string(), manifest["gate"].to_string())
    };
    assert_eq!(train("one", "1"), train("two", "2"));
}

#[test]
fn a_saved_model_gives_the_same_list_every_time_and_wherever_it_is_moved() {
    for model in ["fused", "bpr"] {
        let home = Home::with_model(model);
        let ask = |folder: &str, threads: &str| {
            home.run(["recommend", "--model", folder, "--user", "u7", "--explain"])
                .env("RAYON_NUM_THREADS", threads)
                .json()
        };
        let first = ask("model", "1");
        assert_eq!(first, ask("model", "2"));
        std::fs::rename(home.path("model"), home.path("moved")).unwrap();
        std::fs::remove_dir_all(home.path("data")).unwrap();
        assert_eq!(first, ask("moved", "1"), "{model} carries all it needs");
    }
}

#[test]
fn a_second_run_reads_what_the_first_one_wrote_and_changes_nothing() {
    let home = Home::with_model("markov");
    let before = home.tree();
    let manifest = home.read("model/manifest.json");
    home.run(["recommend", "--model", "model", "--user", "u1"]).good();
    home.run(["similar", "--model", "model", "--item", "i1"]).good();
    home.run(["inspect", "--data", "data"]).good();
    assert_eq!(home.tree(), before);
    assert_eq!(home.read("model/manifest.json"), manifest);
}
