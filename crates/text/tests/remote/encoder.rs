//! Vectors as they should come, and what is sent for them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tastemaker_core::{Silent, Vectors};
use tastemaker_text::{
    ApiKey, Cached, Encoder as _, EncodingFormat, Redact, RemoteEncoder, RemoteKind,
    RemoteSettings, ServiceSettings,
};

use crate::server::{Action, Request, Server};

/// Short waits, no retries.
pub(crate) fn service() -> ServiceSettings {
    ServiceSettings {
        model: "m".into(),
        connect_s: 1.0,
        timeout_s: 5.0,
        retries: 0,
        backoff_s: 0.01,
        ..ServiceSettings::default()
    }
}

pub(crate) fn settings() -> RemoteSettings {
    RemoteSettings { service: service(), batch: 2, concurrency: 3, ..RemoteSettings::default() }
}

/// The vector of a text: its length, its first byte, and 1.
pub(crate) fn vector(text: &str) -> [f32; 3] {
    [text.len() as f32, f32::from(text.as_bytes()[0]), 1.0]
}

pub(crate) fn normalised(texts: &[&str]) -> Vectors {
    let row = |text: &&str| if text.trim().is_empty() { [0.0; 3] } else { vector(text) };
    let mut vectors = Vectors::from_flat(3, texts.iter().flat_map(row).collect()).unwrap();
    vectors.normalise();
    vectors
}

fn inputs(request: &Request) -> Vec<String> {
    let key = if request.path.ends_with("/embed") { "inputs" } else { "input" };
    serde_json::from_value(request.body[key].clone()).unwrap()
}

/// Answers in the protocol of the path, rows from last to first.
pub(crate) fn good(request: &Request) -> Action {
    let texts = inputs(request);
    if request.path.ends_with("/embed") {
        let rows: Vec<[f32; 3]> = texts.iter().map(|text| vector(text)).collect();
        return Action::json(json!(rows));
    }
    let row = |(index, text): (usize, &String)| {
        let embedding = if request.body["encoding_format"] == "base64" {
            let bytes: Vec<u8> = vector(text).into_iter().flat_map(f32::to_le_bytes).collect();
            json!(BASE64_STANDARD.encode(bytes))
        } else {
            json!(vector(text))
        };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    };
    let rows: Vec<Value> = texts.iter().enumerate().rev().map(row).collect();
    let tokens = texts.len() * 10;
    Action::json(json!({ "data": rows, "model": "m", "usage": { "total_tokens": tokens } }))
}

const TEXTS: [&str; 7] = ["alien", "", "blade runner", "c", "  ", "电影", "e"];

#[test]
fn rows_go_where_they_belong_in_both_protocols_and_formats() {
    let server = Server::new(|request, _| good(request));
    let openai = RemoteSettings { kind: RemoteKind::Openai, ..settings() };
    let base64 = RemoteSettings { encoding_format: EncodingFormat::Base64, ..settings() };
    let tei = RemoteSettings { kind: RemoteKind::Tei, ..settings() };
    for settings in [openai, base64, tei] {
        let encoder = RemoteEncoder::open(&server.url(), &settings, None).unwrap();
        assert_eq!(encoder.dim(), 3);
        let encoded = encoder.encode(&TEXTS, &Silent).unwrap();
        assert_eq!(encoded.vectors, normalised(&TEXTS), "{settings:?}");
        assert_eq!(encoder.encode(&[], &Silent).unwrap().vectors.rows(), 0);
    }
    // A call to learn the width, and three of at most two texts: nothing is sent of those without content.
    let requests = server.requests();
    assert_eq!(requests.len(), 3 * 4);
    assert!(requests.iter().flat_map(inputs).all(|text| !text.trim().is_empty()));
    assert!(requests.iter().all(|request| !request.headers.contains_key("authorization")));
}

#[test]
fn the_protocol_is_found_and_what_was_found_is_opened_again_without_a_call() {
    let server = Server::new(|request, _| match request.path.as_str() {
        "/v1/embed" => good(request),
        _ => Action::status(404, "{\"error\": \"no such address\"}"),
    });
    let encoder = RemoteEncoder::open(&server.url(), &settings(), None).unwrap();
    assert_eq!(encoder.resolved().kind, RemoteKind::Tei);
    let calls = server.requests().len();
    assert_eq!(calls, 2);
    let again = RemoteEncoder::reopen(&server.url(), encoder.resolved(), encoder.dim(), None);
    let again = again.unwrap();
    assert_eq!((again.id(), server.requests().len()), (encoder.id(), calls));
    assert_eq!(again.encode(&["a"], &Silent).unwrap().vectors, normalised(&["a"]));
    assert!(RemoteEncoder::reopen(&server.url(), &settings(), 3, None).is_err());
}

#[test]
fn the_name_tells_everything_vectors_depend_on_and_no_key() {
    let server = Server::new(|request, _| good(request));
    let open = |change: &dyn Fn(&mut RemoteSettings)| {
        let mut settings = settings();
        change(&mut settings);
        let key = ApiKey::new("sk-secret");
        let encoder = RemoteEncoder::open(&server.url(), &settings, key.clone()).unwrap();
        assert!(!format!("{encoder:?} {key:?} {}", encoder.id()).contains("secret"));
        encoder.id()
    };
    let ids = [
        open(&|_| {}),
        open(&|settings| settings.service.model = "n".into()),
        open(&|settings| settings.service.redact = false),
        open(&|settings| settings.kind = RemoteKind::Tei),
        open(&|settings| settings.max_chars = 7),
        open(&|settings| settings.dimensions = 3),
    ];
    for (at, id) in ids.iter().enumerate() {
        assert!(!ids[..at].contains(id), "{id}");
    }
    assert_eq!(open(&|settings| settings.batch = 9), ids[0]);
    let sent = server.requests();
    assert!(sent.iter().all(|request| request.headers["authorization"] == "Bearer sk-secret"));
    assert_eq!(sent[5].body["dimensions"], 3);
    assert_eq!(sent[0].body.get("dimensions"), None);
}

/// Strikes out one word.
struct NoAliens;

impl Redact for NoAliens {
    fn id(&self) -> String {
        "no-aliens".into()
    }

    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        text.replace("alien", "x").into()
    }
}

#[test]
fn what_is_private_never_leaves_unless_it_is_wished() {
    let server = Server::new(|request, _| good(request));
    let texts = ["call 555-123-4567 or ann@example.com, alien"];
    let open = |redact| {
        let mut settings = settings();
        settings.service.redact = redact;
        RemoteEncoder::open(&server.url(), &settings, None).unwrap()
    };
    open(true).encode(&texts, &Silent).unwrap();
    open(false).encode(&texts, &Silent).unwrap();
    open(true).with_redaction(Box::new(NoAliens)).encode(&texts, &Silent).unwrap();
    let sent: Vec<String> = server.requests().iter().skip(1).step_by(2).flat_map(inputs).collect();
    let wanted =
        ["call [phone] or [email], alien", texts[0], "call 555-123-4567 or ann@example.com, x"];
    assert_eq!(sent, wanted);
}

#[test]
fn long_texts_are_cut_and_calls_are_bounded_in_bytes() {
    let server = Server::new(|request, _| good(request));
    let settings = RemoteSettings { max_chars: 3, ..settings() };
    let encoder = RemoteEncoder::open(&server.url(), &settings, None).unwrap();
    let encoded = encoder.encode(&["电影电影", "abc"], &Silent).unwrap();
    assert_eq!((encoded.truncated, encoded.vectors), (1, normalised(&["电影电", "abc"])));
    let settings = RemoteSettings { batch: 100, max_chars: 0, ..settings };
    let encoder = RemoteEncoder::open(&server.url(), &settings, None).unwrap();
    let long = "x".repeat(100 << 10);
    encoder.encode(&[long.as_str(); 5], &Silent).unwrap();
    let counts: Vec<usize> =
        server.requests().iter().map(inputs).filter(|t| t[0].len() > 99).map(|t| t.len()).collect();
    // 256 KiB hold two texts of 100.
    assert_eq!((counts.len(), counts.iter().max()), (3, Some(&2)));
}

#[test]
fn a_second_run_takes_all_from_the_cache() {
    let server = Server::new(|request, _| good(request));
    let dir = tempfile::tempdir().unwrap();
    let encoder = RemoteEncoder::open(&server.url(), &settings(), None).unwrap();
    let cached = Cached::new(encoder, dir.path());
    let first = cached.encode(&TEXTS, &Silent).unwrap();
    let calls = server.requests().len();
    let second = cached.encode(&TEXTS, &Silent).unwrap();
    assert_eq!((first.vectors, second.from_cache), (second.vectors, TEXTS.len()));
    assert_eq!(server.requests().len(), calls);
}
