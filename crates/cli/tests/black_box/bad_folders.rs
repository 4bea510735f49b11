//! Folders that are not what they should be: data sets, models, weights, and places to write to.

use std::fs;

use crate::home::{Home, NO_SEARCH, SMALL};

#[test]
fn a_data_set_changed_behind_our_back_is_not_opened_by_any_command() {
    let home = Home::with_data();
    home.damage("data/events.parquet");
    let parts = ["data/events.parquet", "was changed", "import the data again"];
    home.run(["inspect", "--data", "data"]).fails(1, &parts);
    home.run(["evaluate", "--data", "data", "--models", "popularity"]).fails(1, &parts);
    home.run(["train", "--data", "data", "--out", "model"]).fails(1, &parts);
}

#[test]
fn a_data_set_with_a_file_missing_is_told_which() {
    let home = Home::with_data();
    fs::remove_file(home.path("data/items.parquet")).unwrap();
    home.run(["inspect", "--data", "data"]).fails(1, &["data/items.parquet", "gone"]);
}

#[test]
fn a_folder_that_is_no_data_set_is_told_how_to_make_one() {
    let home = Home::with_model("popularity");
    home.run(["inspect", "--data", "nowhere"]).fails(1, &["nowhere", "does not exist"]);
    fs::create_dir(home.path("empty")).unwrap();
    home.run(["inspect", "--data", "empty"]).fails(1, &["empty", "tastemaker import"]);
    home.run(["inspect", "--data", "model"])
        .fails(1, &["model is a tastemaker-model, not a data set", "tastemaker import"]);
    home.put("other/manifest.json", r#"{"name": "A web page"}"#);
    home.run(["inspect", "--data", "other"]).fails(1, &["other is of another program"]);
    home.put("later/manifest.json", r#"{"format": "tastemaker-data", "version": "2.0"}"#);
    home.run(["inspect", "--data", "later"])
        .fails(1, &["later/manifest.json is of version \"2.0\""]);
    home.put("data/manifest.json", "{");
    home.run(["inspect", "--data", "data"])
        .fails(1, &["data/manifest.json", "import the data again"]);
}

#[test]
fn a_model_changed_behind_our_back_is_not_opened_by_any_command() {
    let home = Home::with_model("fused");
    let files =
        ["text-knn.safetensors", "vectors.safetensors", "tfidf.json", "data/events.parquet"];
    for file in files.map(|file| format!("model/{file}")) {
        let whole = fs::read(home.path(&file)).unwrap();
        home.damage(&file);
        let parts = [file.as_str(), "changed or damaged", "train the model again"];
        home.run(["recommend", "--model", "model", "--user", "u1"]).fails(1, &parts);
        home.run(["similar", "--model", "model", "--item", "i1"]).fails(1, &parts);
        home.run(["explain", "--model", "model", "--user", "u1", "--item", "i1"]).fails(1, &parts);
        fs::write(home.path(&file), whole).unwrap();
    }
    home.run(["recommend", "--model", "model", "--user", "u1"]).good();
    fs::remove_file(home.path("model/vectors.safetensors")).unwrap();
    home.run(["recommend", "--model", "model", "--user", "u1"])
        .fails(1, &["model/vectors.safetensors"]);
}

#[test]
fn a_manifest_of_a_model_that_was_edited_is_refused_without_a_panic() {
    let home = Home::with_model("fused");
    let whole = home.read("model/manifest.json");
    let edits = [
        (whole.clone(), "{".to_owned()),
        ("\"version\": 1".into(), "\"version\": 9".into()),
        ("\"model\": \"fused\"".into(), "\"model\": \"ials\"".into()),
        ("\"name\": \"text-knn\"".into(), "\"name\": \"nonsense\"".into()),
        ("\"name\": \"text-knn\"".into(), "\"name\": \"popularity\"".into()),
        ("\n  \"gate\": ".into(), "\n  \"gates\": ".into()),
    ];
    for (from, to) in edits {
        assert!(whole.contains(&from), "{from} in {whole}");
        home.put("model/manifest.json", whole.replacen(&from, &to, 1));
        let ended = home.run(["recommend", "--model", "model", "--user", "u1"]).end();
        assert_eq!(ended.code, Some(1), "{from} to {to}: {} {}", ended.out, ended.err);
    }
}

#[test]
fn a_folder_that_is_no_model_is_told_how_to_make_one() {
    let home = Home::with_data();
    for folder in ["nowhere", "data"] {
        home.run(["recommend", "--model", folder, "--user", "u1"])
            .fails(1, &[folder, "not a saved model", "tastemaker train"]);
    }
}

#[test]
fn weights_with_a_wrong_checksum_are_refused_and_stay_where_they_are() {
    let home = Home::with_data();
    let weights = "cache/weights/minilm/model.safetensors";
    home.put(weights, "not the weights");
    let parts = ["minilm/model.safetensors", "sha256", "expected", "move it away"];
    home.run(["weights", "get", "minilm"]).fails(1, &parts);
    home.run(["evaluate", "--data", "data", "--models", "text-knn"])
        .args(["--set", "text.encoder=\"minilm\""])
        .fails(1, &parts);
    assert_eq!(home.read(weights), "not the weights");
    let list = home.run(["weights", "list"]).json();
    let minilm = list.as_array().unwrap().iter().find(|asset| asset["name"] == "minilm").unwrap();
    assert_eq!(minilm["cached"], false);
}

#[test]
fn without_weights_words_are_read_with_tf_idf_and_a_warning_says_so() {
    let home = Home::with_data();
    let ended = home
        .run(["evaluate", "--data", "data", "--models", "text-knn", "--format", "json"])
        .args(NO_SEARCH)
        .args(["--set", "eval.bootstrap=50"])
        .end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("minilm cannot be had"), "{}", ended.err);
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["data"]["text_encoder"], "tfidf");
}

#[test]
fn an_encoder_nobody_knows_is_named_with_the_nearest() {
    let home = Home::with_data();
    home.run(["evaluate", "--data", "data", "--models", "text-knn"])
        .args(["--set", "text.encoder=\"minlm\""])
        .fails(2, &["`minlm`", "did you mean `minilm`"]);
}

#[test]
fn an_out_folder_that_holds_something_else_is_left_alone() {
    let home = Home::with_data();
    home.put("full/thesis.tex", "x");
    home.run(["import", "--interactions", "interactions.csv", "--out", "full"])
        .fails(1, &["full is not empty", "choose another --out"]);
    home.run(["train", "--data", "data", "--model", "popularity", "--out", "full"])
        .args(SMALL)
        .fails(1, &["full is not empty", "choose another --out"]);
    home.run(["train", "--data", "data", "--model", "popularity", "--out", "data"])
        .args(SMALL)
        .fails(1, &["data is not empty", "choose another --out"]);
    home.run(["train", "--data", "data", "--model", "popularity", "--out", "items.csv"])
        .args(SMALL)
        .fails(1, &["items.csv"]);
    assert_eq!(home.read("full/thesis.tex"), "x");
}

/// No test can fill a disk; a limit on the size of files makes every write fail in the same place.
#[cfg(unix)]
#[test]
fn a_disk_that_takes_no_more_leaves_nothing_half_written() {
    let home = Home::with_data();
    let import = ["import", "--interactions", "interactions.csv", "--out", "made/deep/down"];
    home.run(import).without_room().fails(1, &["write", "made/deep/down"]);
    home.run(["train", "--data", "data", "--model", "popularity", "--out", "made/model"])
        .args(SMALL)
        .without_room()
        .fails(1, &["write", "made/model"]);
    for (flag, file) in [("--save-per-user", "users.csv"), ("--html", "report.html")] {
        home.run(["evaluate", "--data", "data", "--models", "popularity", flag, file])
            .args(SMALL)
            .without_room()
            .fails_with_a_result(&["write", file]);
    }
    home.run(import).good();
}

/// Reached by a link, so that a rename would hit the link and never the device itself.
#[cfg(target_os = "linux")]
#[test]
fn a_device_is_written_to_and_never_replaced() {
    let home = Home::with_data();
    let evaluate = |flag: &str, link: &str| {
        home.run(["evaluate", "--data", "data", "--models", "popularity"])
            .args(SMALL)
            .args([flag, link])
    };
    for device in ["null", "full"] {
        std::os::unix::fs::symlink(format!("/dev/{device}"), home.path(device)).unwrap();
    }
    for flag in ["--save-per-user", "--html"] {
        evaluate(flag, "null").good();
        evaluate(flag, "full").fails_with_a_result(&["cannot write full", "No space left"]);
    }
    for device in ["null", "full"] {
        assert!(home.path(device).is_symlink(), "{device} is what it was");
    }
}
