//! The transformer of BERT (Devlin et al. 2019), post-norm: weights packed once, texts of any lengths in one block.
//!
//! A block is ragged: `[total tokens, hidden]` without padding. Linear layers see all tokens at once, attention one
//! text at a time; rows do not touch one another elsewhere, so a text's vector does not depend on its neighbours.

use tastemaker_kernels::{
    AttentionScratch, HalfAttentionScratch, LinearScratch, LinearWeights, Then, WeightFormat,
    attention, half_attention, half_attention_serves, layer_norm,
};

use super::architecture::positions;
use super::config::{BertConfig, Pooling};
use super::tokenise::Tokens;
use super::weights::Weights;
use crate::Error;

/// Tokens that pass the two inner layers together: their wide activations stay in the second cache.
const INNER_ROWS: usize = 96;

struct Norm {
    gain: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

struct Layer {
    /// Heads that are left.
    heads: usize,
    // Queries, keys and values side by side: [hidden, 3 * heads * width].
    qkv: LinearWeights,
    mix: LinearWeights,
    mix_norm: Norm,
    widen: LinearWeights,
    narrow: LinearWeights,
    out_norm: Norm,
}

/// A BERT encoder ready to run.
pub(crate) struct BertModel {
    hidden: usize,
    /// Numbers of a head.
    head_width: usize,
    /// Attention multiplies bfloat16 numbers.
    half: bool,
    words: Vec<f32>,
    positions: Vec<f32>,
    /// Empty where tokens have no types.
    types: Vec<f32>,
    padding: Option<u32>,
    norm: Norm,
    layers: Vec<Layer>,
}

/// Memory of one thread, reused from block to block.
#[derive(Default)]
pub(crate) struct Buffers {
    /// Rows of tokens, before and after a layer.
    pub(super) x: Vec<f32>,
    wide: Vec<f32>,
    /// What the heads of a layer gave.
    pub(super) mixed: Vec<f32>,
    linear: LinearScratch,
    attention: AttentionScratch,
    half_attention: HalfAttentionScratch,
}

/// Stacks layers that read the same input, `from` numbers wide.
fn linear(
    weights: &Weights,
    names: &[String],
    (from, to): (usize, usize),
    format: WeightFormat,
) -> Result<LinearWeights, Error> {
    let (mut rows, mut bias) = (Vec::new(), Vec::new());
    for name in names {
        rows.extend(weights.take(&format!("{name}.weight"), &[to, from])?);
        bias.extend(weights.take(&format!("{name}.bias"), &[to])?);
    }
    Ok(LinearWeights::new(&rows, bias, format))
}

impl Norm {
    fn load(weights: &Weights, name: &str, (size, epsilon): (usize, f32)) -> Result<Self, Error> {
        let gain = weights.take(&format!("{name}.weight"), &[size])?;
        let bias = weights.take(&format!("{name}.bias"), &[size])?;
        Ok(Self { gain, bias, epsilon })
    }

    fn apply(&self, rows: &mut [f32]) {
        layer_norm(rows, &self.gain, &self.bias, self.epsilon);
    }
}

/// Writes what `tokens`, at least one, become together.
fn pool(tokens: &[f32], pooling: Pooling, vector: &mut [f32]) {
    let hidden = vector.len();
    let each = tokens.chunks_exact(hidden);
    match pooling {
        Pooling::Cls => vector.copy_from_slice(&tokens[..hidden]),
        Pooling::Last => vector.copy_from_slice(&tokens[tokens.len() - hidden..]),
        Pooling::Max => {
            vector.copy_from_slice(&tokens[..hidden]);
            each.for_each(|token| vector.iter_mut().zip(token).for_each(|(y, x)| *y = y.max(*x)));
        }
        Pooling::Mean | Pooling::Auto => {
            let share = 1.0 / (tokens.len() / hidden) as f32;
            vector.fill(0.0);
            each.for_each(|token| vector.iter_mut().zip(token).for_each(|(sum, x)| *sum += x));
            vector.iter_mut().for_each(|x| *x *= share);
        }
    }
}

impl BertModel {
    /// Returns the number of tokens it knows.
    pub(crate) fn vocabulary(&self) -> usize {
        self.words.len() / self.hidden
    }

    /// Returns the vector of a token of the vocabulary.
    pub(crate) fn word(&self, token: u32) -> &[f32] {
        &self.words[token as usize * self.hidden..][..self.hidden]
    }

    /// Takes the weights apart and lays them out for use.
    pub(crate) fn load(
        weights: &Weights,
        config: &BertConfig,
        format: WeightFormat,
    ) -> Result<Self, Error> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let head_width = config.head_width();
        let norm = |name: &str| Norm::load(weights, name, (hidden, config.layer_norm_eps));
        let table = |name: &str, rows| {
            weights.take(&format!("embeddings.{name}_embeddings.weight"), &[rows, hidden])
        };
        let layer = |n: usize| {
            let at = |name: &str| format!("encoder.layer.{n}.{name}");
            let linear = |names: &[String], shape| linear(weights, names, shape, format);
            let qkv = ["query", "key", "value"].map(|name| at(&format!("attention.self.{name}")));
            let heads = config.heads[n].len();
            let attended = heads * head_width;
            Ok(Layer {
                heads,
                qkv: linear(&qkv, (hidden, attended))?,
                mix: linear(&[at("attention.output.dense")], (attended, hidden))?,
                mix_norm: norm(&at("attention.output.LayerNorm"))?,
                widen: linear(&[at("intermediate.dense")], (hidden, inner))?,
                narrow: linear(&[at("output.dense")], (inner, hidden))?,
                out_norm: norm(&at("output.LayerNorm"))?,
            })
        };
        Ok(Self {
            hidden,
            head_width,
            half: format != WeightFormat::Single && half_attention_serves(head_width),
            words: table("word", config.vocab_size)?,
            positions: table("position", config.max_position_embeddings)?,
            types: match config.type_vocab_size {
                0 => Vec::new(),
                types => table("token_type", types)?,
            },
            padding: config.padding,
            norm: norm("embeddings.LayerNorm")?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_, Error>>()?,
        })
    }

    /// Writes one vector per text to `out: [texts, hidden]`. No text may be empty.
    pub(crate) fn forward(
        &self,
        texts: &[&Tokens],
        pooling: Pooling,
        buffers: &mut Buffers,
        out: &mut [f32],
    ) {
        self.embed(texts, buffers);
        for layer in 0..self.layers.len() {
            self.layer(layer, texts, buffers);
        }
        self.pool(texts, pooling, &buffers.x, out);
    }

    /// Writes the vectors that rows of tokens become, text by text.
    pub(super) fn pool(
        &self,
        texts: &[&Tokens],
        pooling: Pooling,
        mut rest: &[f32],
        out: &mut [f32],
    ) {
        for (text, vector) in texts.iter().zip(out.chunks_exact_mut(self.hidden)) {
            let (tokens, after) = rest.split_at(text.ids.len() * self.hidden);
            pool(tokens, pooling, vector);
            rest = after;
        }
    }

    /// Writes the embeddings of the texts' tokens, which the first layer reads.
    pub(super) fn embed(&self, texts: &[&Tokens], buffers: &mut Buffers) {
        let x = &mut buffers.x;
        let row = |table, index: u32| -> &[f32] {
            let table: &Vec<f32> = table;
            &table[index as usize * self.hidden..][..self.hidden]
        };
        x.clear();
        for text in texts {
            let places = positions(&text.ids, self.padding);
            for (position, (&id, &kind)) in places.zip(text.ids.iter().zip(&text.types)) {
                let parts = row(&self.words, id).iter().zip(row(&self.positions, position));
                if self.types.is_empty() {
                    x.extend(parts.map(|(w, p)| w + p));
                } else {
                    x.extend(parts.zip(row(&self.types, kind)).map(|((w, p), t)| w + t + p));
                }
            }
        }
        self.norm.apply(x);
    }

    /// Applies a layer to the rows of tokens.
    pub(super) fn layer(&self, layer: usize, texts: &[&Tokens], buffers: &mut Buffers) {
        self.attend(layer, texts, buffers);
        self.after_attention(layer, buffers);
    }

    /// Writes what the heads of a layer give to `mixed: [tokens, heads * width]`.
    pub(super) fn attend(&self, layer: usize, texts: &[&Tokens], buffers: &mut Buffers) {
        let layer = &self.layers[layer];
        let width = layer.heads * self.head_width;
        let Buffers { x, wide, mixed, linear, .. } = buffers;
        let tokens = x.len() / self.hidden;
        wide.resize(3 * tokens * width, 0.0);
        layer.qkv.apply(x, wide, Then::Write, linear);
        mixed.resize(tokens * width, 0.0);
        let (mut qkv, mut to) = (wide.as_slice(), mixed.as_mut_slice());
        for text in texts {
            let (part, after) = qkv.split_at(text.ids.len() * 3 * width);
            let (out, after_out) = to.split_at_mut(text.ids.len() * width);
            if self.half {
                half_attention(part, (layer.heads, width), out, &mut buffers.half_attention);
            } else {
                attention(part, (layer.heads, width), out, &mut buffers.attention);
            }
            (qkv, to) = (after, after_out);
        }
    }

    /// Applies what follows the heads of a layer, given `x` before the layer and `mixed`.
    pub(super) fn after_attention(&self, layer: usize, buffers: &mut Buffers) {
        let (layer, hidden) = (&self.layers[layer], self.hidden);
        let Buffers { x, wide, mixed, linear, .. } = buffers;
        layer.mix.apply(mixed, x, Then::Add, linear);
        layer.mix_norm.apply(x);
        let inner = layer.widen.shape().1;
        for rows in x.chunks_mut(INNER_ROWS * hidden) {
            wide.resize(rows.len() / hidden * inner, 0.0);
            layer.widen.apply(rows, wide, Then::Gelu, linear);
            layer.narrow.apply(wide, rows, Then::Add, linear);
        }
        layer.out_norm.apply(x);
    }
}
