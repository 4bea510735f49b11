//! What `text.precision` gains and costs: speed, likeness to the vectors of `f32`, and lists by text-kNN. Weights stay as they were
//! published; they are laid out anew for each precision.

use std::sync::Arc;

use serde::Serialize;
use tastemaker_core::{Clock, Progress, Silent, Vectors};
use tastemaker_data::Dataset;
use tastemaker_text::{Encoder as _, Precision};

use crate::config::Loaded;
use crate::export::{FileTexts, TextSource};
use crate::reading::Reading;
use crate::registry::Kind;
use crate::texts::{language_model, template, texts};
use crate::{Error, Evaluation, Places};

/// Texts encoded before time is taken, so that all memory is there.
const WARM_UP: usize = 64;
/// The metric of the lists.
const METRIC: &str = "ndcg@10";

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
        let all = self.texts()?;
        let borrowed: Vec<&str> = all.iter().map(String::as_str).collect();
        let empty = all.iter().filter(|text| text.trim().is_empty()).count();
        if empty == all.len() {
            return Err(Error::NoTexts);
        }
        let folder = language_model(&text.encoder, self.places, self.progress)?;
        let reading = Reading::of(text, &folder)?;
        let mut exact: Option<(Arc<Vectors>, Option<f64>)> = None;
        let mut rows = Vec::new();
        let others = self.precisions.iter().copied().filter(|&other| other != Precision::F32);
        for precision in [Precision::F32].into_iter().chain(others) {
            let encoder = reading.open(&folder, (text.max_tokens, precision))?;
            encoder.encode(&borrowed[..borrowed.len().min(WARM_UP)], &Silent)?;
            let start = self.clock.seconds();
            let vectors = Arc::new(encoder.encode(&borrowed, self.progress)?.vectors);
            let seconds = (self.clock.seconds() - start).max(1e-9);
            let ndcg = match self.source {
                TextSource::Items(data) => self.ndcg(data, &vectors)?,
                TextSource::Lines(_) | TextSource::Column { .. } => None,
            };
            let (base, base_ndcg) = exact.get_or_insert_with(|| (vectors.clone(), ndcg));
            let (cosine_mean, cosine_least) = cosines(base, &vectors);
            let change = |(ndcg, base): (f64, f64)| (base > 0.0).then(|| ndcg / base - 1.0);
            rows.push(PrecisionRow {
                precision,
                texts_per_second: all.len() as f64 / seconds,
                cosine_mean,
                cosine_least,
                ndcg,
                ndcg_change: ndcg.zip(*base_ndcg).and_then(change),
            });
        }
        let is_data = matches!(self.source, TextSource::Items(_));
        let split = &self.loaded.config.split.kind;
        Ok(Quantized {
            encoder: text.encoder.clone(),
            texts: all.len(),
            empty,
            threads: rayon::current_num_threads(),
            protocol: is_data
                .then(|| format!("text-knn, split {split}, all candidates, without refit")),
            rows,
        })
    }

    fn texts(&self) -> Result<Vec<String>, Error> {
        Ok(match self.source {
            TextSource::Items(data) => {
                let template = template(&data.items, &self.loaded.config.text)?;
                let (template, _) = template.ok_or(Error::NoTexts)?;
                texts(&data.items, &template)
            }
            TextSource::Lines(path) => FileTexts::lines(path)?.texts,
            TextSource::Column { path, text, id } => {
                FileTexts::column(path, text, id, self.progress)?.texts
            }
        })
    }

    /// Measures text-kNN with these vectors; `None` where the settings leave the metric out.
    fn ndcg(&self, data: &Dataset, vectors: &Arc<Vectors>) -> Result<Option<f64>, Error> {
        let evaluation = Evaluation {
            pipelines: &[],
            data,
            loaded: self.loaded,
            models: &[Kind::TextKnn.name().to_owned()],
            vectors: Some((vectors, &self.loaded.config.text.encoder)),
            tokens: None,
            refit: false,
            skip_unfit: false,
            ablate: false,
            writer: None,
            clock: self.clock,
            progress: self.progress,
        };
        let report = evaluation.run()?.report;
        let row = report.models.first();
        Ok(row.and_then(|row| row.metrics.get(METRIC)).map(|stat| stat.mean))
    }
}

/// Returns the mean and the least cosine of rows of length 1; those of texts without content, which are zero, are left out.
fn cosines(exact: &Vectors, others: &Vectors) -> (f64, f64) {
    let (mut sum, mut least, mut rows) = (0.0, 1.0f64, 0usize);
    for (a, b) in (0..exact.rows()).map(|row| (exact.row(row), others.row(row))) {
        if a.iter().all(|&x| x == 0.0) {
            continue;
        }
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        // Rounding leaves lengths a little off 1, and `f32` must be like itself.
        let length = (dot(a, a) * dot(b, b)).sqrt();
        let cosine = if length > 0.0 { dot(a, b) / length } else { 0.0 };
        sum += cosine;
        least = least.min(cosine);
        rows += 1;
    }
    (sum / rows.max(1) as f64, least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_by_hand_leave_texts_without_content_out() {
        let exact = Vectors::from_flat(2, vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0]).unwrap();
        let other = Vectors::from_flat(2, vec![0.6, 0.8, 0.0, 0.0, 0.0, 1.0]).unwrap();
        // cos = .6 and 1: their mean is .8.
        let (mean, least) = cosines(&exact, &other);
        assert!((mean - 0.8).abs() < 1e-6 && (least - 0.6).abs() < 1e-6, "{mean} {least}");
        assert_eq!(cosines(&exact, &exact), (1.0, 1.0));
    }
}
