//! How texts are read: prefixes, windows, summaries, widths, word vectors, and what vectors are written as.

use std::fs;

use serde_json::Value;

use super::tiny::{self, Sizes};
use crate::home::{Home, NO_SEARCH};

const SIZES: Sizes = Sizes { hidden: 32, layers: 1, heads: 2, inner: 32, positions: 24 };

/// A model whose folder is called like one of E5's, beside texts and word vectors.
fn home() -> Home {
    let home = Home::with_data();
    fs::create_dir(home.path("tiny-e5")).unwrap();
    tiny::write_folder(&home.path("tiny-e5"), SIZES, &tiny::tensors(SIZES));
    home.put(
        "texts.txt",
        "red film\nblue book\nthe sea\nred book. A blue film about the sea. The red sea\n",
    );
    home.put("words.txt", "film 1 0 0\nbook 0 1 0\nsea 0 0 1\nred 0.5 0.5 0\n");
    home
}

fn vectors(home: &Home, more: &[&str]) -> (Value, Vec<u8>) {
    let run = ["encode", "--input", "texts.txt", "--out", "v.npy", "--set", "text.cache=false"];
    let told = home.run(run).args(more.iter().copied()).json();
    (told, fs::read(home.path("v.npy")).unwrap())
}

#[test]
fn every_setting_of_reading_changes_vectors_and_is_saved_with_a_model() {
    let home = home();
    let e5 = ["--encoder", "tiny-e5"];
    let with = |set: &str| vectors(&home, &[e5[0], e5[1], "--set", set]);
    let (_, plain) = vectors(&home, &e5);
    assert_eq!(with("text.prefix='passage: '").1, plain, "as its name says");
    assert_ne!(with("text.prefix=''").1, plain);
    let (_, query) = vectors(&home, &[e5[0], e5[1], "--query"]);
    assert_eq!(with("text.prefix='query: '").1, query);
    let short = |more: &[&str]| {
        let all =
            [&e5[..], &["--set", "text.max_tokens=8", "--set", "text.prefix=''"], more].concat();
        vectors(&home, &all)
    };
    let (told, cut) = short(&[]);
    assert_eq!(told["truncated"], 1);
    let (told, windows) = short(&["--set", "text.windows=4"]);
    assert_eq!(told["truncated"], 0);
    let (told, summary) = short(&["--set", "text.summary=textrank"]);
    assert_eq!(told["truncated"], 0);
    assert!(cut != windows && cut != summary && windows != summary);
    let (told, _) = with("text.dim=8");
    assert_eq!(told["dims"], 8);
    let train = [
        "train",
        "--data",
        "data",
        "--model",
        "text-knn",
        "--out",
        "model",
        "--set",
        "text.encoder=tiny-e5",
    ];
    home.run(train).args(NO_SEARCH).args(["--set", "text.dim=8"]).good();
    assert!(home.run(["recommend", "--model", "model", "--user", "u1"]).json().is_object());
}

#[test]
fn word_vectors_encode_and_are_no_language_model() {
    let home = home();
    let (told, bytes) = vectors(&home, &["--encoder", "words.txt"]);
    assert_eq!((told["dims"].as_u64(), told["truncated"].as_u64()), (Some(3), Some(0)));
    assert!(bytes.len() > 128);
    home.put("bad.txt", "film 1 0\nsea 1\n");
    let run = ["encode", "--input", "texts.txt", "--out", "w.npy", "--encoder"];
    home.run(run).args(["bad.txt"]).fails(1, &["bad.txt", "line 2"]);
    home.run(["weights", "inspect", "words.txt"]).fails(1, &["words.txt", "no language model"]);
    home.run(["tune", "--data", "data", "--encoder", "words.txt", "--out", "t"])
        .fails(1, &["words.txt", "word vectors"]);
    assert!(!home.path("w.npy").exists() && !home.path("t").exists());
}

#[test]
fn smaller_numbers_are_written_with_what_they_keep() {
    let home = home();
    let (told, whole) = vectors(&home, &["--encoder", "words.txt"]);
    assert!(told["kept"].is_null() && told["storage"] == "f32");
    for (storage, files) in [("f16", 2), ("int8", 3), ("binary", 2)] {
        let (told, bytes) = vectors(&home, &["--encoder", "words.txt", "--storage", storage]);
        assert_eq!(told["storage"], storage);
        assert_eq!(told["files"].as_array().unwrap().len(), files);
        let again = told["kept"]["recall_rescored"].as_f64().unwrap();
        assert!((again - 1.0).abs() < 1e-9 && bytes.len() < whole.len(), "{storage}: {told}");
    }
    home.run(["encode", "--input", "texts.txt", "--out", "v.parquet", "--encoder", "words.txt"])
        .args(["--storage", "int8"])
        .fails(1, &["v.parquet", ".npy"]);
}

#[test]
fn settings_of_reading_out_of_range_are_told() {
    let home = home();
    let run = ["encode", "--input", "texts.txt", "--out", "v.npy", "--encoder", "tiny-e5", "--set"];
    home.run(run).args(["text.windows=0"]).fails(2, &["text.windows", "1 and 64"]);
    home.run(run).args(["text.summary=short"]).fails(2, &["text.summary"]);
    home.run(run).args(["text.dim=33"]).fails(1, &["dim", "32"]);
    home.run(run).args(["text.overlap=30"]).fails(1, &["overlap"]);
}
