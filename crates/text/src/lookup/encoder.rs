//! An encoder that looks token vectors up and averages them, in the format of `Model2Vec`: `config.json` with `model_type` `model2vec`,
//! `tokenizer.json`, and `embeddings: [vocabulary, dim]` in `model.safetensors`.

use std::path::Path;

use rayon::prelude::*;
use serde::Deserialize;
use tastemaker_core::{Progress, Vectors};
use tastemaker_kernels::axpy;

use crate::bert::{Architecture, BertSettings, JSON_LIMIT, Limits, Tokeniser, Weights};
use crate::bert::{parse, read_limited, read_tokenizer};
use crate::cache::Digest;
use crate::{Encoded, Encoder, Error};

/// What `config.json` calls such models.
pub(super) const MODEL_TYPE: &str = "model2vec";
/// The table's name in `model.safetensors`.
pub(super) const TABLE: &str = "embeddings";
/// Tokens of a text that are read unless the settings say so.
const MAX_TOKENS: usize = 512;
/// Texts encoded in one task.
const CHUNK: usize = 64;

/// A table of token vectors, `[vocabulary, dim]`, with the tokenizer that numbers them.
pub struct StaticEncoder {
    id: String,
    tokeniser: Tokeniser,
    /// Says nothing, and is passed over.
    unknown: Option<u32>,
    max_tokens: usize,
    dim: usize,
    table: Vec<f32>,
    normalise: bool,
}

#[derive(Deserialize)]
struct StaticConfig {
    model_type: Option<String>,
}

/// Tells whether the folder's `config.json` names a static model.
pub(crate) fn is_static(folder: &Path) -> bool {
    let path = folder.join("config.json");
    let bytes = read_limited(&path, JSON_LIMIT);
    let config = bytes.and_then(|bytes| parse::<StaticConfig>(&path, &bytes));
    config.is_ok_and(|config| config.model_type.as_deref() == Some(MODEL_TYPE))
}

impl std::fmt::Debug for StaticEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticEncoder").field("id", &self.id).finish_non_exhaustive()
    }
}

impl StaticEncoder {
    /// Opens a folder of this format; of the settings, the limit and the scale count.
    pub fn open(folder: &Path, settings: &BertSettings) -> Result<Self, Error> {
        let mut digest = Digest::new();
        let weights = Weights::open(folder, Architecture::Bert)?;
        weights.digest(&mut digest)?;
        let shape = weights.shape(TABLE)?;
        let &[rows, dim] = &shape[..] else {
            let path = folder.join("model.safetensors");
            let (name, wanted) = (TABLE.to_owned(), vec![0, 0]);
            return Err(Error::Shape { path, name, found: shape, wanted });
        };
        let table = weights.take(TABLE, &[rows, dim])?;
        let path = folder.join("tokenizer.json");
        let bytes = read_tokenizer(&path)?;
        digest.bytes(&bytes);
        let max_tokens = settings.max_tokens.unwrap_or(MAX_TOKENS);
        // One more than is read tells whether a text was cut.
        let limits = Limits::one(max_tokens.saturating_add(1));
        let tokeniser = Tokeniser::new(&path, &bytes, limits, (rows, 1))?;
        let unknown = tokeniser.unknown(&bytes);
        let scale = if settings.normalise { "unit" } else { "plain" };
        let id = format!("static/{}/{max_tokens}/{scale}", digest.hex());
        Ok(Self { id, tokeniser, unknown, max_tokens, dim, table, normalise: settings.normalise })
    }
}

impl Encoder for StaticEncoder {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn encode(&self, texts: &[&str], progress: &dyn Progress) -> Result<Encoded, Error> {
        let mut vectors = Vectors::zeros(texts.len(), self.dim);
        let size = (CHUNK * self.dim).max(1);
        let chunks = vectors.flat_mut().par_chunks_mut(size).zip(texts.par_chunks(CHUNK));
        let truncated = chunks
            .enumerate()
            .map(|(chunk, (rows, texts))| {
                let mut truncated = 0;
                let rows = rows.chunks_exact_mut(self.dim);
                for ((index, text), row) in (chunk * CHUNK..).zip(texts).zip(rows) {
                    let mut ids = self.tokeniser.plain(index, text)?;
                    truncated += usize::from(ids.len() > self.max_tokens);
                    ids.truncate(self.max_tokens);
                    ids.retain(|&id| Some(id) != self.unknown);
                    let share = 1.0 / ids.len().max(1) as f32;
                    for id in ids {
                        axpy(share, &self.table[id as usize * self.dim..][..self.dim], row);
                    }
                }
                Ok(truncated)
            })
            .try_reduce(|| 0, |a, b| Ok(a + b))?;
        if self.normalise {
            vectors.normalise();
        }
        progress.report("encoding texts", texts.len(), texts.len());
        Ok(Encoded { vectors, truncated, from_cache: 0 })
    }
}
