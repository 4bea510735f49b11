//! Vectors from word counts alone: sublinear TF-IDF reduced by latent semantic analysis. Needs no weights.
//!
//! `x_t = (1 + ln tf_t) · (ln((1 + n) / (1 + df_t)) + 1)`, scaled to length 1, then projected on the strongest right
//! singular vectors of the matrix of all texts (Deerwester et al. 1990). `components: [terms, dim]`.

use std::collections::BTreeMap;

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{Persist, PersistError, Progress, Saved, Vectors};
use tastemaker_kernels::axpy;

use crate::cache::Digest;
use crate::reduce::{Sparse, right_singular};
use crate::words::{Token, tokens};
use crate::{Encoded, Encoder, Error, Language};

/// Texts handled in one task.
const CHUNK: usize = 256;

/// How texts are counted and reduced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TfIdfSettings {
    /// Width of a vector; fewer when the texts do not span as many directions. On short product titles more is better.
    pub dim: usize,
    /// Terms kept, the most frequent first.
    pub max_terms: usize,
    /// Texts a term must occur in; one where no term reaches it.
    pub min_df: usize,
    /// Share of texts above which a term says nothing.
    pub max_df: f32,
    /// Longest run of words counted as a term of its own.
    pub ngrams: usize,
    /// Texts the dimensions are learnt from, evenly chosen where there are more.
    pub max_fit_texts: usize,
    /// Which language's rules clean the words.
    pub language: Language,
}

impl Default for TfIdfSettings {
    fn default() -> Self {
        Self {
            dim: 512,
            max_terms: 50_000,
            min_df: 2,
            max_df: 0.5,
            ngrams: 1,
            max_fit_texts: 100_000,
            language: Language::Auto,
        }
    }
}

impl TfIdfSettings {
    fn check(&self) -> Result<(), Error> {
        let positive = [
            ("dim", self.dim, 4096),
            ("max_terms", self.max_terms, 10_000_000),
            ("min_df", self.min_df, usize::MAX),
            ("ngrams", self.ngrams, 5),
            ("max_fit_texts", self.max_fit_texts, usize::MAX),
        ];
        for (field, value, most) in positive {
            if !(1..=most).contains(&value) {
                return Err(Error::setting(
                    field,
                    format!("must be between 1 and {most}, is {value}"),
                ));
            }
        }
        if !(self.max_df > 0.0 && self.max_df <= 1.0) {
            let problem = format!("must be above 0 and at most 1, is {}", self.max_df);
            return Err(Error::setting("max_df", problem));
        }
        Ok(())
    }

    /// Counts the terms of a text: stem to number of occurrences, in alphabetical order.
    fn count(&self, text: &str) -> BTreeMap<String, (u32, String)> {
        let words = tokens(text, self.language);
        let mut counts = BTreeMap::new();
        let join = |run: &[Token], part: fn(&Token) -> &String| {
            run.iter().map(|t| part(t).as_str()).collect::<Vec<_>>().join(" ")
        };
        for n in 1..=self.ngrams {
            for run in words.windows(n) {
                let entry = counts
                    .entry(join(run, |t| &t.stem))
                    .or_insert_with(|| (0, join(run, |t| &t.surface)));
                entry.0 += 1;
            }
        }
        counts
    }
}

/// A fitted vocabulary with its dimensions.
#[derive(Clone, Debug)]
pub struct TfIdf {
    settings: TfIdfSettings,
    // Sorted by stem; the form a reader sees stands beside it.
    terms: Vec<Term>,
    numbers: FxHashMap<String, u32>,
    idf: Vec<f32>,
    dim: usize,
    components: Vec<f32>,
    id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Term {
    stem: String,
    surface: String,
}

impl TfIdf {
    /// Learns vocabulary, weights and dimensions from texts. Deterministic in texts, settings and seed.
    pub fn fit(texts: &[&str], settings: &TfIdfSettings, seed: u64) -> Result<Self, Error> {
        settings.check()?;
        let seen = document_frequencies(texts, settings);
        let most = (f64::from(settings.max_df) * texts.len() as f64).max(1.0) as usize;
        let choose = |min_df: usize| -> Vec<(Term, usize)> {
            let fits = seen
                .iter()
                .filter(|(_, (df, _))| *df >= min_df && (*df <= most || texts.len() < 10));
            let term = |stem: &String, surface: &String| Term {
                stem: stem.clone(),
                surface: surface.clone(),
            };
            let mut terms: Vec<_> =
                fits.map(|(stem, (df, surface))| (term(stem, surface), *df)).collect();
            terms.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.stem.cmp(&b.0.stem)));
            terms.truncate(settings.max_terms);
            terms.sort_by(|a, b| a.0.stem.cmp(&b.0.stem));
            terms
        };
        let mut chosen = choose(settings.min_df);
        if chosen.is_empty() {
            chosen = choose(1);
        }
        if chosen.is_empty() {
            return Err(Error::NoWords { texts: texts.len() });
        }
        let n = texts.len() as f64;
        let idf = chosen
            .iter()
            .map(|(_, df)| (((1.0 + n) / (1.0 + *df as f64)).ln() + 1.0) as f32)
            .collect();
        let terms = chosen.into_iter().map(|(term, _)| term).collect();
        let model = Self::assemble(settings.clone(), terms, idf, (0, Vec::new()));
        let step = texts.len().div_ceil(settings.max_fit_texts);
        let rows: Vec<Vec<(u32, f32)>> =
            texts.par_iter().step_by(step).map(|text| model.weigh(text)).collect();
        let matrix = Sparse::from_rows(model.terms.len(), &rows);
        let found = right_singular(&matrix, settings.dim, seed)
            .filter(|found| found.width > 0)
            .ok_or(Error::Reduction { dim: settings.dim })?;
        Ok(Self::assemble(model.settings, model.terms, model.idf, (found.width, found.data)))
    }

    fn assemble(
        settings: TfIdfSettings,
        terms: Vec<Term>,
        idf: Vec<f32>,
        (dim, components): (usize, Vec<f32>),
    ) -> Self {
        let numbers = (0..).zip(&terms).map(|(number, term)| (term.stem.clone(), number)).collect();
        let mut digest = Digest::new();
        digest.text(&format!("tf-idf {settings:?}"));
        terms.iter().for_each(|term| digest.text(&term.stem));
        digest.floats(&idf);
        digest.floats(&components);
        let id = format!("tf-idf/{}", digest.hex());
        Self { settings, terms, numbers, idf, dim, components, id }
    }

    /// Returns the terms of a text that weigh most, heaviest first, as a reader would write them.
    pub fn terms(&self, text: &str) -> Vec<(String, f32)> {
        let mut weights = self.weigh(text);
        weights.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let surface = |number: u32| self.terms[number as usize].surface.clone();
        weights.into_iter().map(|(number, weight)| (surface(number), weight)).collect()
    }

    /// Returns the weights of the known terms of a text, by rising number, of length 1 together.
    fn weigh(&self, text: &str) -> Vec<(u32, f32)> {
        let counts = self.settings.count(text);
        let known =
            counts.iter().filter_map(|(stem, (tf, _))| Some((*self.numbers.get(stem)?, *tf)));
        let mut row: Vec<(u32, f32)> =
            known.map(|(t, tf)| (t, (1.0 + (tf as f32).ln()) * self.idf[t as usize])).collect();
        let length = row.iter().map(|(_, x)| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|(_, x)| *x /= length);
        row
    }
}

/// Counts in how many texts each term occurs, and keeps the form in which it is written most often first.
fn document_frequencies(
    texts: &[&str],
    settings: &TfIdfSettings,
) -> BTreeMap<String, (usize, String)> {
    let mut seen: BTreeMap<String, (usize, String)> = BTreeMap::new();
    // Counted in blocks on all cores, merged in order.
    for block in texts.chunks(16 * CHUNK) {
        let counts: Vec<_> = block.par_iter().map(|text| settings.count(text)).collect();
        for (stem, (_, surface)) in counts.into_iter().flatten() {
            seen.entry(stem).or_insert((0, surface)).0 += 1;
        }
    }
    seen
}

impl Encoder for TfIdf {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn encode(&self, texts: &[&str], progress: &dyn Progress) -> Result<Encoded, Error> {
        let mut vectors = Vectors::zeros(texts.len(), self.dim);
        vectors.flat_mut().par_chunks_mut(self.dim).zip(texts).for_each(|(row, text)| {
            for (term, weight) in self.weigh(text) {
                axpy(weight, &self.components[term as usize * self.dim..][..self.dim], row);
            }
        });
        vectors.normalise();
        progress.report("encoding texts", texts.len(), texts.len());
        Ok(Encoded { vectors, truncated: 0, from_cache: 0 })
    }
}

#[derive(Serialize, Deserialize)]
struct Meta {
    settings: TfIdfSettings,
    terms: Vec<Term>,
}

impl Persist for TfIdf {
    fn save(&self) -> Saved {
        let meta = Meta { settings: self.settings.clone(), terms: self.terms.clone() };
        let meta = serde_json::to_value(meta).expect("plain data is always JSON");
        let mut saved = Saved { meta, ..Saved::default() };
        saved.put_f32("idf", &[self.idf.len()], self.idf.clone());
        saved.put_f32("components", &[self.terms.len(), self.dim], self.components.clone());
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let Meta { settings, terms } = serde_json::from_value(saved.meta.take())?;
        let (_, idf) = saved.take_f32("idf")?;
        let (dim, components) = saved.take_matrix("components")?;
        let unfit = |name: &str| Err(PersistError::Shape { name: name.to_owned() });
        if idf.len() != terms.len() || terms.is_empty() {
            return unfit("idf");
        }
        if dim == 0 || components.len() != terms.len() * dim {
            return unfit("components");
        }
        let distinct: FxHashSet<&str> = terms.iter().map(|term| term.stem.as_str()).collect();
        if distinct.len() != terms.len() || !idf.iter().chain(&components).all(|x| x.is_finite()) {
            return unfit("terms");
        }
        Ok(Self::assemble(settings, terms, idf, (dim, components)))
    }
}
