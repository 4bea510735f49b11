//! The encoder over a batch of texts, there and back, on all cores and within a limit of memory.
//!
//! Texts go in blocks, and blocks in turn to a fixed number of lanes, whose gradients are added up in order: the result does not
//! depend on the number of threads. Activations of as many blocks as fit the memory are kept for the way back; those of the rest are
//! computed a second time, as in `GradCache` (Gao et al. 2021).

use std::ops::Range;

use rayon::prelude::*;
use tastemaker_text::{
    BertTokens, Dropout, TunableBert, TuneBlock, TuneReading, TuneState, Wanted,
};

use super::tasks::{Input, Reading};
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
}

/// The memory of one task.
#[derive(Default)]
struct Lane {
    kept: Vec<TuneState>,
    spare: TuneState,
    vectors: Vec<f32>,
    gradients: Vec<f32>,
    /// How far the embeddings of each block are moved, where they are.
    moves: Vec<Vec<f32>>,
}

/// How a step goes through the encoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    /// Texts as they are.
    Plain,
    /// Texts as they are; from the way back it is learnt where each text's embeddings would have to move, by so much.
    Probing(f32),
    /// The embeddings moved to where the last probing found.
    Moved,
}

impl Lane {
    /// Returns the moves of the lane's blocks, as many as there are.
    fn moves_of(&self, way: Way, at: usize) -> &[f32] {
        if way == Way::Moved { self.moves.get(at).map_or(&[], Vec::as_slice) } else { &[] }
    }
}

/// Writes the moves of a block: for each text its gradient at the length `epsilon` (Miyato et al. 2017).
fn towards(gradient: &[f32], texts: &[&BertTokens], (epsilon, dim): (f32, usize)) -> Vec<f32> {
    let mut moves = gradient.to_vec();
    let mut rest = &mut moves[..];
    for text in texts {
        let (own, after) = std::mem::take(&mut rest).split_at_mut(text.len() * dim);
        let length = own.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let scale = if length > 0.0 { (f64::from(epsilon) / length) as f32 } else { 0.0 };
        own.iter_mut().for_each(|x| *x *= scale);
        rest = after;
    }
    moves
}

/// The tasks of a step.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// Blocks of a lane whose activations are kept.
    kept: usize,
    /// Share of the numbers that are dropped, and what they follow from.
    dropout: (f32, u64),
}

/// Texts that go through the encoder together, and the rows that are read of them.
struct Block<'a> {
    texts: Vec<&'a BertTokens>,
    reading: TuneReading<'a>,
    rows: Range<usize>,
    /// Number of its first text among those of the input.
    first: usize,
}

impl Block<'_> {
    fn with<'a>(&'a self, moves: &'a [f32], (rate, key): (f32, u64)) -> TuneBlock<'a> {
        let dropout = Dropout { rate, key, first: self.first };
        TuneBlock { texts: &self.texts, reading: self.reading, moves, dropout }
    }
}

/// Cuts texts into blocks of about [`BLOCK_TOKENS`] tokens.
fn blocks(texts: &[&BertTokens]) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (at, text) in texts.iter().enumerate() {
        if at > start && tokens + text.len() > BLOCK_TOKENS {
            blocks.push(start..at);
            (start, tokens) = (at, 0);
        }
        tokens += text.len();
    }
    if start < texts.len() {
        blocks.push(start..texts.len());
    }
    blocks
}

/// Cuts the input of a step into blocks.
fn blocks_of(input: &Input) -> Vec<Block<'_>> {
    let texts: Vec<&BertTokens> = input.texts.iter().collect();
    let mut end = 0;
    let block = |range: Range<usize>| {
        let reading = match &input.reading {
            Reading::Pooled => TuneReading::Pooled,
            Reading::Tokens(places) => TuneReading::Tokens(&places[range.clone()]),
        };
        let (start, first) = (end, range.start);
        end += reading.rows(range.len());
        Block { texts: texts[range].to_vec(), reading, rows: start..end, first }
    };
    blocks(&texts).into_iter().map(block).collect()
}

impl Model<'_> {
    /// Returns the vectors of texts, as the encoder pools them; 0 for those without content.
    pub(super) fn read(&self, texts: &[BertTokens]) -> Vec<f32> {
        let dim = self.bert.dim();
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.retain(|&row| !texts[row].is_empty());
        order.sort_by_key(|&row| (std::cmp::Reverse(texts[row].len()), row));
        let sorted: Vec<&BertTokens> = order.iter().map(|&row| &texts[row]).collect();
        let parts: Vec<Vec<f32>> = blocks(&sorted)
            .into_par_iter()
            .with_max_len(1)
            .map_init(TuneState::default, |state, block| {
                let mut out = vec![0.0; block.len() * dim];
                let block = TuneBlock { texts: &sorted[block], ..TuneBlock::default() };
                self.bert.forward(self.weights, block, state, &mut out);
                out
            })
            .collect();
        let mut vectors = vec![0.0; texts.len() * dim];
        let rows = parts.iter().flat_map(|part| part.chunks_exact(dim));
        for (&row, vector) in order.iter().zip(rows) {
            vectors[row * dim..][..dim].copy_from_slice(vector);
        }
        vectors
    }

    /// Returns what is read of the texts of an input.
    pub(super) fn outputs(&self, input: &Input) -> Vec<f32> {
        let dim = self.bert.dim();
        let parts: Vec<Vec<f32>> = blocks_of(input)
            .into_par_iter()
            .with_max_len(1)
            .map_init(TuneState::default, |state, block| {
                let mut out = vec![0.0; block.rows.len() * dim];
                self.bert.forward(self.weights, block.with(&[], (0.0, 0)), state, &mut out);
                out
            })
            .collect();
        parts.concat()
    }
}

impl Lanes {
    pub(super) fn new(bert: &TunableBert, max_memory_mb: usize) -> Self {
        let block_bytes = 4 * BLOCK_TOKENS * bert.floats_per_token(BLOCK_TOKENS / 4);
        let kept = (max_memory_mb << 20) / (LANES * block_bytes.max(1));
        Self { lanes: (0..LANES).map(|_| Lane::default()).collect(), kept, dropout: (0.0, 0) }
    }

    /// Drops a share of the numbers in the passes that follow; what is dropped follows from `key`.
    pub(super) const fn drop_share(&mut self, share: f32, key: u64) {
        self.dropout = (share, key);
    }

    /// Writes what is read of the texts of an input to `out`.
    pub(super) fn forward(
        &mut self,
        model: Model<'_>,
        (input, way): (&Input, Way),
        out: &mut Vec<f32>,
    ) {
        let (dim, kept, dropout) = (model.bert.dim(), self.kept, self.dropout);
        let blocks = blocks_of(input);
        self.lanes.par_iter_mut().enumerate().with_max_len(1).for_each(|(number, lane)| {
            lane.vectors.clear();
            for (at, block) in blocks.iter().skip(number).step_by(LANES).enumerate() {
                let from = lane.vectors.len();
                lane.vectors.resize(from + block.rows.len() * dim, 0.0);
                if at < kept && lane.kept.len() <= at {
                    lane.kept.push(TuneState::default());
                }
                let moves = lane.moves_of(way, at).to_vec();
                let state = if at < kept { &mut lane.kept[at] } else { &mut lane.spare };
                let out = &mut lane.vectors[from..];
                model.bert.forward(model.weights, block.with(&moves, dropout), state, out);
            }
        });
        out.clear();
        out.resize(blocks.last().map_or(0, |last| last.rows.end) * dim, 0.0);
        for (number, lane) in self.lanes.iter().enumerate() {
            let mut rest = &lane.vectors[..];
            for block in blocks.iter().skip(number).step_by(LANES) {
                let (own, after) = rest.split_at(block.rows.len() * dim);
                out[block.rows.start * dim..block.rows.end * dim].copy_from_slice(own);
                rest = after;
            }
        }
    }

    /// Returns the wanted gradients, given those of what was read of the same input, and leaves room for the next.
    pub(super) fn backward(
        &mut self,
        model: Model<'_>,
        (input, way, d): (&Input, Way, &[f32]),
        wanted: &Wanted,
    ) -> Vec<f32> {
        let (dim, kept, dropout) = (model.bert.dim(), self.kept, self.dropout);
        let blocks = blocks_of(input);
        self.lanes.par_iter_mut().enumerate().with_max_len(1).for_each(|(number, lane)| {
            lane.gradients.resize(wanted.len(), 0.0);
            if way != Way::Moved {
                lane.moves.clear();
            }
            for (at, block) in blocks.iter().skip(number).step_by(LANES).enumerate() {
                let d = &d[block.rows.start * dim..block.rows.end * dim];
                let moves = lane.moves_of(way, at).to_vec();
                let texts = &block.texts[..];
                let block = block.with(&moves, dropout);
                let into = (wanted, &mut lane.gradients[..]);
                let state = if at < kept && at < lane.kept.len() {
                    &mut lane.kept[at]
                } else {
                    let mut again = vec![0.0; d.len()];
                    model.bert.forward(model.weights, block, &mut lane.spare, &mut again);
                    &mut lane.spare
                };
                model.bert.backward(model.weights, (block, d), into, state);
                if let Way::Probing(epsilon) = way {
                    lane.moves.push(towards(state.embedded_gradient(), texts, (epsilon, dim)));
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_moves_along_its_own_gradient_by_epsilon() {
        let texts = [BertTokens::of_ids(vec![1]), BertTokens::of_ids(vec![1, 2])];
        let texts: Vec<&BertTokens> = texts.iter().collect();
        // Lengths 5 and 3; a text without a gradient stays.
        let got = towards(&[3.0, 4.0, 1.0, 2.0, 0.0, -2.0], &texts, (0.5, 2));
        let sixth = 0.5 / 3.0;
        for (got, want) in got.iter().zip([0.3, 0.4, sixth, 2.0 * sixth, 0.0, -2.0 * sixth]) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
        assert_eq!(towards(&[0.0; 6], &texts, (0.5, 2)), [0.0; 6]);
    }
}
