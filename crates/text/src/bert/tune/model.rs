//! The whole encoder: embeddings, layers, pooling; forward over a block of texts, and all the way back.
//!
//! All weights are one run of numbers, handed in with every pass, so that who trains can change them as it likes. A block
//! is ragged, as in the encoder that only reads: rows of different texts meet in attention alone, and there not at all.

use std::path::{Path, PathBuf};

use tastemaker_kernels::NormGradients;

use super::layer::{LayerState, Scratch, Shape, Work, sized};
use super::places::{EMBEDDING_NORM, NamedTensor, POSITIONS, TYPES, WORDS, Wanted, tensors};
use crate::Error;
use crate::bert::architecture::{Architecture, positions};
use crate::bert::config::{BertSettings, Description, Pooling, read_tokenizer};
use crate::bert::tokenise::{Limits, Tokeniser, Tokens};
use crate::bert::weights::Weights;

/// A BERT-family encoder opened for tuning.
pub struct TunableBert {
    pub(super) dir: PathBuf,
    pub(super) architecture: Architecture,
    padding: Option<u32>,
    pub(super) tensors: Vec<NamedTensor>,
    tokeniser: Tokeniser,
    shape: Shape,
    n_layers: usize,
    pooling: Pooling,
}

/// What a forward pass leaves for the backward pass of the same block. Reused from block to block.
#[derive(Clone, Debug, Default)]
pub struct TuneState {
    offsets: Vec<usize>,
    embedded: Vec<f32>,
    embedded_stats: Vec<f32>,
    layers: Vec<LayerState>,
    x: Vec<f32>,
    scratch: Scratch,
}

impl std::fmt::Debug for TunableBert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TunableBert").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl TunableBert {
    /// Opens a Hugging Face folder as [`BertEncoder::open`](crate::BertEncoder::open) does; also returns all weights.
    pub fn open(dir: &Path, settings: &BertSettings) -> Result<(Self, Vec<f32>), Error> {
        let Description { config, pooling, dense, max_tokens, .. } =
            Description::read(dir, settings)?;
        if !dense.is_empty() || matches!(pooling, Pooling::Max | Pooling::Last) {
            return Err(Error::Unsupported {
                path: dir.to_owned(),
                field: "pooling",
                found: format!("{pooling:?} with {} dense layers behind it", dense.len()),
                supported: "the mean and the first token, without such layers,",
            });
        }
        if config.is_pruned() {
            return Err(Error::Unsupported {
                path: dir.join("config.json"),
                field: "pruned_heads",
                found: "not empty".to_owned(),
                supported: "models with all their heads, for tuning,",
            });
        }
        let path = dir.join("tokenizer.json");
        let tokeniser = Tokeniser::new(
            &path,
            &read_tokenizer(&path)?,
            Limits::one(max_tokens),
            (config.vocab_size, config.token_types()),
        )?;
        let tensors = tensors(&config);
        let file = Weights::open(dir, config.architecture)?;
        let mut weights = Vec::with_capacity(tensors.last().map_or(0, |last| last.range.end));
        for tensor in tensors.iter().filter(|tensor| !tensor.range.is_empty()) {
            weights.extend(file.take(&tensor.name, &tensor.shape)?);
        }
        let shape = Shape {
            hidden: config.hidden_size,
            inner: config.intermediate_size,
            heads: config.num_attention_heads,
            epsilon: config.layer_norm_eps,
        };
        let n_layers = config.num_hidden_layers;
        let (dir, architecture, padding) = (dir.to_owned(), config.architecture, config.padding);
        let own = Self { dir, architecture, padding, tensors, tokeniser, shape, n_layers, pooling };
        Ok((own, weights))
    }

    /// Returns the width of a vector.
    pub const fn dim(&self) -> usize {
        self.shape.hidden
    }

    /// Counts the layers.
    pub const fn n_layers(&self) -> usize {
        self.n_layers
    }

    /// Returns about how many numbers a state holds for each token of texts of at most `len` tokens.
    pub const fn floats_per_token(&self, len: usize) -> usize {
        let Shape { hidden, inner, heads, .. } = self.shape;
        self.n_layers * (8 * hidden + 2 * inner + heads * len) + 2 * hidden
    }

    /// Lists the tensors, in the order of the run of weights.
    pub fn tensors(&self) -> &[NamedTensor] {
        &self.tensors
    }

    /// Cuts texts into tokens.
    pub fn tokenise(&self, texts: &[&str]) -> Result<Vec<Tokens>, Error> {
        self.tokeniser.tokenise(texts)
    }

    fn work<'a>(&'a self, weights: &'a [f32], offsets: &'a [usize]) -> Work<'a> {
        Work { shape: self.shape, tensors: &self.tensors, weights, offsets }
    }

    /// Writes one vector per text to `out: [texts, dim]`, pooled as the folder says and not normalised. No text may be
    /// empty.
    pub fn forward(
        &self,
        weights: &[f32],
        texts: &[&Tokens],
        state: &mut TuneState,
        out: &mut [f32],
    ) {
        let hidden = self.shape.hidden;
        let TuneState { offsets, embedded, embedded_stats, layers, x, scratch } = state;
        offsets.clear();
        offsets.push(0);
        let mut end = 0;
        offsets.extend(texts.iter().map(|text| {
            end += text.ids.len();
            end
        }));
        self.embed(weights, texts, embedded);
        let work = self.work(weights, offsets);
        let x = sized(x, embedded.len());
        work.norm(EMBEDDING_NORM).forward(embedded, x, sized(embedded_stats, 2 * end));
        layers.resize_with(self.n_layers, LayerState::default);
        for (n, layer) in layers.iter_mut().enumerate() {
            work.layer_forward(n, x, (layer, scratch));
        }
        let texts = offsets.windows(2).map(|w| &x[w[0] * hidden..w[1] * hidden]);
        for (tokens, vector) in texts.zip(out.chunks_exact_mut(hidden)) {
            if self.pooling == Pooling::Cls {
                vector.copy_from_slice(&tokens[..hidden]);
                continue;
            }
            vector.fill(0.0);
            for token in tokens.chunks_exact(hidden) {
                vector.iter_mut().zip(token).for_each(|(sum, x)| *sum += x);
            }
            let share = 1.0 / (tokens.len() / hidden) as f32;
            vector.iter_mut().for_each(|x| *x *= share);
        }
    }

    fn embed(&self, weights: &[f32], texts: &[&Tokens], embedded: &mut Vec<f32>) {
        let row = |table: usize, index: u32| {
            let start = self.tensors[table].range.start + index as usize * self.shape.hidden;
            weights[start..start + self.shape.hidden].iter()
        };
        embedded.clear();
        for text in texts {
            let places = positions(&text.ids, self.padding);
            for (position, (&id, &kind)) in places.zip(text.ids.iter().zip(&text.types)) {
                let parts = row(WORDS, id).zip(row(POSITIONS, position));
                if self.tensors[TYPES].range.is_empty() {
                    embedded.extend(parts.map(|(w, p)| w + p));
                } else {
                    embedded.extend(parts.zip(row(TYPES, kind)).map(|((w, p), t)| w + t + p));
                }
            }
        }
    }

    /// Adds the wanted gradients of the block that `state` was left by, given those of its vectors, `[texts, dim]`.
    pub fn backward(
        &self,
        weights: &[f32],
        (texts, d_out): (&[&Tokens], &[f32]),
        (wanted, gradients): (&Wanted, &mut [f32]),
        state: &mut TuneState,
    ) {
        let hidden = self.shape.hidden;
        let TuneState { offsets, embedded, embedded_stats, layers, x: d, scratch } = state;
        let work = self.work(weights, offsets);
        for (text, vector) in offsets.windows(2).zip(d_out.chunks_exact(hidden)) {
            let d = &mut d[text[0] * hidden..text[1] * hidden];
            let is_cls = self.pooling == Pooling::Cls;
            let share = if is_cls { 1.0 } else { 1.0 / (text[1] - text[0]) as f32 };
            for (at, token) in d.chunks_exact_mut(hidden).enumerate() {
                let share = if is_cls && at > 0 { 0.0 } else { share };
                token.iter_mut().zip(vector).for_each(|(d, x)| *d = share * x);
            }
        }
        for (n, layer) in layers.iter().enumerate().rev().filter(|(n, _)| wanted.reaches(*n)) {
            work.layer_backward(n, d, (wanted, gradients), (layer, scratch));
        }
        if !wanted.reaches_below(0) {
            return;
        }
        let Scratch { spare, .. } = scratch;
        let mut below = vec![0.0; d.len()];
        let [gain, bias] = wanted.of_norm(EMBEDDING_NORM, gradients, sized(spare, 2 * hidden));
        let into = NormGradients { x: &mut below, gain, bias };
        work.norm(EMBEDDING_NORM).backward(embedded, embedded_stats, d, into);
        let mut rows = below.chunks_exact(hidden);
        for text in texts {
            let places = positions(&text.ids, self.padding);
            let tokens = places.zip(text.ids.iter().zip(&text.types));
            for ((position, (&id, &kind)), d) in tokens.zip(rows.by_ref()) {
                for (table, index) in [(WORDS, id), (POSITIONS, position), (TYPES, kind)] {
                    let table = wanted.of(table, gradients).filter(|table| !table.is_empty());
                    let Some(table) = table else { continue };
                    let row = &mut table[index as usize * hidden..][..hidden];
                    row.iter_mut().zip(d).for_each(|(g, d)| *g += d);
                }
            }
        }
    }
}
