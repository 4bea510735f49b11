//! How much a head or a layer counts: the cosine that the texts' vectors lose when it is left out, one at a time (leave-one-out;
//! Michel et al. 2019 ask the same of a task's loss). A head's mean stays in its place, as it will in the bias of the layer.
//!
//! Texts go through in blocks. What comes before the layer in question is computed once a block.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::plan::{Plan, put};
use crate::bert::encoder::{BertEncoder, blocks, longest_first};
use crate::bert::model::Buffers;
use crate::bert::tokenise::Tokens;

/// A head: its layer and its number there.
pub(super) type Head = (usize, usize);
/// Is told how many blocks of how many are done.
pub(super) type Told<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Texts that an encoder is judged by.
pub(super) struct Sample<'a> {
    encoder: &'a BertEncoder,
    /// Layers of the encoder, and numbers of a head.
    layers: usize,
    width: usize,
    blocks: Vec<Vec<Tokens>>,
}

/// One block of a sample on its way through the model.
struct Pass<'a> {
    encoder: &'a BertEncoder,
    plan: &'a Plan,
    width: usize,
    texts: Vec<&'a Tokens>,
    buffers: Buffers,
}

impl Pass<'_> {
    fn start(&mut self) {
        self.encoder.model.embed(&self.texts, &mut self.buffers);
    }

    /// Lets the heads of a layer read, and mutes those that the plan takes.
    fn attend(&mut self, layer: usize) {
        self.encoder.model.attend(layer, &self.texts, &mut self.buffers);
        self.plan.mute(layer, self.width, &mut self.buffers.mixed);
    }

    fn after_attention(&mut self, layer: usize) {
        self.encoder.model.after_attention(layer, &mut self.buffers);
    }

    /// Applies these layers, one after the other.
    fn through(&mut self, layers: &[usize]) {
        for &layer in layers {
            self.attend(layer);
            self.after_attention(layer);
        }
    }

    fn vectors(&self) -> Vec<f32> {
        let BertEncoder { model, pooling, dense, hidden, .. } = self.encoder;
        let mut out = vec![0.0; self.texts.len() * hidden];
        model.pool(&self.texts, *pooling, &self.buffers.x, &mut out);
        dense.iter().fold(out, |out, dense| dense.apply(&out))
    }

    fn tokens(&self) -> usize {
        self.texts.iter().map(|text| text.ids.len()).sum()
    }
}

impl<'a> Sample<'a> {
    /// Takes texts for an encoder of so many layers, whose heads are `width` numbers wide.
    pub(super) fn new(
        encoder: &'a BertEncoder,
        (layers, width): (usize, usize),
        tokens: &[Tokens],
    ) -> Self {
        let order = longest_first(tokens);
        let block = |rows: &[usize]| rows.iter().map(|&row| tokens[row].clone()).collect();
        let blocks = blocks(tokens, &order).into_iter().map(block).collect();
        Self { encoder, layers, width, blocks }
    }

    /// Hands every block to `each`, on all cores, and returns what it said in the order of the blocks.
    fn each_block<T: Send>(
        &self,
        plan: &Plan,
        told: Told<'_>,
        each: impl Fn(usize, Pass<'_>) -> T + Sync,
    ) -> Vec<T> {
        let done = AtomicUsize::new(0);
        let of_block = |(at, block): (usize, &Vec<Tokens>)| {
            let (texts, buffers) = (block.iter().collect(), Buffers::default());
            let (encoder, width) = (self.encoder, self.width);
            let answer = each(at, Pass { encoder, plan, width, texts, buffers });
            told(done.fetch_add(1, Ordering::Relaxed) + 1, self.blocks.len());
            answer
        };
        self.blocks.par_iter().enumerate().with_max_len(1).map(of_block).collect()
    }

    /// Returns the vectors of the texts, block by block.
    pub(super) fn vectors(&self, plan: &Plan) -> Vec<Vec<f32>> {
        self.each_block(plan, &|_, _| {}, |_, mut pass| {
            pass.start();
            pass.through(&plan.layers());
            pass.vectors()
        })
    }

    /// Returns the mean of what the heads of each layer give, side by side; empty for layers that are gone.
    pub(super) fn means(&self, plan: &Plan) -> Vec<Vec<f32>> {
        let sums = self.each_block(plan, &|_, _| {}, |_, mut pass| {
            pass.start();
            let mut sums = vec![Vec::new(); self.layers];
            for layer in plan.layers() {
                pass.attend(layer);
                add_rows(&mut sums[layer], &pass.buffers.mixed, pass.tokens());
                pass.after_attention(layer);
            }
            (sums, pass.tokens())
        });
        let tokens = sums.iter().map(|(_, tokens)| tokens).sum::<usize>().max(1) as f64;
        let mut all = vec![Vec::new(); self.layers];
        for (sums, _) in sums {
            for (all, sums) in all.iter_mut().zip(sums) {
                all.resize(sums.len(), 0.0);
                all.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
            }
        }
        let mean = |sums: Vec<f64>| sums.into_iter().map(|sum| (sum / tokens) as f32).collect();
        all.into_iter().map(mean).collect()
    }

    /// Returns what each of `heads`, which stand layer by layer, takes from the mean cosine to `exact` when it goes too.
    pub(super) fn without_heads(
        &self,
        (plan, means): (&Plan, &[Vec<f32>]),
        heads: &[Head],
        exact: &[Vec<f32>],
        told: Told<'_>,
    ) -> Vec<f64> {
        let layers = plan.layers();
        let losses = self.each_block(plan, told, |at, mut pass| {
            let mut losses = Vec::with_capacity(heads.len());
            pass.start();
            for (n, &layer) in layers.iter().enumerate() {
                let before = pass.buffers.x.clone();
                pass.attend(layer);
                let mixed = pass.buffers.mixed.clone();
                let stride = mixed.len() / pass.tokens();
                for &(_, head) in heads.iter().filter(|(own, _)| *own == layer) {
                    pass.buffers.x.clone_from(&before);
                    pass.buffers.mixed.clone_from(&mixed);
                    let from = head * self.width;
                    let mean = &means[layer][from..from + self.width];
                    put(&mut pass.buffers.mixed, (stride, from), mean);
                    pass.after_attention(layer);
                    pass.through(&layers[n + 1..]);
                    losses.push(loss(&exact[at], &pass.vectors(), pass.texts.len()));
                }
                pass.buffers.x = before;
                pass.buffers.mixed = mixed;
                pass.after_attention(layer);
            }
            losses
        });
        self.mean(losses)
    }

    /// Returns what each layer of the plan takes from the mean cosine to `exact` when it goes too, in their order.
    pub(super) fn without_layers(
        &self,
        plan: &Plan,
        exact: &[Vec<f32>],
        told: Told<'_>,
    ) -> Vec<f64> {
        let layers = plan.layers();
        let losses = self.each_block(plan, told, |at, mut pass| {
            let mut losses = Vec::with_capacity(layers.len());
            pass.start();
            for n in 0..layers.len() {
                let before = pass.buffers.x.clone();
                pass.through(&layers[n + 1..]);
                losses.push(loss(&exact[at], &pass.vectors(), pass.texts.len()));
                pass.buffers.x = before;
                pass.through(&layers[n..=n]);
            }
            losses
        });
        self.mean(losses)
    }

    /// Adds up the losses of all blocks, place by place, and divides them by the texts.
    fn mean(&self, losses: Vec<Vec<f64>>) -> Vec<f64> {
        let texts: usize = self.blocks.iter().map(Vec::len).sum();
        let mut sums = vec![0.0; losses.first().map_or(0, Vec::len)];
        for losses in losses {
            sums.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += loss);
        }
        sums.iter_mut().for_each(|sum| *sum /= texts as f64);
        sums
    }
}

/// Adds rows to their sum.
fn add_rows(sum: &mut Vec<f64>, rows: &[f32], n: usize) {
    let width = rows.len() / n;
    sum.resize(width, 0.0);
    for row in rows.chunks_exact(width) {
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
    }
}

/// Adds up by how much the cosines of `texts` vectors lie below 1.
fn loss(exact: &[f32], others: &[f32], texts: usize) -> f64 {
    let width = exact.len() / texts;
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let pairs = exact.chunks_exact(width).zip(others.chunks_exact(width));
    pairs
        .map(|(a, b)| {
            let length = (dot(a, a) * dot(b, b)).sqrt();
            if length > 0.0 { 1.0 - dot(a, b) / length } else { 0.0 }
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_by_hand() {
        // Cosines 1, 0 and .6: 0 + 1 + .4 are lost.
        let exact = [1.0, 0.0, 0.0, 2.0, 1.0, 0.0];
        let others = [3.0, 0.0, 1.0, 0.0, 0.6, 0.8];
        assert!((loss(&exact, &others, 3) - 1.4).abs() < 1e-6);
    }
}
