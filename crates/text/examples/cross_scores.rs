//! Prints scores of pairs of texts as JSON, for `bench/heads_parity.py`:
//! `cargo run --release -p tastemaker-text --example cross_scores -- FOLDER > pairs.json`
#![expect(clippy::print_stdout, reason = "an example that prints")]

use std::path::Path;

use tastemaker_core::Silent;
use tastemaker_text::{BertSettings, CrossEncoder};

const PAIRS: [(&str, &str); 6] = [
    ("Toy Story (1995); Babe (1995)", "Aladdin (1992)"),
    ("Toy Story (1995)", "Silence of the Lambs, The (1991)"),
    ("OPI nail polish red; Essie base coat", "Zoya nail polish remover 250 ml"),
    (
        "电影 and 🙂",
        "a very plain text, with commas, and with a few more words than the others have",
    ),
    ("", "only one side"),
    ("words words words words words words words words words words", "one"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("name the folder")?;
    let settings = BertSettings { max_tokens: Some(256), ..BertSettings::default() };
    let cross = CrossEncoder::open(Path::new(&folder), &settings)?;
    let scores = cross.score(&PAIRS, &Silent)?;
    let rows: Vec<_> = PAIRS
        .iter()
        .zip(scores.chunks_exact(cross.n_labels()))
        .map(|((first, second), scores)| serde_json::json!([first, second, scores]))
        .collect();
    println!("{}", serde_json::Value::from(rows));
    Ok(())
}
