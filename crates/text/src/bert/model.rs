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
use super::extras::{ExtraTensors, PLACES};
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
    /// Behind attention and behind the feed-forward layer.
    adapters: Option<[Adapter; 2]>,
    /// Queries of 0, keys and values that stand before a text's: [prefix, 3 * hidden].
    prefix: Vec<f32>,
}

/// A bottleneck: `s + W₂ gelu(W₁ s)`.
struct Adapter {
    down: LinearWeights,
    up: LinearWeights,
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
    /// Tokens of the prefix that all texts follow.
    prefix: usize,
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
    given: Vec<f32>,
    bottleneck: Vec<f32>,
    before: Vec<f32>,
    after: Vec<f32>,
}

impl Adapter {
    /// Adds what it makes of what a layer gives for `x` to `sum`.
    fn add(
        &self,
        layer: &LinearWeights,
        (x, sum): (&[f32], &mut [f32]),
        (given, narrow, linear): (&mut Vec<f32>, &mut Vec<f32>, &mut LinearScratch),
    ) {
        given.resize(sum.len(), 0.0);
        layer.apply(x, given, Then::Write, linear);
        let (hidden, width) = self.down.shape();
        narrow.resize(sum.len() / hidden * width, 0.0);
        self.down.apply(given, narrow, Then::Gelu, linear);
        sum.iter_mut().zip(given.iter()).for_each(|(sum, s)| *sum += s);
        self.up.apply(narrow, sum, Then::Add, linear);
    }
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
        (config, extras): (&BertConfig, &ExtraTensors),
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
                adapters: (extras.adapters > 0).then(|| {
                    PLACES.map(|place| {
                        let half = |half: &str| {
                            let name = at(&format!("{place}.adapter.{half}"));
                            let numbers = |kind: &str| extras.take(&format!("{name}.{kind}"));
                            let bias = numbers("bias").to_vec();
                            LinearWeights::new(numbers("weight"), bias, WeightFormat::Single)
                        };
                        Adapter { down: half("down"), up: half("up") }
                    })
                }),
                prefix: {
                    let part = |name: &str| extras.take(&at(&format!("attention.prefix.{name}")));
                    let keys = part("keys").chunks_exact(hidden);
                    let rows = keys.zip(part("values").chunks_exact(hidden));
                    rows.flat_map(|(key, value)| [&vec![0.0; hidden], key, value].concat())
                        .collect()
                },
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
            prefix: extras.prefix,
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
                let parts = row(&self.words, id)
                    .iter()
                    .zip(row(&self.positions, position + self.prefix as u32));
                if self.types.is_empty() {
                    x.extend(parts.map(|(w, p)| w + p));
                } else {
                    x.extend(parts.zip(row(&self.types, kind)).map(|((w, p), t)| w + t + p));
                }
            }
        }
        self.norm.apply(x);
    }

    /// Lets the heads of a layer look; queries, keys and values are `width` numbers wide each.
    fn look(
        &self,
        qkv: &[f32],
        shape: (usize, usize),
        out: &mut [f32],
        (whole, half): (&mut AttentionScratch, &mut HalfAttentionScratch),
    ) {
        if self.half {
            half_attention(qkv, shape, out, half);
        } else {
            attention(qkv, shape, out, whole);
        }
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
        let Buffers { x, wide, mixed, linear, before, after, attention, half_attention, .. } =
            buffers;
        let tokens = x.len() / self.hidden;
        wide.resize(3 * tokens * width, 0.0);
        layer.qkv.apply(x, wide, Then::Write, linear);
        mixed.resize(tokens * width, 0.0);
        let (mut qkv, mut to) = (wide.as_slice(), mixed.as_mut_slice());
        for text in texts {
            let (part, after_part) = qkv.split_at(text.ids.len() * 3 * width);
            let (out, after_out) = to.split_at_mut(text.ids.len() * width);
            let (shape, scratch) = ((layer.heads, width), (&mut *attention, &mut *half_attention));
            if self.prefix == 0 {
                self.look(part, shape, out, scratch);
            } else {
                before.clear();
                before.extend_from_slice(&layer.prefix);
                before.extend_from_slice(part);
                after.resize(before.len() / 3, 0.0);
                self.look(before, shape, after, scratch);
                out.copy_from_slice(&after[self.prefix * width..]);
            }
            (qkv, to) = (after_part, after_out);
        }
    }

    /// Applies what follows the heads of a layer, given `x` before the layer and `mixed`.
    pub(super) fn after_attention(&self, layer: usize, buffers: &mut Buffers) {
        let (layer, hidden) = (&self.layers[layer], self.hidden);
        let Buffers { x, wide, mixed, linear, given, bottleneck, .. } = buffers;
        match &layer.adapters {
            None => layer.mix.apply(mixed, x, Then::Add, linear),
            Some([first, _]) => first.add(&layer.mix, (mixed, x), (given, bottleneck, linear)),
        }
        layer.mix_norm.apply(x);
        let inner = layer.widen.shape().1;
        for rows in x.chunks_mut(INNER_ROWS * hidden) {
            wide.resize(rows.len() / hidden * inner, 0.0);
            layer.widen.apply(rows, wide, Then::Gelu, linear);
            match &layer.adapters {
                None => layer.narrow.apply(wide, rows, Then::Add, linear),
                Some([_, second]) => {
                    second.add(&layer.narrow, (wide, rows), (given, bottleneck, linear));
                }
            }
        }
        layer.out_norm.apply(x);
    }
}
