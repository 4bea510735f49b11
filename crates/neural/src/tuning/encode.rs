//! The encoder over a batch of texts, there and back, on all cores and within a limit of memory.
//!
//! Texts go in blocks, and blocks in turn to a fixed number of lanes, whose gradients are added up in order: the result does not
//! depend on the number of threads. Activations of as many blocks as fit the memory are kept for the way back; those of the rest are
//! computed a second time, as in `GradCache` (Gao et al. 2021).

use std::ops::Range;

use rayon::prelude::*;
use tastemaker_text::{BertTokens, TunableBert, TuneState, Wanted};

use crate::rankers::gather;

/// Tasks of a step.
const LANES: usize = 4;
/// Tokens of a block: enough to feed the matrix products, few enough to stay near the caches.
const BLOCK_TOKENS: usize = 512;

/// What all passes read.
#[derive(Clone, Copy)]
pub(super) struct Model<'a> {
    pub(super) bert: &'a TunableBert,
    pub(super) weights: &'a [f32],
    pub(super) texts: &'a [BertTokens],
}

/// The memory of one task.
#[derive(Default)]
struct Lane {
    kept: Vec<TuneState>,
    spare: TuneState,
    vectors: Vec<f32>,
    gradients: Vec<f32>,
}

/// The tasks of a step.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// Blocks of a lane whose activations are kept.
    kept: usize,
}

/// Cuts items into blocks of about [`BLOCK_TOKENS`] tokens.
fn blocks(items: &[u32], texts: &[BertTokens]) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (at, &item) in items.iter().enumerate() {
        let len = texts[item as usize].len();
        if at > start && tokens + len > BLOCK_TOKENS {
            blocks.push(start..at);
            (start, tokens) = (at, 0);
        }
        tokens += len;
    }
    if start < items.len() {
        blocks.push(start..items.len());
    }
    blocks
}

impl Model<'_> {
    fn block(&self, items: &[u32]) -> Vec<&BertTokens> {
        items.iter().map(|&item| &self.texts[item as usize]).collect()
    }

    /// Returns the vectors of items, as the encoder pools them; 0 for those without a text.
    pub(super) fn read(&self, items: &[u32]) -> Vec<f32> {
        let dim = self.bert.dim();
        let mut order: Vec<u32> = (0..items.len() as u32).collect();
        let len = |row: u32| self.texts[items[row as usize] as usize].len();
        order.retain(|&row| len(row) > 0);
        order.sort_by_key(|&row| (std::cmp::Reverse(len(row)), row));
        let sorted: Vec<u32> = order.iter().map(|&row| items[row as usize]).collect();
        let parts: Vec<Vec<f32>> = blocks(&sorted, self.texts)
            .into_par_iter()
            .with_max_len(1)
            .map_init(TuneState::default, |state, block| {
                let mut out = vec![0.0; block.len() * dim];
                self.bert.forward(self.weights, &self.block(&sorted[block]), state, &mut out);
                out
            })
            .collect();
        let mut vectors = vec![0.0; items.len() * dim];
        let rows = parts.iter().flat_map(|part| part.chunks_exact(dim));
        for (&row, vector) in order.iter().zip(rows) {
            vectors[row as usize * dim..][..dim].copy_from_slice(vector);
        }
        vectors
    }
}

impl Lanes {
    pub(super) fn new(bert: &TunableBert, max_memory_mb: usize) -> Self {
        let block_bytes = 4 * BLOCK_TOKENS * bert.floats_per_token(BLOCK_TOKENS / 4);
        let kept = (max_memory_mb << 20) / (LANES * block_bytes.max(1));
        Self { lanes: (0..LANES).map(|_| Lane::default()).collect(), kept }
    }

    /// Writes the vectors of items to `out`, as the encoder pools them.
    pub(super) fn forward(&mut self, model: Model<'_>, items: &[u32], out: &mut Vec<f32>) {
        let (dim, kept) = (model.bert.dim(), self.kept);
        let blocks = blocks(items, model.texts);
        self.lanes.par_iter_mut().enumerate().with_max_len(1).for_each(|(number, lane)| {
            lane.vectors.clear();
            for (at, block) in blocks.iter().skip(number).step_by(LANES).enumerate() {
                let from = lane.vectors.len();
                lane.vectors.resize(from + block.len() * dim, 0.0);
                if at < kept && lane.kept.len() <= at {
                    lane.kept.push(TuneState::default());
                }
                let state = if at < kept { &mut lane.kept[at] } else { &mut lane.spare };
                let texts = model.block(&items[block.clone()]);
                model.bert.forward(model.weights, &texts, state, &mut lane.vectors[from..]);
            }
        });
        out.clear();
        out.resize(items.len() * dim, 0.0);
        for (number, lane) in self.lanes.iter().enumerate() {
            let mut rest = &lane.vectors[..];
            for block in blocks.iter().skip(number).step_by(LANES) {
                let (own, after) = rest.split_at(block.len() * dim);
                out[block.start * dim..block.end * dim].copy_from_slice(own);
                rest = after;
            }
        }
    }

    /// Returns the wanted gradients, given those of the vectors of the same items, and leaves room for the next.
    pub(super) fn backward(
        &mut self,
        model: Model<'_>,
        (items, d): (&[u32], &[f32]),
        wanted: &Wanted,
    ) -> Vec<f32> {
        let (dim, kept) = (model.bert.dim(), self.kept);
        let blocks = blocks(items, model.texts);
        self.lanes.par_iter_mut().enumerate().with_max_len(1).for_each(|(number, lane)| {
            lane.gradients.resize(wanted.len(), 0.0);
            for (at, block) in blocks.iter().skip(number).step_by(LANES).enumerate() {
                let texts = model.block(&items[block.clone()]);
                let d = &d[block.start * dim..block.end * dim];
                let into = (wanted, &mut lane.gradients[..]);
                let Some(state) = lane.kept.get_mut(at).filter(|_| at < kept) else {
                    let mut again = vec![0.0; d.len()];
                    model.bert.forward(model.weights, &texts, &mut lane.spare, &mut again);
                    model.bert.backward(model.weights, (&texts, d), into, &mut lane.spare);
                    continue;
                };
                model.bert.backward(model.weights, (&texts, d), into, state);
            }
        });
        let Some((first, rest)) = self.lanes.split_first_mut() else { return Vec::new() };
        for lane in rest {
            gather(&mut first.gradients, &mut lane.gradients);
        }
        let sum = first.gradients.clone();
        first.gradients.fill(0.0);
        sum
    }
}
