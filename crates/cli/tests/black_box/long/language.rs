//! A small language model from end to end: tuned, distilled, and put to use.

use std::fs;
use std::process::Stdio;

use super::tiny::{self, Sizes};
use crate::home::{Call, Home, NO_SEARCH};

const SIZES: Sizes = Sizes { hidden: 32, layers: 2, heads: 2, inner: 64, positions: 24 };

/// A data set beside a model with random weights.
fn with_model() -> Home {
    let home = Home::with_data();
    fs::create_dir(home.path("bert")).unwrap();
    tiny::write_folder(&home.path("bert"), SIZES, &tiny::tensors(SIZES));
    home
}

/// Tunes for a few batches.
fn tune<'a>(home: &'a Home, out: &str, epochs: &str) -> Call<'a> {
    home.run(["tune", "--data", "data", "--encoder", "bert", "--out", out]).args([
        "--set",
        "tune.steps=2",
        "--set",
        "tune.patience=99",
        "--set",
        epochs,
    ])
}

#[test]
fn a_tuned_model_is_a_folder_that_encodes_and_that_others_are_made_of() {
    let home = with_model();
    let told = tune(&home, "tuned", "tune.epochs=1").json();
    assert!(told["trained_parameters"].as_u64() < told["parameters"].as_u64());
    assert!(told["validation_before"].is_number() && told["validation_after"].is_number());
    for name in ["config.json", "tokenizer.json"] {
        assert_eq!(home.read(&format!("tuned/{name}")), home.read(&format!("bert/{name}")));
    }
    let distill = ["weights", "distill", "--encoder", "tuned", "--out", "words", "--dim", "8"];
    assert_eq!(home.run(distill).json()["dim"], 8);
    home.run(distill).fails(1, &["words"]);
    let flag = |folder: &str| format!("text.encoder={folder}");
    for (encoder, dims) in [("bert", 32), ("tuned", 32), ("words", 8)] {
        let run = ["encode", "--data", "data", "--out", "v.npy", "--set", &flag(encoder)];
        assert_eq!(home.run(run).json()["dims"], dims, "{encoder}");
    }
    let train = ["train", "--data", "data", "--model", "text-knn", "--out", "model"];
    home.run(train).args(NO_SEARCH).args(["--set", &flag("words")]).good();
    assert!(home.run(["recommend", "--model", "model", "--user", "u1"]).json().is_object());
}

#[test]
fn a_model_tuned_on_pairs_says_so_and_still_encodes() {
    let home = with_model();
    let pairs = |out| tune(&home, out, "tune.epochs=1").args(["--set", "tune.task=\"classify\""]);
    let told = pairs("judge").json();
    assert_eq!((&told["task"], &told["measure"]), (&"classify".into(), &"AUC".into()));
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_str(&home.read(&format!("judge/{name}"))).unwrap()
    };
    assert_eq!(read("manifest.json")["made_for"], "classify");
    assert_eq!(read("config.json")["architectures"][0], "BertForSequenceClassification");
    let encode = ["encode", "--data", "data", "--out", "v.npy", "--set", "text.encoder=judge"];
    assert_eq!(home.run(encode).json()["dims"], 32);
    // Its tokenizer has no mask.
    let masked = ["--set", "tune.task=\"masked-words\""];
    tune(&home, "m", "tune.epochs=1").args(masked).fails(1, &["no `[MASK]`"]);
    let labels = ["--set", "tune.task=\"classify\"", "--set", "tune.labels=\"colour\""];
    tune(&home, "l", "tune.epochs=1").args(labels).fails(1, &["tune.labels", "colour"]);
}

#[test]
fn adapters_of_every_kind_are_read_and_those_that_can_be_are_merged() {
    let home = with_model();
    let vectors = |folder: &str| {
        let out = format!("{folder}.npy");
        let flag = format!("text.encoder={folder}");
        home.run(["encode", "--data", "data", "--out", &out, "--set", &flag]).good();
        fs::read(home.path(&out)).unwrap()
    };
    for (what, folder) in [("lora", "lora"), ("adapter", "adapters"), ("prefix", "prefix")] {
        let flags = ["--set", "tune.head=none", "--set", "tune.epochs=1", "--set", "tune.steps=2"];
        let what_flag = format!("tune.what={what}");
        let run = ["tune", "--data", "data", "--encoder", "bert", "--out", what];
        let limits = ["--set", "tune.max_tokens=12", "--set", "tune.prefix_tokens=4"];
        home.run(run).args(flags).args(limits).args(["--set", &what_flag]).good();
        assert!(home.path(format!("{what}/{folder}")).exists());
        assert!(vectors(what) != vectors("bert"), "{what}");
    }
    for what in ["lora", "prefix"] {
        let (adapter, out) = (format!("{what}/{what}"), format!("{what}-merged"));
        let run = ["weights", "merge", "--base", "bert", "--adapter", &adapter, "--out", &out];
        assert!(home.run(run).json()["parts"].as_u64() >= Some(4));
        let (ours, merged) = (vectors(what), vectors(&out));
        let numbers = |bytes: &[u8]| -> Vec<f32> {
            let (_, tail) = bytes.split_at(bytes.len() % 4 + 128);
            tail.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
        };
        let (ours, merged) = (numbers(&ours), numbers(&merged));
        let apart = ours.iter().zip(&merged).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) < 1e-5, "{what}");
    }
    let run = ["weights", "merge", "--base", "bert", "--out", "no", "--adapter"];
    home.run(run).args(["adapter/adapters"]).fails(1, &["adapter_config.json"]);
}

#[test]
fn a_pruned_model_is_a_folder_that_encodes_and_its_cost_is_told() {
    let home = with_model();
    let run = ["weights", "prune", "bert", "--data", "data", "--out"];
    let told = home.run(run).args(["heads", "--heads", "1"]).args(NO_SEARCH).json();
    assert_eq!(
        (told["before"]["heads"].as_u64(), told["after"]["heads"].as_u64()),
        (Some(4), Some(3))
    );
    let bytes = |side: &str| told[side]["bytes"].as_u64();
    assert!(bytes("after") < bytes("before") && told["before"]["ndcg"].is_number());
    assert!((0.0..=1.0).contains(&told["cosine_mean"].as_f64().unwrap()));
    let told = home.run(run).args(["layers", "--layers", "1"]).args(NO_SEARCH).good();
    assert!(told.contains("gone") && told.contains("ndcg@10"), "{told}");
    for (folder, layers) in [("heads", 2), ("layers", 1)] {
        let inspect = home.run(["weights", "inspect", folder]).json();
        assert_eq!(inspect["sizes"]["num_hidden_layers"], layers);
        let flag = format!("text.encoder={folder}");
        home.run(["encode", "--data", "data", "--out", "v.npy", "--set", &flag]).good();
    }
    // What is there stays, and what fails leaves nothing.
    home.run(run).args(["heads", "--heads", "1"]).fails(1, &["heads: cannot be written"]);
    home.run(run).args(["none", "--layers", "2"]).fails(1, &["`layers` must be between 1 and 1"]);
    assert!(!home.path("none").exists());
}

#[test]
fn what_cannot_be_tuned_is_told_and_nothing_is_written() {
    let home = with_model();
    let run = ["tune", "--data", "data", "--out", "tuned", "--encoder"];
    home.run(run).args(["tfidf"]).fails(1, &["tfidf", "TF-IDF has no weights"]);
    home.run(run).args(["bert", "--set", "tune.steps=0"]).fails(2, &["tune.steps"]);
    fs::write(home.path("bert/model.safetensors"), b"short").unwrap();
    home.run(run).args(["bert"]).fails(1, &["model.safetensors", "damaged"]);
    assert!(!home.path("tuned").exists());
    home.put("mine/notes.txt", "mine");
    home.run(["tune", "--data", "data", "--encoder", "bert", "--out", "mine"])
        .fails(1, &["mine is not empty", "another --out"]);
    assert_eq!(home.read("mine/notes.txt"), "mine");
}

#[test]
fn a_tuning_that_was_killed_ends_with_the_weights_of_one_that_was_not() {
    let home = with_model();
    let mut child = tune(&home, "killed", "tune.epochs=60").spawn(Stdio::null());
    home.wait_for_checkpoint("killed.training", &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!home.path("killed").exists(), "it had not come to its end");
    let resumed = tune(&home, "killed", "tune.epochs=60").args(["-v"]).end();
    assert!(resumed.err.contains("goes on from a checkpoint"), "{}", resumed.err);
    tune(&home, "whole", "tune.epochs=60").good();
    for name in ["model.safetensors", "2_Dense/model.safetensors", "lora/adapter_model.safetensors"]
    {
        let weights = |folder: &str| fs::read(home.path(folder).join(name)).unwrap();
        assert!(weights("killed") == weights("whole"), "{name}");
    }
    assert!(!home.path("killed.training").exists(), "the state goes when the weights are there");
}
