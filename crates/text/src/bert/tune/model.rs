//! The whole encoder: embeddings, layers, pooling; forward over a block of texts, and all the way back.
//!
//! All weights are one run of numbers, handed in with every pass, so that who trains can change them as it likes. A block
//! is ragged, as in the encoder that only reads: rows of different texts meet in attention alone, and there not at all.

use std::path::{Path, PathBuf};

use tastemaker_kernels::NormGradients;

use super::layer::{LayerState, Scratch, Shape, Work, sized};
use super::places::{
    EMBEDDING_NORM, Extras, NamedTensor, POSITIONS, TYPES, WORDS, Wanted, tensors,
};
use crate::Error;
use crate::bert::architecture::{Architecture, positions};
use crate::bert::config::{BertSettings, Description, Pooling, read_tokenizer};
use crate::bert::extras::ExtraTensors;
use crate::bert::tokenise::{Limits, TokenFacts, Tokeniser, Tokens};
use crate::bert::weights::Weights;

/// A BERT-family encoder opened for tuning.
pub struct TunableBert {
    pub(in crate::bert) dir: PathBuf,
    pub(in crate::bert) architecture: Architecture,
    padding: Option<u32>,
    pub(super) tensors: Vec<NamedTensor>,
    pub(super) extras: Extras,
    tokeniser: Tokeniser,
    pub(super) shape: Shape,
    n_layers: usize,
    pub(super) pooling: Pooling,
    /// Tokens of a text that are read.
    pub(super) max_tokens: usize,
    /// Positions there are.
    pub(super) positions: usize,
}

/// What is read of the outputs of a block.
#[derive(Clone, Copy, Debug, Default)]
pub enum TuneReading<'a> {
    /// One vector per text, pooled as the folder says and not normalised.
    #[default]
    Pooled,
    /// The vectors of these tokens of each text, one text after another.
    Tokens(&'a [Vec<u32>]),
}

impl TuneReading<'_> {
    /// Counts the vectors that are read of so many texts.
    pub fn rows(self, texts: usize) -> usize {
        match self {
            Self::Pooled => texts,
            Self::Tokens(places) => places.iter().map(Vec::len).sum(),
        }
    }
}

/// What is dropped of the embeddings' output and of what every sublayer adds (Srivastava et al. 2014), as in BERT's own training; nothing by
/// default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dropout {
    /// Share of the numbers, 0 to below 1.
    pub rate: f32,
    /// What is dropped of a text follows from this and its number.
    pub key: u64,
    /// Number of the block's first text.
    pub first: usize,
}

/// Texts that go through the encoder together; none may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct TuneBlock<'a> {
    /// The texts.
    pub texts: &'a [&'a Tokens],
    /// What is read of the outputs.
    pub reading: TuneReading<'a>,
    /// What is added to the output of the embeddings, `[tokens, dim]`; empty for nothing.
    pub moves: &'a [f32],
    /// What is dropped on the way.
    pub dropout: Dropout,
}

/// What a forward pass leaves for the backward pass of the same block. Reused from block to block.
#[derive(Clone, Debug, Default)]
pub struct TuneState {
    offsets: Vec<usize>,
    embedded: Vec<f32>,
    embedded_stats: Vec<f32>,
    pub(super) layers: Vec<LayerState>,
    x: Vec<f32>,
    scratch: Scratch,
}

impl TuneState {
    /// Returns the gradient of the output of the embeddings, `[tokens, dim]`, after a backward pass that went down to it.
    pub fn embedded_gradient(&self) -> &[f32] {
        &self.x
    }
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
        let mut tensors = tensors(&config);
        let n_own = tensors.len();
        let file = Weights::open(dir, config.architecture)?;
        let mut weights = Vec::with_capacity(tensors.last().map_or(0, |last| last.range.end));
        for tensor in tensors.iter().filter(|tensor| !tensor.range.is_empty()) {
            weights.extend(file.take(&tensor.name, &tensor.shape)?);
        }
        let found = ExtraTensors::read(dir, &config)?;
        let max_tokens = max_tokens.min(config.positions() - found.prefix);
        let (positions, n_layers) = (config.positions(), config.num_hidden_layers);
        let mut extras = Extras::default();
        if found.adapters + found.prefix > 0 {
            let sizes = (config.hidden_size, n_layers);
            extras = Extras::add(&mut tensors, sizes, (found.adapters, found.prefix));
            tensors[n_own..].iter().for_each(|tensor| weights.extend(found.take(&tensor.name)));
        }
        let tokeniser = Tokeniser::new(
            &path,
            &read_tokenizer(&path)?,
            Limits::one(max_tokens),
            (config.vocab_size, config.token_types()),
        )?;
        let shape = Shape {
            hidden: config.hidden_size,
            inner: config.intermediate_size,
            heads: config.num_attention_heads,
            epsilon: config.layer_norm_eps,
        };
        let (dir, architecture, padding) = (dir.to_owned(), config.architecture, config.padding);
        let own = Self {
            dir,
            architecture,
            padding,
            tensors,
            extras,
            tokeniser,
            shape,
            n_layers,
            pooling,
            max_tokens,
            positions,
        };
        Ok((own, weights))
    }

    /// Returns the width of a vector.
    pub const fn dim(&self) -> usize {
        self.shape.hidden
    }

    /// Returns what norms add to the variance.
    pub const fn epsilon(&self) -> f32 {
        self.shape.epsilon
    }

    /// Counts the tokens of the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.tensors[WORDS].shape[0]
    }

    /// Counts the layers.
    pub const fn n_layers(&self) -> usize {
        self.n_layers
    }

    /// Returns about how many numbers a state holds for each token of texts of at most `len` tokens.
    pub const fn floats_per_token(&self, len: usize) -> usize {
        let Shape { hidden, inner, heads, .. } = self.shape;
        let Extras { adapters, prefix, .. } = self.extras;
        let attention =
            heads * (len + prefix) + if adapters > 0 { 2 * hidden + 4 * adapters } else { 0 };
        self.n_layers * (8 * hidden + 2 * inner + attention) + 2 * hidden
    }

    /// Lists the tensors, in the order of the run of weights.
    pub fn tensors(&self) -> &[NamedTensor] {
        &self.tensors
    }

    /// Cuts texts into tokens.
    pub fn tokenise(&self, texts: &[&str]) -> Result<Vec<Tokens>, Error> {
        self.tokeniser.tokenise(texts)
    }

    /// Cuts pairs of texts into tokens, both together within the limit.
    pub fn tokenise_pairs(&self, pairs: &[(&str, &str)]) -> Result<Vec<Tokens>, Error> {
        self.tokeniser.pairs(pairs)
    }

    /// Returns what the tokens of the vocabulary are.
    pub fn token_facts(&self) -> TokenFacts {
        self.tokeniser.facts(self.vocabulary())
    }

    fn work<'a>(
        &'a self,
        weights: &'a [f32],
        (offsets, dropout): (&'a [usize], Dropout),
    ) -> Work<'a> {
        let (shape, extras) = (self.shape, self.extras);
        Work { shape, tensors: &self.tensors, extras, weights, offsets, dropout }
    }

    /// Writes what is read of the texts to `out: [rows, dim]`.
    pub fn forward(
        &self,
        weights: &[f32],
        TuneBlock { texts, reading, moves, dropout }: TuneBlock<'_>,
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
        let work = self.work(weights, (offsets, dropout));
        let x = sized(x, embedded.len());
        work.norm(EMBEDDING_NORM).forward(embedded, x, sized(embedded_stats, 2 * end));
        work.drop_numbers(0, x);
        x.iter_mut().zip(moves).for_each(|(x, by)| *x += by);
        layers.resize_with(self.n_layers, LayerState::default);
        for (n, layer) in layers.iter_mut().enumerate() {
            work.layer_forward(n, x, (layer, scratch));
        }
        let texts = offsets.windows(2).map(|w| &x[w[0] * hidden..w[1] * hidden]);
        if let TuneReading::Tokens(places) = reading {
            let rows = texts.zip(places).flat_map(|(tokens, places)| {
                places.iter().map(|&at| &tokens[at as usize * hidden..][..hidden])
            });
            rows.zip(out.chunks_exact_mut(hidden)).for_each(|(row, to)| to.copy_from_slice(row));
            return;
        }
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

    /// Spreads the gradients of what was read over those of all tokens of a block.
    fn spread(
        &self,
        offsets: &[usize],
        (reading, d_out): (TuneReading<'_>, &[f32]),
        d: &mut [f32],
    ) {
        let hidden = self.shape.hidden;
        let mut rows = d_out.chunks_exact(hidden);
        if let TuneReading::Tokens(places) = reading {
            d.fill(0.0);
            for (text, places) in offsets.windows(2).zip(places) {
                for (&at, row) in places.iter().zip(rows.by_ref()) {
                    let token = &mut d[(text[0] + at as usize) * hidden..][..hidden];
                    token.iter_mut().zip(row).for_each(|(d, x)| *d += x);
                }
            }
            return;
        }
        for (text, vector) in offsets.windows(2).zip(rows) {
            let d = &mut d[text[0] * hidden..text[1] * hidden];
            let is_cls = self.pooling == Pooling::Cls;
            let share = if is_cls { 1.0 } else { 1.0 / (text[1] - text[0]) as f32 };
            for (at, token) in d.chunks_exact_mut(hidden).enumerate() {
                let share = if is_cls && at > 0 { 0.0 } else { share };
                token.iter_mut().zip(vector).for_each(|(d, x)| *d = share * x);
            }
        }
    }

    /// Returns the position of every token of a text, which follows the prefix.
    fn places<'a>(&self, text: &'a Tokens) -> impl Iterator<Item = u32> + use<'a> {
        let prefix = self.extras.prefix as u32;
        positions(&text.ids, self.padding).map(move |place| place + prefix)
    }

    fn embed(&self, weights: &[f32], texts: &[&Tokens], embedded: &mut Vec<f32>) {
        let row = |table: usize, index: u32| {
            let start = self.tensors[table].range.start + index as usize * self.shape.hidden;
            weights[start..start + self.shape.hidden].iter()
        };
        embedded.clear();
        for text in texts {
            let places = self.places(text);
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

    /// Adds the wanted gradients of the block that `state` was left by, given those of what was read of it.
    pub fn backward(
        &self,
        weights: &[f32],
        (TuneBlock { texts, reading, dropout, .. }, d_out): (TuneBlock<'_>, &[f32]),
        (wanted, gradients): (&Wanted, &mut [f32]),
        state: &mut TuneState,
    ) {
        let hidden = self.shape.hidden;
        let TuneState { offsets, embedded, embedded_stats, layers, x: d, scratch } = state;
        let work = self.work(weights, (offsets, dropout));
        self.spread(offsets, (reading, d_out), d);
        for (n, layer) in layers.iter().enumerate().rev().filter(|(n, _)| wanted.reaches(*n)) {
            work.layer_backward(n, d, (wanted, gradients), (layer, scratch));
        }
        if !wanted.reaches_below(0) {
            return;
        }
        let Scratch { spare, d_kept, .. } = scratch;
        let mut below = vec![0.0; d.len()];
        let [gain, bias] = wanted.of_norm(EMBEDDING_NORM, gradients, sized(spare, 2 * hidden));
        let into = NormGradients { x: &mut below, gain, bias };
        let kept = work.kept(0, (&d[..], d_kept));
        work.norm(EMBEDDING_NORM).backward(embedded, embedded_stats, kept, into);
        let mut rows = below.chunks_exact(hidden);
        for text in texts {
            let places = self.places(text);
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
