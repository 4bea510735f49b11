//! The encoder around the model: tokens, blocks of similar length, all cores.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use tastemaker_core::{Progress, Tokens as TokenRows, Vectors};
use tastemaker_kernels::axpy;

use super::config::{BertSettings, Description, Pooling, Precision, Summary, read_tokenizer};
use super::extras::ExtraTensors;
use super::model::{BertModel, Buffers};
use super::modules::Dense;
use super::tokenise::{Tokeniser, Tokens};
use super::weights::Weights;
use crate::cache::Digest;
use crate::encode::number;
use crate::{Encoded, Encoder, Error};

/// Tokens of a block: enough to feed the matrix products, few enough to stay in the caches.
const BLOCK_TOKENS: usize = 384;

/// A BERT-family encoder.
pub struct BertEncoder {
    id: String,
    pub(super) model: BertModel,
    pub(super) tokeniser: Tokeniser,
    pub(super) hidden: usize,
    dim: usize,
    pub(super) pooling: Pooling,
    pub(super) dense: Vec<Dense>,
    normalise: bool,
    idle: Mutex<Vec<Buffers>>,
}

impl std::fmt::Debug for BertEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BertEncoder").field("id", &self.id).finish_non_exhaustive()
    }
}

impl BertEncoder {
    /// Opens a Hugging Face folder of a BERT, `RoBERTa`, XLM-R or `DistilBERT`: `config.json`, `tokenizer.json`, `model.safetensors`
    /// or its shards, and where they are there `sentence_bert_config.json` and `1_Pooling/config.json`.
    pub fn open(dir: &Path, settings: &BertSettings) -> Result<Self, Error> {
        let mut description = Description::read(dir, settings)?;
        let extras = ExtraTensors::read(dir, &description.config)?;
        let room = description.config.positions() - extras.prefix;
        description.max_tokens = description.max_tokens.min(room);
        let limits = description.limits(settings)?;
        let Description { config, pooling, dense, max_tokens, bytes } = description;
        let mut digest = Digest::new();
        digest.bytes(&bytes);
        let path = dir.join("tokenizer.json");
        let bytes = read_tokenizer(&path)?;
        digest.bytes(&bytes);
        let tokeniser =
            Tokeniser::new(&path, &bytes, limits, (config.vocab_size, config.token_types()))?;
        let weights = Weights::open(dir, config.architecture)?;
        weights.digest(&mut digest)?;
        extras.digest(&mut digest);
        let model = BertModel::load(&weights, (&config, &extras), settings.precision.into())?;
        let (dense, dim) = Dense::load_all(&dense, config.hidden_size, &mut digest)?;
        let scale = if settings.normalise { "unit" } else { "plain" };
        let precision = match settings.precision {
            Precision::F32 => "",
            Precision::Bf16 => "/bf16",
            Precision::Int8 => "/int8-7",
        };
        let reading = match (limits.windows, limits.summary) {
            (1, Summary::Off) => String::new(),
            (windows, summary) => format!("/{windows}x{}/{summary:?}", limits.overlap),
        };
        let hash = digest.hex();
        let id = format!("bert/{hash}/{pooling:?}/{max_tokens}/{scale}{precision}{reading}");
        let (hidden, normalise) = (config.hidden_size, settings.normalise);
        let idle = Mutex::default();
        Ok(Self { id, model, tokeniser, hidden, dim, pooling, dense, normalise, idle })
    }

    /// Computes the vectors of one block with memory no other thread uses.
    fn run(&self, block: &[&Tokens]) -> Vec<f32> {
        let lock = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffers = lock().pop().unwrap_or_default();
        let mut out = vec![0.0; block.len() * self.hidden];
        self.model.forward(block, self.pooling, &mut buffers, &mut out);
        lock().push(buffers);
        self.dense.iter().fold(out, |out, dense| dense.apply(&out))
    }
}

impl Encoder for BertEncoder {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn tokens(&self, texts: &[&str]) -> Result<TokenRows, Error> {
        let (rows, kept) = number(&self.tokeniser.numbers(texts)?, |_| true);
        let vectors = kept.iter().flat_map(|&token| self.model.word(token)).copied().collect();
        let vectors = Vectors::from_flat(self.hidden, vectors);
        Ok(TokenRows::new(rows, kept.len(), vectors).expect("every token has a finite vector"))
    }

    fn encode(&self, texts: &[&str], progress: &dyn Progress) -> Result<Encoded, Error> {
        let windows = self.tokeniser.tokenise_windows(texts)?;
        let counts: Vec<usize> = windows.iter().map(Vec::len).collect();
        let tokens: Vec<Tokens> = windows.into_iter().flatten().collect();
        let mut vectors = self.run_all(&tokens, progress);
        if tokens.len() > texts.len() {
            vectors = self.averaged(&counts, &tokens, &vectors);
        }
        if self.normalise {
            vectors.normalise();
        }
        let truncated = tokens.iter().filter(|text| text.truncated).count();
        Ok(Encoded { vectors, truncated, from_cache: 0 })
    }
}

impl BertEncoder {
    /// Returns the vectors of texts of any lengths, not scaled.
    fn run_all(&self, tokens: &[Tokens], progress: &dyn Progress) -> Vectors {
        let order = longest_first(tokens);
        let blocks = blocks(tokens, &order);
        let done = AtomicUsize::new(0);
        let results: Vec<Vec<f32>> = blocks
            .par_iter()
            .with_max_len(1)
            .map(|block| {
                let inputs: Vec<&Tokens> = block.iter().map(|&row| &tokens[row]).collect();
                let out = self.run(&inputs);
                let done = done.fetch_add(block.len(), Ordering::Relaxed) + block.len();
                progress.report("encoding texts", done, order.len());
                out
            })
            .collect();
        let mut vectors = Vectors::zeros(tokens.len(), self.dim);
        for (block, out) in blocks.iter().zip(&results) {
            for (&row, vector) in block.iter().zip(out.chunks_exact(self.dim)) {
                vectors.row_mut(row).copy_from_slice(vector);
            }
        }
        vectors
    }

    /// Returns the mean of each text's windows, weighted by their tokens.
    fn averaged(&self, counts: &[usize], tokens: &[Tokens], windows: &Vectors) -> Vectors {
        let mut vectors = Vectors::zeros(counts.len(), self.dim);
        let mut at = 0;
        for (row, &count) in counts.iter().enumerate() {
            let own = at..at + count;
            let total: usize = tokens[own.clone()].iter().map(Tokens::len).sum();
            for window in own {
                let share = tokens[window].len() as f32 / total.max(1) as f32;
                axpy(share, windows.row(window), vectors.row_mut(row));
            }
            at += count;
        }
        vectors
    }

    /// Returns the width of a vector.
    pub(crate) const fn width(&self) -> usize {
        self.dim
    }

    /// Returns the vector of every token of the vocabulary alone.
    pub(crate) fn each_token(&self, progress: &dyn Progress) -> Vectors {
        self.run_all(&self.tokeniser.each(self.model.vocabulary()), progress)
    }
}

/// Orders the texts that have content, longest first: the last tasks are short, so no core waits long at the end.
pub(super) fn longest_first(tokens: &[Tokens]) -> Vec<usize> {
    let mut order: Vec<usize> =
        (0..tokens.len()).filter(|&row| !tokens[row].ids.is_empty()).collect();
    order.sort_by_key(|&row| (std::cmp::Reverse(tokens[row].ids.len()), row));
    order
}

/// Cuts the order into blocks of about [`BLOCK_TOKENS`] tokens.
pub(super) fn blocks<'a>(tokens: &[Tokens], mut order: &'a [usize]) -> Vec<&'a [usize]> {
    let mut blocks = Vec::new();
    while !order.is_empty() {
        let mut sum = 0;
        let fits = order.iter().take_while(|&&row| {
            sum += tokens[row].ids.len();
            sum <= BLOCK_TOKENS
        });
        let (block, rest) = order.split_at(fits.count().max(1));
        blocks.push(block);
        order = rest;
    }
    blocks
}
