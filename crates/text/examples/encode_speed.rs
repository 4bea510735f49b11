//! Measures how many texts a second an encoder reads on this machine, and how near its vectors are to those of `f32`.
//!
//! `cargo run --release -p tastemaker-text --example encode_speed -- FOLDER TEXTS [REPEATS] [f32|bf16|int8]`, with one text a line.
#![expect(clippy::print_stdout, reason = "an example that prints")]

use std::path::Path;

use tastemaker_core::{Clock, Silent, SystemClock};
use tastemaker_text::{BertSettings, Precision};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, texts, rest @ ..] = &arguments[..] else {
        return Err("say the model's folder and a file of texts, one a line".into());
    };
    let repeats = rest.first().map_or(Ok(3), |n| n.parse::<usize>())?;
    let precision = match rest.get(1).map_or("f32", String::as_str) {
        "f32" => Precision::F32,
        "bf16" => Precision::Bf16,
        "int8" => Precision::Int8,
        other => return Err(format!("`{other}` is none of f32, bf16 and int8").into()),
    };
    let texts = std::fs::read_to_string(texts)?;
    let texts: Vec<&str> = texts.lines().collect();
    let clock = SystemClock::default();
    let open = |precision| {
        tastemaker_text::open(
            Path::new(folder),
            &BertSettings { precision, ..BertSettings::default() },
        )
    };
    let encoder = open(precision)?;
    println!("opened in {:.2} s, {} threads", clock.seconds(), rayon::current_num_threads());
    let first = encoder.encode(&texts[..texts.len().min(1000)], &Silent)?;
    for _ in 0..repeats {
        let (start, busy) = (clock.seconds(), processor_seconds());
        let encoded = encoder.encode(&texts, &Silent)?;
        let seconds = clock.seconds() - start;
        let rate = texts.len() as f64 / seconds;
        print!(
            "{} texts, {} cut: {seconds:.2} s, {rate:.0} texts/s",
            texts.len(),
            encoded.truncated
        );
        match busy.zip(processor_seconds()).map(|(before, after)| after - before) {
            Some(busy) if busy > 0.0 => {
                println!(", {:.0} a second of processor time", texts.len() as f64 / busy);
            }
            _ => println!(),
        }
    }
    if precision != Precision::F32 {
        let exact = open(Precision::F32)?.encode(&texts[..first.vectors.rows()], &Silent)?;
        let rows =
            (0..first.vectors.rows()).map(|row| (exact.vectors.row(row), first.vectors.row(row)));
        let cosines: Vec<f32> =
            rows.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum()).collect();
        let mean = cosines.iter().sum::<f32>() / cosines.len() as f32;
        let least = cosines.iter().copied().fold(1.0, f32::min);
        println!("cosine to f32 over {} texts: mean {mean:.5}, least {least:.5}", cosines.len());
    }
    Ok(())
}

/// Returns the processor time of all threads so far, where Linux tells it: hundredths of a second, user's and system's.
fn processor_seconds() -> Option<f64> {
    let line = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = line.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Some(ticks.sum::<Result<f64, _>>().ok()? / 100.0)
}
