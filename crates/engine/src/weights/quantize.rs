//! What `text.precision` gains and costs: speed, likeness to the vectors of `f32`, and lists by text-kNN. Weights stay as they were
//! published; they are laid out anew for each precision.

use serde::Serialize;
use tastemaker_core::{Clock, Progress};
use tastemaker_text::Precision;

use super::material::{Material, Read, change, cosines, is_empty};
use crate::config::Loaded;
use crate::export::TextSource;
use crate::reading::Reading;
use crate::texts::language_model;
use crate::{Error, Places};

/// What to compare, and with what at hand.
#[derive(Clone, Copy)]
pub struct Quantize<'a> {
    /// Settings: encoder, template, limit, split.
    pub loaded: &'a Loaded,
    /// The texts; where they are those of a data set, its users' lists are measured too.
    pub source: TextSource<'a>,
    /// What to compare with `f32`.
    pub precisions: &'a [Precision],
    /// Where weights lie.
    pub places: &'a Places,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Is told of progress.
    pub progress: &'a dyn Progress,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantized {
    /// The encoder.
    pub encoder: String,
    /// Texts that were encoded.
    pub texts: usize,
    /// Texts without content; they are not compared.
    pub empty: usize,
    /// Threads that encoded.
    pub threads: usize,
    /// How lists were measured; `None` without a data set.
    pub protocol: Option<String>,
    /// A row a precision, `f32` first.
    pub rows: Vec<PrecisionRow>,
}

/// One precision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrecisionRow {
    /// Which.
    pub precision: Precision,
    /// Texts a second, on all threads.
    pub texts_per_second: f64,
    /// Mean cosine of a text's vector to that of `f32`.
    pub cosine_mean: f64,
    /// The least of them.
    pub cosine_least: f64,
    /// NDCG@10 of text-kNN.
    pub ndcg: Option<f64>,
    /// How much of the NDCG@10 of `f32` is gained or lost.
    pub ndcg_change: Option<f64>,
}

impl Quantize<'_> {
    /// Runs it.
    ///
    /// # Errors
    /// When there are no texts, the encoder is no BERT that can be opened, or text-kNN cannot be measured on the data.
    pub fn run(&self) -> Result<Quantized, Error> {
        let text = &self.loaded.config.text;
        let Self { loaded, source, clock, progress, .. } = *self;
        let material = Material { loaded, source, clock, progress };
        let all = material.texts()?;
        let borrowed: Vec<&str> = all.iter().map(String::as_str).collect();
        let folder = language_model(&text.encoder, self.places, self.progress)?;
        let reading = Reading::of(text, &folder)?;
        let mut exact: Option<Read> = None;
        let mut rows = Vec::new();
        let others = self.precisions.iter().copied().filter(|&other| other != Precision::F32);
        for precision in [Precision::F32].into_iter().chain(others) {
            let encoder = reading.open(&folder, (text.max_tokens, precision))?;
            let read = material.read(&*encoder, &borrowed)?;
            let base = exact.as_ref().unwrap_or(&read);
            let (cosine_mean, cosine_least) =
                cosines(&base.vectors, &read.vectors, 0..borrowed.len());
            rows.push(PrecisionRow {
                precision,
                texts_per_second: read.texts_per_second,
                cosine_mean,
                cosine_least,
                ndcg: read.ndcg,
                ndcg_change: change(read.ndcg, base.ndcg),
            });
            exact.get_or_insert(read);
        }
        Ok(Quantized {
            encoder: text.encoder.clone(),
            texts: all.len(),
            empty: all.iter().filter(|text| is_empty(text)).count(),
            threads: rayon::current_num_threads(),
            protocol: material.protocol(),
            rows,
        })
    }
}
