//! Texts to judge encoders by, and lists of text-kNN over their vectors.

use std::sync::Arc;

use tastemaker_core::{Clock, Progress, Silent, Vectors};
use tastemaker_data::Dataset;
use tastemaker_text::Encoder;

use crate::config::Loaded;
use crate::export::{FileTexts, TextSource};
use crate::registry::Kind;
use crate::texts::{template, texts};
use crate::{Error, Evaluation};

/// Texts encoded before time is taken, so that all memory is there.
const WARM_UP: usize = 64;
/// The metric of the lists.
const METRIC: &str = "ndcg@10";

/// What encoders are judged by.
#[derive(Clone, Copy)]
pub(super) struct Material<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) source: TextSource<'a>,
    pub(super) clock: &'a dyn Clock,
    pub(super) progress: &'a dyn Progress,
}

/// What one encoder made of the texts.
pub(super) struct Read {
    pub(super) vectors: Arc<Vectors>,
    pub(super) texts_per_second: f64,
    pub(super) ndcg: Option<f64>,
}

impl Material<'_> {
    /// Returns the texts; there is one with content.
    pub(super) fn texts(&self) -> Result<Vec<String>, Error> {
        let all = match self.source {
            TextSource::Items(data) => {
                let template = template(&data.items, &self.loaded.config.text)?;
                let (template, _) = template.ok_or(Error::NoTexts)?;
                texts(&data.items, &template)
            }
            TextSource::Lines(path) => FileTexts::lines(path)?.texts,
            TextSource::Column { path, text, id } => {
                FileTexts::column(path, text, id, self.progress)?.texts
            }
        };
        if all.iter().all(|text| is_empty(text)) { Err(Error::NoTexts) } else { Ok(all) }
    }

    /// Says how lists are measured; `None` without a data set.
    pub(super) fn protocol(&self) -> Option<String> {
        let split = &self.loaded.config.split.kind;
        matches!(self.source, TextSource::Items(_))
            .then(|| format!("text-knn, split {split}, all candidates, without refit"))
    }

    /// Lets an encoder read the texts, and measures its speed and lists.
    pub(super) fn read(&self, encoder: &dyn Encoder, texts: &[&str]) -> Result<Read, Error> {
        encoder.encode(&texts[..texts.len().min(WARM_UP)], &Silent)?;
        let start = self.clock.seconds();
        let vectors = Arc::new(encoder.encode(texts, self.progress)?.vectors);
        let seconds = (self.clock.seconds() - start).max(1e-9);
        let ndcg = match self.source {
            TextSource::Items(data) => self.ndcg(data, &vectors)?,
            TextSource::Lines(_) | TextSource::Column { .. } => None,
        };
        Ok(Read { vectors, texts_per_second: texts.len() as f64 / seconds, ndcg })
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

/// Tells whether a text has no content.
pub(super) fn is_empty(text: &str) -> bool {
    text.trim().is_empty()
}

/// Returns how much of a metric is gained or lost.
pub(super) fn change(ndcg: Option<f64>, base: Option<f64>) -> Option<f64> {
    ndcg.zip(base).filter(|(_, base)| *base > 0.0).map(|(ndcg, base)| ndcg / base - 1.0)
}

/// Returns the mean and the least cosine of rows of length 1; those of texts without content, which are zero, are left out.
pub(super) fn cosines(
    exact: &Vectors,
    others: &Vectors,
    rows: impl Iterator<Item = usize>,
) -> (f64, f64) {
    let (mut sum, mut least, mut counted) = (0.0, 1.0f64, 0usize);
    for (a, b) in rows.map(|row| (exact.row(row), others.row(row))) {
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
        counted += 1;
    }
    (sum / counted.max(1) as f64, least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_by_hand_leave_texts_without_content_out() {
        let exact = Vectors::from_flat(2, vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0]).unwrap();
        let other = Vectors::from_flat(2, vec![0.6, 0.8, 0.0, 0.0, 0.0, 1.0]).unwrap();
        // cos = .6 and 1: their mean is .8.
        let (mean, least) = cosines(&exact, &other, 0..3);
        assert!((mean - 0.8).abs() < 1e-6 && (least - 0.6).abs() < 1e-6, "{mean} {least}");
        assert_eq!(cosines(&exact, &exact, 0..3), (1.0, 1.0));
    }
}
