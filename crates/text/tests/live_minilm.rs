//! The encoder against vectors that transformers and torch computed from the same weights.
//!
//! `TASTEMAKER_MINILM_DIR=folder cargo test -p tastemaker-text --features live --test live_minilm`

use std::env;
use std::path::PathBuf;

use serde::Deserialize;
use tastemaker_core::Silent;
use tastemaker_text::{BertEncoder, BertSettings, Encoder};

#[derive(Deserialize)]
struct Recorded {
    text: String,
    tokens: usize,
    first: Vec<f64>,
    sum: f64,
}

#[expect(
    clippy::disallowed_methods,
    reason = "tells where the weights are; asked for, they must be there"
)]
fn folder() -> PathBuf {
    env::var("TASTEMAKER_MINILM_DIR")
        .expect("TASTEMAKER_MINILM_DIR names the folder of the weights")
        .into()
}

#[test]
fn vectors_equal_the_python_reference() {
    let recorded: Vec<Recorded> = serde_json::from_str(include_str!("data/minilm.json")).unwrap();
    let encoder = BertEncoder::open(&folder(), &BertSettings::default()).unwrap();
    let texts: Vec<&str> = recorded.iter().map(|r| r.text.as_str()).collect();
    let encoded = encoder.encode(&texts, &Silent).unwrap();
    assert_eq!(encoded.truncated, recorded.iter().filter(|r| r.tokens == 256).count());
    let mut worst = 0.0f64;
    for (row, want) in recorded.iter().enumerate() {
        let vector = encoded.vectors.row(row);
        for (x, want) in vector.iter().zip(&want.first) {
            worst = worst.max((f64::from(*x) - want).abs());
        }
        let sum: f64 = (0..).zip(vector).map(|(i, x)| f64::from(i).cos() * f64::from(*x)).sum();
        assert!((sum - want.sum).abs() < 1e-5, "{}: {sum} {}", want.text, want.sum);
    }
    assert!(worst < 1e-6, "the worst number is off by {worst}");
}

#[test]
fn a_text_alone_gives_the_same_vector_as_among_others() {
    let encoder = BertEncoder::open(&folder(), &BertSettings::default()).unwrap();
    let texts =
        ["Toy Story", "a much longer text that stands beside it in the same block", "", "Heat"];
    let together = encoder.encode(&texts, &Silent).unwrap().vectors;
    for (row, text) in texts.iter().enumerate() {
        let alone = encoder.encode(&[text], &Silent).unwrap().vectors;
        assert!(alone.row(0) == together.row(row), "{text}");
    }
    assert!(together.row(2).iter().all(|x| x.abs() < f32::MIN_POSITIVE));
}
