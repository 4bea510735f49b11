//! A talk from end to end: with a model of random weights on this machine, and with a service.

use serde_json::{Value, json};

use super::gguf;
use super::server::{Action, Server};
use crate::home::Home;

fn with_model() -> Home {
    let home = Home::new();
    home.put("tiny.gguf", gguf::model("qwen2", 8).bytes());
    home
}

const CHAT: [&str; 3] = ["chat", "--model", "tiny.gguf"];

#[test]
fn a_reply_is_told_with_what_it_took_and_repeats() {
    let home = with_model();
    let ask = |seed: &str| {
        let args =
            ["--prompt", "a film", "--max-tokens", "8", "--temperature", "1", "--seed", seed];
        home.run(CHAT).args(args).json()
    };
    let first = ask("1");
    assert!(first["prompt_tokens"].as_u64() > Some(10) && first["reply_tokens"].as_u64() > Some(0));
    assert!(first["memory_bytes"].is_u64() && first["read_seconds"].is_f64(), "{first}");
    assert_eq!(ask("1")["text"], first["text"]);
    assert_ne!(ask("2")["text"], first["text"]);
}

#[test]
fn lines_are_turns_of_one_talk() {
    let home = with_model();
    home.put("said.txt", "the film\n\nabout the sea\n");
    let args = ["--system", "xyz", "--max-tokens", "4", "--format", "json"];
    let out = home.run(CHAT).args(args).reading("said.txt").good();
    let replies: Vec<Value> =
        serde_json::Deserializer::from_str(&out).into_iter().map(Result::unwrap).collect();
    assert_eq!(replies.len(), 2, "{out}");
    assert_eq!(replies[0]["cached_tokens"], 0);
    assert!(replies[1]["cached_tokens"].as_u64() >= replies[0]["prompt_tokens"].as_u64());
    let args = ["--max-tokens", "4"];
    assert!(!home.run(CHAT).args(args).reading("said.txt").good().is_empty());
}

#[test]
fn replies_keep_to_their_form() {
    let home = with_model();
    let args = ["--prompt", "x", "--choice", "the film", "--choice", "电影"];
    assert!(["the film\n", "电影\n"].contains(&home.run(CHAT).args(args).good().as_str()));
    home.put(
        "schema.json",
        r#"{"type": "array", "items": {"enum": [1, 22]}, "minItems": 2, "maxItems": 2}"#,
    );
    let args = ["--prompt", "x", "--schema", "schema.json"];
    let list: Vec<u8> = serde_json::from_str(&home.run(CHAT).args(args).good()).unwrap();
    assert!(list.len() == 2 && list.iter().all(|n| [1, 22].contains(n)));
    home.put("schema.json", r#"{"type": "array"}"#);
    home.run(CHAT).args(args).fails(1, &["items"]);
    home.put("schema.json", "{");
    home.run(CHAT).args(args).fails(2, &["schema.json", "JSON"]);
}

#[test]
fn what_does_not_write_is_told_by_name() {
    let home = with_model();
    let ask = |model: &str| home.run(["chat", "--prompt", "x", "--model"]).args([model]);
    ask("minilm").fails(1, &["minilm", "GGUF"]);
    ask("qwen-0.6b").fails(2, &["qwen-0.6b", "qwen-0.5b"]);
    ask("none.gguf").fails(1, &["none.gguf", "cannot be read"]);
    home.put("bad.gguf", "GGUF, or not");
    ask("bad.gguf").fails(1, &["bad.gguf", "byte 8"]);
    ask("tiny.gguf").args(["--set", "chat.context=3"]).fails(2, &["chat.context", "16"]);
    ask("tiny.gguf").args(["--temperature", "3"]).fails(1, &["temperature"]);
    ask("tiny.gguf").args(["--set", "chat.context=16"]).fails(1, &["chat.context"]);
    ask("http://127.0.0.1:9/v1").fails(1, &["model"]);
}

#[test]
fn a_service_answers_in_the_same_way() {
    let answer =
        json!({"choices": [{"message": {"content": "Alien\u{1b}[2J"}, "finish_reason": "stop"}]});
    let server = Server::new(move |_, _| Action::json(answer.clone()));
    let home = Home::new();
    let args = ["--prompt", "x", "--set", "remote_chat.model=m"];
    let out = home.run(["chat", "--model", &server.url()]).args(args).good();
    // What a terminal would obey is not printed.
    assert_eq!(out, "Alien\u{fffd}[2J\n");
    assert_eq!(server.requests()[0].body["messages"][0]["content"], "x");
}
