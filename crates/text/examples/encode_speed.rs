//! Measures how many texts a second an encoder reads on this machine.
//!
//! `cargo run --release -p tastemaker-text --example encode_speed -- FOLDER TEXTS [REPEATS]`, with one text a line.
#![expect(clippy::print_stdout, reason = "an example that prints")]

use std::path::Path;

use tastemaker_core::{Clock, Silent, SystemClock};
use tastemaker_text::{BertEncoder, BertSettings, Encoder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, texts, rest @ ..] = &arguments[..] else {
        return Err("say the model's folder and a file of texts, one a line".into());
    };
    let repeats = rest.first().map_or(Ok(3), |n| n.parse::<usize>())?;
    let texts = std::fs::read_to_string(texts)?;
    let texts: Vec<&str> = texts.lines().collect();
    let clock = SystemClock::default();
    let encoder = BertEncoder::open(Path::new(folder), &BertSettings::default())?;
    println!("opened in {:.2} s, {} threads", clock.seconds(), rayon::current_num_threads());
    encoder.encode(&texts[..texts.len().min(64)], &Silent)?;
    for _ in 0..repeats {
        let start = clock.seconds();
        let encoded = encoder.encode(&texts, &Silent)?;
        let seconds = clock.seconds() - start;
        let rate = texts.len() as f64 / seconds;
        println!(
            "{} texts, {} cut: {seconds:.2} s, {rate:.0} texts/s",
            texts.len(),
            encoded.truncated
        );
    }
    Ok(())
}
