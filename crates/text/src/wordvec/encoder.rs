//! A text is the mean of its words' vectors, frequent words counting less:
//! `v = Σ_w a / (a + p(w)) · v_w`, scaled to length 1 (smooth inverse frequency, Arora et al. 2017), `a = .001`.
//!
//! Files of word vectors are sorted by frequency and tell no counts: the share of the n-th word is taken as `p(w) ∝ 1 / n` (Zipf 1949).

use rayon::prelude::*;
use rustc_hash::FxHashMap;
use tastemaker_core::{Progress, Tokens, Vectors};
use tastemaker_kernels::axpy;

use super::read::WordVectors;
use crate::encode::number;
use crate::words::tokens;
use crate::{Encoded, Encoder, Error, Language};

/// The `a` of the weights: the share from which on a word counts less than half.
const SMOOTHING: f64 = 1e-3;
/// Texts encoded in one task.
const CHUNK: usize = 64;

/// Word vectors as an encoder: words are found as [`words`](crate::words) cuts them, before they are stemmed, in lower case.
pub struct WordEncoder {
    id: String,
    rows: FxHashMap<String, u32>,
    dim: usize,
    flat: Vec<f32>,
    weights: Vec<f32>,
}

impl std::fmt::Debug for WordEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WordEncoder").field("id", &self.id).finish_non_exhaustive()
    }
}

impl WordEncoder {
    /// Takes vectors over; of words that differ in case alone the first, which is the most frequent, counts.
    pub fn new(vectors: WordVectors) -> Self {
        let WordVectors { words, dim, flat, digest } = vectors;
        let total: f64 = (1..=words.len()).map(|rank| 1.0 / rank as f64).sum();
        let weight = |rank: usize| {
            let share = 1.0 / (rank as f64 * total);
            (SMOOTHING / (SMOOTHING + share)) as f32
        };
        let weights = (1..=words.len()).map(weight).collect();
        let mut rows = FxHashMap::default();
        for (row, word) in (0..).zip(&words) {
            let plain =
                if word.is_ascii() { word.to_ascii_lowercase() } else { word.to_lowercase() };
            rows.entry(plain).or_insert(row);
        }
        Self { id: format!("words/{digest}/sif"), rows, dim, flat, weights }
    }

    /// Returns the rows of the words of a text that are known.
    fn known(&self, text: &str) -> Vec<u32> {
        let words = tokens(text, Language::Auto).into_iter();
        words.filter_map(|word| self.rows.get(&word.surface).copied()).collect()
    }

    fn vector(&self, row: u32) -> &[f32] {
        &self.flat[row as usize * self.dim..][..self.dim]
    }
}

impl Encoder for WordEncoder {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn encode(&self, texts: &[&str], progress: &dyn Progress) -> Result<Encoded, Error> {
        let mut vectors = Vectors::zeros(texts.len(), self.dim);
        let chunks = vectors.flat_mut().par_chunks_mut(CHUNK * self.dim);
        chunks.zip(texts.par_chunks(CHUNK)).for_each(|(rows, texts)| {
            for (text, sum) in texts.iter().zip(rows.chunks_exact_mut(self.dim)) {
                for row in self.known(text) {
                    axpy(self.weights[row as usize], self.vector(row), sum);
                }
            }
        });
        vectors.normalise();
        progress.report("encoding texts", texts.len(), texts.len());
        Ok(Encoded { vectors, truncated: 0, from_cache: 0 })
    }

    fn tokens(&self, texts: &[&str]) -> Result<Tokens, Error> {
        let rows: Vec<Vec<u32>> = texts.par_iter().map(|text| self.known(text)).collect();
        let (numbers, kept) = number(&rows, |_| true);
        let flat = kept.iter().flat_map(|&row| self.vector(row)).copied().collect();
        let vectors = Vectors::from_flat(self.dim, flat);
        Ok(Tokens::new(numbers, kept.len(), vectors).expect("every word has a finite vector"))
    }
}
