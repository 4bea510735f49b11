//! An encoder behind an address, from end to end: a service on this machine stands in for one elsewhere.

use serde_json::{Value, json};

use super::server::{Action, Request, Server};
use crate::home::{Call, Home, NO_SEARCH};

/// Answers in OpenAI's protocol: letters of a text, counted in eight boxes.
fn good(request: &Request) -> Action {
    let texts: Vec<String> = serde_json::from_value(request.body["input"].clone()).unwrap();
    let row = |(index, text): (usize, &String)| {
        let mut numbers = [1.0f32; 8];
        text.bytes().for_each(|byte| numbers[usize::from(byte) % 8] += 1.0);
        json!({ "index": index, "embedding": numbers })
    };
    let rows: Vec<Value> = texts.iter().enumerate().map(row).collect();
    Action::json(json!({ "data": rows, "usage": { "total_tokens": 10 * texts.len() } }))
}

/// Names the service as the encoder.
fn with_service<'a>(call: Call<'a>, url: &str) -> Call<'a> {
    call.args(["--set", &format!("text.encoder={url}")]).args([
        "--set",
        "text.remote.model=letters",
        "--set",
        "text.remote.key_env=LETTERS_KEY",
        "--set",
        "text.remote.batch=4",
        "--set",
        "text.remote.retries=0",
    ])
}

const ENCODE: [&str; 5] = ["encode", "--data", "data", "--out", "v.npy"];

#[test]
fn texts_are_encoded_once_and_the_key_is_written_nowhere() {
    let server = Server::new(|request, _| good(request));
    let home = Home::with_data();
    let encode = || with_service(home.run(ENCODE), &server.url()).env("LETTERS_KEY", "sk-secret");
    let first = encode().json();
    assert_eq!((&first["dims"], &first["from_cache"]), (&json!(8), &json!(0)));
    assert_eq!(first["encoder"], format!("letters at {}", server.url()));
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.headers["authorization"] == "Bearer sk-secret"));
    assert_eq!(encode().json()["from_cache"], first["texts"]);
    // The second run asks for nothing but the width of vectors.
    assert_eq!(server.requests().len(), requests.len() + 1);
    with_service(home.run(ENCODE), &server.url()).fails(1, &["variable LETTERS_KEY"]);

    let train = home.run(["train", "--data", "data", "--model", "text-knn", "--out", "model"]);
    with_service(train, &server.url()).args(NO_SEARCH).env("LETTERS_KEY", "sk-secret").good();
    let manifest = home.read("model/manifest.json");
    assert!(manifest.contains("LETTERS_KEY") && manifest.contains(&server.url()), "{manifest}");
    for path in home.tree().iter().filter(|path| path.is_file()) {
        let bytes = std::fs::read(path).unwrap();
        let holds_key = bytes.windows(9).any(|window| window == b"sk-secret");
        assert!(!holds_key, "{}", path.display());
    }
    // Vectors are saved with the model, so answers need no service, and opening asks it nothing.
    let calls = server.requests().len();
    let recommend = ["recommend", "--model", "model", "--user", "u1"];
    assert!(home.run(recommend).env("LETTERS_KEY", "sk-secret").json().is_object());
    assert_eq!(server.requests().len(), calls);
    drop(server);
    assert!(home.run(recommend).json().is_object());
}

#[test]
fn a_run_that_a_service_ended_goes_on_where_it_was() {
    let home = Home::with_data();
    let fails = std::sync::atomic::AtomicBool::new(true);
    let server = Server::new(move |request, number| {
        if number >= 4 && fails.swap(false, std::sync::atomic::Ordering::SeqCst) {
            return Action::status(503, "{\"error\": {\"message\": \"going down\"}}");
        }
        good(request)
    });
    let encode = || {
        with_service(home.run(ENCODE), &server.url())
            .args(["--set", "text.remote.concurrency=1"])
            .env("LETTERS_KEY", "k")
    };
    let url = format!("{}/embeddings", server.url());
    encode().fails(1, &[&url, "503 (going down)", "12 of 40 texts were encoded", "text.cache"]);
    assert_eq!(encode().json()["from_cache"], 12);
    let limit = ["--set", "text.remote.max_tokens_total=5", "--set", "text.cache=false"];
    encode().args(limit).fails(1, &["max_tokens_total", "raise it to go on"]);
}

#[test]
fn what_needs_weights_here_and_impossible_settings_are_told() {
    let home = Home::with_data();
    let url = "http://127.0.0.1:9/v1";
    home.run(["tune", "--data", "data", "--out", "t", "--encoder", url])
        .fails(1, &["text.encoder", "is a service"]);
    home.run(["weights", "distill", "--out", "t", "--encoder", url]).fails(1, &["is a service"]);
    let set =
        |keys: &[&str]| keys.iter().fold(home.run(ENCODE), |call, key| call.args(["--set", key]));
    let elsewhere = "text.encoder=https://service.example/v1";
    set(&[elsewhere]).fails(1, &["--offline"]);
    let here = format!("text.encoder={url}");
    set(&[&here, "text.precision=int8"]).fails(1, &["text.precision"]);
    set(&[&here, "text.max_tokens=9"]).fails(1, &["text.max_tokens", "max_chars"]);
    set(&[&here, "text.remote.model=m", "text.remote.retries=0"])
        .fails(1, &[url, "cannot be reached"]);
    set(&["text.remote.batch=0", "text.remote.btach=1", "remote_chat.modle=x"])
        .fails(2, &["text.remote.batch", "did you mean `batch`", "did you mean `model`"]);
}
