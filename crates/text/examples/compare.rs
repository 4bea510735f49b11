//! Compares an encoder with vectors that another program made of the same texts.
//!
//! `cargo run -p tastemaker-text --example compare -- FOLDER TEXTS WANT`: texts one a line, WANT a JSON list of lists.
#![expect(clippy::print_stdout, reason = "an example that prints")]

use std::path::Path;

use tastemaker_core::Silent;
use tastemaker_text::BertSettings;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, texts, want] = &arguments[..] else {
        return Err("say the model's folder, a file of texts and a file of vectors".into());
    };
    let texts = std::fs::read_to_string(texts)?;
    let texts: Vec<&str> = texts.lines().collect();
    let want: Vec<Vec<f64>> = serde_json::from_slice(&std::fs::read(want)?)?;
    let encoder = tastemaker_text::open(Path::new(folder), &BertSettings::default())?;
    let encoded = encoder.encode(&texts, &Silent)?;
    let mut worst = 0.0f64;
    for (row, want) in want.iter().enumerate() {
        for (x, want) in encoded.vectors.row(row).iter().zip(want) {
            worst = worst.max((f64::from(*x) - want).abs());
        }
    }
    println!("{} texts, {} cut: greatest difference {worst:.1e}", want.len(), encoded.truncated);
    Ok(())
}
