//! The layers. A token's numbers do not depend on how many are computed at once, nor on the number of threads.
//!
//! Per layer: `x += O attention(R Q n(x), R K n(x), V n(x))`, `x += D (silu(G n(x)) * U n(x))`, with RMS norms `n` and
//! rotary turns `R`; then the last norm and the head.

use rayon::prelude::*;
use tastemaker_kernels::{CachedAttention, Norm, Span, Then, WeightFormat, WideLinear, swiglu};

use super::architecture::{Architecture, Family};
use super::memory::Memory;
use super::rotary::Rotary;
use crate::Error;
use crate::generate::gguf::{Gguf, RawTensor};

/// Tokens that pass the layers together.
const BLOCK: usize = 192;

/// Sines and cosines of a place.
type Angles = Vec<(f32, f32)>;

struct Layer {
    norm: Vec<f32>,
    /// Queries, keys and values side by side.
    qkv: WideLinear,
    /// Norms of a head's queries and keys; Qwen3 alone has them.
    head_norms: Option<(Vec<f32>, Vec<f32>)>,
    mix: WideLinear,
    inner_norm: Vec<f32>,
    /// Gates and numbers side by side.
    widen: WideLinear,
    narrow: WideLinear,
}

/// A model ready to run.
pub(crate) struct Decoder {
    architecture: Architecture,
    /// Rows of tokens, as they lie in the file.
    words: RawTensor,
    rotary: Rotary,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    head: WideLinear,
}

/// A token to be read: what it is, its place in its text, what it attends to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) token: u32,
    pub(crate) place: usize,
    pub(crate) span: Span,
}

/// Memory of a run, reused from layer to layer.
#[derive(Default)]
struct Buffers {
    normed: Vec<f32>,
    wide: Vec<f32>,
    queries: Vec<f32>,
    mixed: Vec<f32>,
    stats: Vec<f32>,
    other: Vec<f32>,
}

impl Decoder {
    /// Reads and lays out the weights.
    pub(crate) fn open(
        file: &Gguf,
        architecture: Architecture,
        format: WeightFormat,
    ) -> Result<Self, Error> {
        let Architecture { width, vocabulary, turned, .. } = architecture;
        let words = file.raw("token_embd.weight", &[vocabulary, width])?;
        let factors = match file.has("rope_freqs.weight") {
            true => Some(file.numbers("rope_freqs.weight", &[turned / 2])?),
            false => None,
        };
        if factors.iter().flatten().any(|factor| *factor <= 0.0) {
            return Err(file.fault("rope_freqs.weight", "must be above 0"));
        }
        let layers = (0..architecture.layers)
            .map(|at| Layer::open(file, &architecture, at, format))
            .collect::<Result<_, _>>()?;
        // Where there is no head, the rows of tokens are it.
        let head = if file.has("output.weight") {
            stack(file, &[("output", vocabulary)], (width, false), format)?
        } else {
            let fill = |row: usize, to: &mut [f32]| words.read(row, to);
            WideLinear::build(width, &vec![0.0; vocabulary], format, fill)?
        };
        let norm = file.numbers("output_norm.weight", &[width])?;
        let rotary = Rotary::new(&architecture, factors.as_deref());
        Ok(Self { architecture, words, rotary, layers, norm, head })
    }

    pub(crate) const fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Returns an empty memory.
    pub(crate) fn memory(&self) -> Memory {
        Memory::new(self.layers.len(), self.architecture.kept())
    }

    /// Reads tokens that follow those in the memory, and returns the logits after the last of them, `[vocabulary]`; before each block
    /// `go_on` is asked, and when it says no nothing is returned.
    pub(crate) fn read(
        &self,
        tokens: &[u32],
        memory: &mut Memory,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Vec<f32>>, Error> {
        let mut last = Vec::new();
        for block in tokens.chunks(BLOCK) {
            if !go_on() {
                return Ok(None);
            }
            let from = memory.len();
            let entry = |(at, token): (usize, &u32)| {
                let place = from + at;
                Entry { token: *token, place, span: Span { shared: 0, from: 0, to: place + 1 } }
            };
            let entries: Vec<Entry> = block.iter().enumerate().map(entry).collect();
            let rows = self.pass(&entries, memory)?;
            last = rows[rows.len() - self.architecture.width..].to_vec();
        }
        let mut logits = vec![0.0; self.architecture.vocabulary];
        self.logits(&mut last, &mut logits);
        Ok(Some(logits))
    }

    /// Computes logits of rows that passed all layers, which are normalised in place.
    pub(crate) fn logits(&self, rows: &mut [f32], logits: &mut [f32]) {
        let normed = self.normed(rows, &self.norm);
        self.head.apply(&normed, logits, Then::Write);
    }

    fn normed(&self, rows: &[f32], gain: &[f32]) -> Vec<f32> {
        let (mut normed, mut stats) = (Vec::new(), Vec::new());
        norm((gain, self.architecture.epsilon), rows, &mut normed, &mut stats);
        normed
    }

    /// Passes tokens through all layers, adding them to the memory; returns their rows, `[n, width]`.
    pub(crate) fn pass(&self, entries: &[Entry], memory: &mut Memory) -> Result<Vec<f32>, Error> {
        let width = self.architecture.width;
        let mut x = vec![0.0; entries.len() * width];
        for (entry, row) in entries.iter().zip(x.chunks_exact_mut(width)) {
            self.words.read(entry.token as usize, row)?;
        }
        let mut angles = Vec::new();
        let angles: Vec<Angles> = entries
            .iter()
            .map(|entry| {
                self.rotary.angles(entry.place, &mut angles);
                angles.clone()
            })
            .collect();
        let spans: Vec<Span> = entries.iter().map(|entry| entry.span).collect();
        let mut buffers = Buffers::default();
        for (layer, kept) in self.layers.iter().zip(&mut memory.layers) {
            self.attend(layer, (&mut x, &mut buffers), (&angles, &spans), kept);
            self.feed(layer, &mut x, &mut buffers);
        }
        memory.grown(entries.len());
        Ok(x)
    }

    fn attend(
        &self,
        layer: &Layer,
        (x, buffers): (&mut [f32], &mut Buffers),
        (angles, spans): (&[Angles], &[Span]),
        (keys, values): &mut (Vec<f32>, Vec<f32>),
    ) {
        let Architecture { heads, groups, dim, epsilon, .. } = self.architecture;
        let (of_queries, kept) = (heads * dim, groups * dim);
        let Buffers { normed, wide, queries, mixed, stats, other } = buffers;
        norm((&layer.norm, epsilon), x, normed, stats);
        wide.resize(spans.len() * (of_queries + 2 * kept), 0.0);
        layer.qkv.apply(normed, wide, Then::Write);
        queries.clear();
        for (row, angles) in wide.chunks_exact_mut(of_queries + 2 * kept).zip(angles) {
            let (of_query, rest) = row.split_at_mut(of_queries);
            let (of_key, of_value) = rest.split_at_mut(kept);
            if let Some((query_norm, key_norm)) = &layer.head_norms {
                for (gain, heads) in [(query_norm, &mut *of_query), (key_norm, &mut *of_key)] {
                    norm((gain, epsilon), heads, other, stats);
                    heads.copy_from_slice(other);
                }
            }
            self.rotary.turn(angles, of_query);
            self.rotary.turn(angles, of_key);
            queries.extend_from_slice(of_query);
            keys.extend_from_slice(of_key);
            values.extend_from_slice(of_value);
        }
        mixed.resize(queries.len(), 0.0);
        CachedAttention { keys, values, groups, dim }.attend(queries, spans, mixed);
        layer.mix.apply(mixed, x, Then::Add);
    }

    fn feed(&self, layer: &Layer, x: &mut [f32], buffers: &mut Buffers) {
        let Architecture { width, inner, epsilon, .. } = self.architecture;
        let Buffers { normed, wide, mixed, stats, .. } = buffers;
        let rows = x.len() / width;
        norm((&layer.inner_norm, epsilon), x, normed, stats);
        wide.resize(rows * 2 * inner, 0.0);
        layer.widen.apply(normed, wide, Then::Write);
        mixed.resize(rows * inner, 0.0);
        let gate = |(row, to): (&[f32], &mut [f32])| {
            let (gates, numbers) = row.split_at(inner);
            to.copy_from_slice(gates);
            swiglu(to, numbers);
        };
        if rows == 1 {
            gate((wide, mixed));
        } else {
            wide.par_chunks_exact(2 * inner).zip(mixed.par_chunks_exact_mut(inner)).for_each(gate);
        }
        layer.narrow.apply(mixed, x, Then::Add);
    }
}

impl Layer {
    fn open(
        file: &Gguf,
        architecture: &Architecture,
        at: usize,
        format: WeightFormat,
    ) -> Result<Self, Error> {
        let Architecture { family, width, inner, heads, dim, .. } = *architecture;
        let name = |name: &str| format!("blk.{at}.{name}");
        let (of_queries, kept) = (heads * dim, architecture.kept());
        let (q, k, v) = (name("attn_q"), name("attn_k"), name("attn_v"));
        let qkv = [(q.as_str(), of_queries), (k.as_str(), kept), (v.as_str(), kept)];
        let has_bias = file.has(&format!("{q}.bias"));
        let (mix, gate, up) = (name("attn_output"), name("ffn_gate"), name("ffn_up"));
        let head_norms = match family {
            Family::Qwen3 => Some((
                file.numbers(&name("attn_q_norm.weight"), &[dim])?,
                file.numbers(&name("attn_k_norm.weight"), &[dim])?,
            )),
            Family::Llama | Family::Qwen2 => None,
        };
        Ok(Self {
            norm: file.numbers(&name("attn_norm.weight"), &[width])?,
            qkv: stack(file, &qkv, (width, has_bias), format)?,
            head_norms,
            mix: stack(file, &[(&mix, width)], (of_queries, false), format)?,
            inner_norm: file.numbers(&name("ffn_norm.weight"), &[width])?,
            widen: stack(file, &[(&gate, inner), (&up, inner)], (width, false), format)?,
            narrow: stack(file, &[(&name("ffn_down"), width)], (inner, false), format)?,
        })
    }
}

/// Lays out layers that read the same input as one; `tensors` are names and outputs.
fn stack(
    file: &Gguf,
    tensors: &[(&str, usize)],
    (inputs, has_bias): (usize, bool),
    format: WeightFormat,
) -> Result<WideLinear, Error> {
    let (mut raws, mut bias) = (Vec::new(), Vec::new());
    for (name, outputs) in tensors {
        raws.push((bias.len(), file.raw(&format!("{name}.weight"), &[*outputs, inputs])?));
        match has_bias {
            true => bias.extend(file.numbers(&format!("{name}.bias"), &[*outputs])?),
            false => bias.resize(bias.len() + outputs, 0.0),
        }
    }
    WideLinear::build(inputs, &bias, format, |row, to| {
        let at = raws.partition_point(|(from, _)| *from <= row) - 1;
        raws[at].1.read(row - raws[at].0, to)
    })
}

fn norm((gain, epsilon): (&[f32], f32), x: &[f32], to: &mut Vec<f32>, stats: &mut Vec<f32>) {
    to.resize(x.len(), 0.0);
    stats.resize(x.len() / gain.len() * 2, 0.0);
    Norm { gain, bias: &[], epsilon }.forward(x, to, stats);
}
