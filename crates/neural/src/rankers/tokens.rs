//! The convolutions of item texts in training.
//!
//! What they make of an item's text stands in two rows of the rankers' table, as if they were learnt: row `item` for the item itself,
//! row `n_items + item` for the item as one that was taken, so that a user's texts are the mean of what they took. A step convolves the
//! text of every item that takes part once, writes its rows, and passes their gradients back to convolutions and token vectors.
//! Backward, texts are convolved again, a few at a time, so that memory does not grow with the catalogue.

use rayon::prelude::*;
use tastemaker_core::{FitError, PersistError, Saved, Tokens, TrainData, seed};
use tastemaker_kernels::axpy;
use tastemaker_train::{Adam, AdamSettings};

use super::active::Active;
use super::inputs::texts as components;
use super::learner::{DEVIATION, LANES, gather};
use super::settings::{Interaction, RankerSettings};
use crate::layers::{Dropout, TextCnn, TextCnnShape, TextCnnState, Work};
use crate::params::{Layout, normal};

/// Texts convolved together.
const CHUNK: usize = 32;
const NOTHING_DROPPED: Dropout = Dropout { rate: 0.0, key: 0 };

/// See the head of the file.
pub(super) struct Texts {
    cnn: TextCnn,
    parameters: Vec<f32>,
    /// Tokens of each item, cut to what is read.
    rows: Vec<Vec<u32>>,
    /// Token vectors `[tokens, dim]`.
    table: Vec<f32>,
    dim: usize,
    /// Numbers of a row of the rankers' table.
    width: usize,
    is_trained: bool,
    adam: Adam,
    adam_table: Adam,
    /// Items of the step, rising.
    items: Vec<u32>,
    active: Active,
    /// `[items, 2 * width]`
    d: Vec<f32>,
    lanes: Vec<Lane>,
}

/// The memory of one task.
#[derive(Default)]
struct Lane {
    gradients: Vec<f32>,
    d_tokens: Vec<f32>,
    offsets: Vec<usize>,
    x: Vec<f32>,
    y: Vec<f32>,
    dx: Vec<f32>,
    state: TextCnnState,
}

impl Texts {
    /// Starts from the encoder's token vectors where there are any; `None` where no tokens are wanted.
    pub(super) fn new<V: Interaction>(
        settings: &RankerSettings<V>,
        data: &TrainData<'_>,
        width: usize,
    ) -> Result<Option<Self>, FitError> {
        if settings.tokens == 0 {
            return Ok(None);
        }
        let tokens = data.require_tokens()?;
        let (dim, table) = first_vectors(tokens, settings.token_dim, data.seed)?;
        let cut = |row: &Vec<u32>| row[..row.len().min(settings.tokens)].to_vec();
        let mut layout = Layout::default();
        let (widths, filters) = (&settings.filter_widths[..], settings.filters);
        let shape = TextCnnShape { dim, widths, filters, output: 2 * width, deviation: DEVIATION };
        let cnn = TextCnn::new(&mut layout, shape);
        Ok(Some(Self {
            cnn,
            parameters: layout.start(data.seed),
            rows: tokens.rows().iter().map(cut).collect(),
            adam: Adam::new(layout.len(), AdamSettings::default()),
            adam_table: Adam::new(table.len(), AdamSettings::default()),
            table,
            dim,
            width,
            // Vectors that nobody has learnt say nothing until they are.
            is_trained: settings.train_tokens || tokens.vectors().is_none(),
            items: Vec::new(),
            active: Active::new(tokens.n_tokens()),
            d: Vec::new(),
            lanes: (0..LANES).map(|_| Lane::default()).collect(),
        }))
    }

    /// Returns about how many numbers training takes.
    pub(super) fn floats(&self) -> usize {
        let longest = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let own: usize = self.rows.iter().map(Vec::len).sum();
        let learnt = (6 + LANES) * (self.parameters.len() + self.table.len());
        learnt + own + LANES * self.cnn.floats(CHUNK * longest) + 4 * self.rows.len() * self.width
    }

    /// Writes the rows of the table that stand for the texts of `rows` (distinct, rising, from the first text on).
    pub(super) fn encode(&mut self, rows: &[u32], dropout: Dropout, table: &mut [f32]) {
        let mut lanes = std::mem::take(&mut self.lanes);
        let n_items = self.rows.len() as u32;
        self.items.clear();
        self.items.extend(rows.iter().map(|row| row % n_items));
        self.items.sort_unstable();
        self.items.dedup();
        let share = self.share();
        lanes.par_iter_mut().zip(self.items.par_chunks(share)).enumerate().for_each(
            |(number, (lane, items))| {
                let mut y = vec![0.0; items.len() * 2 * self.width];
                for (at, (items, y)) in self.chunks(items, &mut y).enumerate() {
                    let first = number * share + at * CHUNK;
                    self.forward(items, of_chunk(dropout, first), lane, y);
                }
                lane.y = y;
            },
        );
        for (lane, items) in lanes.iter().zip(self.items.chunks(share)) {
            self.put(items, &lane.y, table);
        }
        self.lanes = lanes;
    }

    /// Writes all rows of the table that stand for texts.
    pub(super) fn encode_all(&self, table: &mut [f32]) {
        let items: Vec<u32> = (0..self.rows.len() as u32).collect();
        let encode = |items: &[u32]| {
            let mut y = vec![0.0; items.len() * 2 * self.width];
            self.forward(items, NOTHING_DROPPED, &mut Lane::default(), &mut y);
            y
        };
        let all: Vec<Vec<f32>> = items.par_chunks(CHUNK).map(encode).collect();
        items.chunks(CHUNK).zip(all).for_each(|(items, y)| self.put(items, &y, table));
    }

    /// Items of one task.
    fn share(&self) -> usize {
        self.items.len().div_ceil(LANES).max(1)
    }

    /// Cuts items and what belongs to them into what is convolved together.
    fn chunks<'a>(
        &self,
        items: &'a [u32],
        y: &'a mut [f32],
    ) -> impl Iterator<Item = (&'a [u32], &'a mut [f32])> {
        items.chunks(CHUNK).zip(y.chunks_mut(CHUNK * 2 * self.width))
    }

    fn forward(&self, items: &[u32], dropout: Dropout, lane: &mut Lane, y: &mut [f32]) {
        let Lane { offsets, x, state, .. } = lane;
        offsets.clear();
        offsets.push(0);
        x.clear();
        for &item in items {
            for &token in &self.rows[item as usize] {
                x.extend_from_slice(&self.table[token as usize * self.dim..][..self.dim]);
            }
            offsets.push(x.len() / self.dim);
        }
        let work = Work { parameters: &self.parameters, offsets, kinds: &[], dropout };
        self.cnn.forward(&work, x, y, state);
    }

    fn put(&self, items: &[u32], y: &[f32], table: &mut [f32]) {
        let (width, n_items) = (self.width, self.rows.len());
        for (&item, y) in items.iter().zip(y.chunks_exact(2 * width)) {
            let (as_item, as_taken) = y.split_at(width);
            table[item as usize * width..][..width].copy_from_slice(as_item);
            table[(n_items + item as usize) * width..][..width].copy_from_slice(as_taken);
        }
    }

    /// Learns from the gradients of the rows given to the last [`encode`](Self::encode), which had the same dropout.
    pub(super) fn learn(&mut self, (rows, d_rows): (&[u32], &[f32]), dropout: Dropout, rate: f32) {
        let mut lanes = std::mem::take(&mut self.lanes);
        self.spread(rows, d_rows);
        self.active.set(self.items.iter().flat_map(|&item| &self.rows[item as usize]));
        let share = self.share();
        let d = self.d.par_chunks(share * 2 * self.width);
        lanes.par_iter_mut().zip(self.items.par_chunks(share).zip(d)).enumerate().for_each(
            |(number, (lane, (items, d)))| self.backward(items, d, (dropout, number * share), lane),
        );
        let Some((first, rest)) = lanes.split_first_mut() else { return };
        // With few items some tasks had none.
        for lane in rest.iter_mut().take(self.items.chunks(share).len().saturating_sub(1)) {
            gather(&mut first.gradients, &mut lane.gradients);
            gather(&mut first.d_tokens, &mut lane.d_tokens);
        }
        if !self.items.is_empty() {
            self.adam.step(&mut self.parameters, &first.gradients, rate, 1.0);
            first.gradients.fill(0.0);
            if self.is_trained {
                let tokens = (self.active.rows(), self.dim);
                self.adam_table.step_rows(&mut self.table, tokens, &first.d_tokens, (rate, 1.0));
            }
        }
        self.lanes = lanes;
    }

    /// Sorts the gradients of rows by item; a row that took no part has none.
    fn spread(&mut self, rows: &[u32], d_rows: &[f32]) {
        let (width, n_items) = (self.width, self.rows.len() as u32);
        self.d.clear();
        self.d.resize(self.items.len() * 2 * width, 0.0);
        for (&row, d_row) in rows.iter().zip(d_rows.chunks_exact(width)) {
            let place = self.items.binary_search(&(row % n_items)).expect("its text was encoded");
            let at = 2 * place + usize::from(row >= n_items);
            self.d[at * width..][..width].copy_from_slice(d_row);
        }
    }

    fn backward(&self, items: &[u32], d: &[f32], from: (Dropout, usize), lane: &mut Lane) {
        lane.gradients.resize(self.parameters.len(), 0.0);
        lane.d_tokens.clear();
        lane.d_tokens.resize(self.active.rows().len() * self.dim, 0.0);
        let (dropout, first) = from;
        let mut y = std::mem::take(&mut lane.y);
        let wide = 2 * self.width;
        for (at, (items, d)) in items.chunks(CHUNK).zip(d.chunks(CHUNK * wide)).enumerate() {
            let dropout = of_chunk(dropout, first + at * CHUNK);
            self.forward(items, dropout, lane, &mut y[..d.len()]);
            let Lane { gradients, d_tokens, offsets, x, dx, state, .. } = &mut *lane;
            dx.resize(x.len(), 0.0);
            let work = Work { parameters: &self.parameters, offsets, kinds: &[], dropout };
            self.cnn.backward(&work, (d, dx), gradients, state);
            let tokens = items.iter().flat_map(|&item| &self.rows[item as usize]);
            for (&token, dx) in tokens.zip(dx.chunks_exact(self.dim)) {
                let place = self.active.place()[token as usize] as usize;
                axpy(1.0, dx, &mut d_tokens[place * self.dim..][..self.dim]);
            }
        }
        lane.y = y;
    }

    /// Puts what is learnt beside the rankers' own.
    pub(super) fn put_weights(&self, saved: &mut Saved) {
        saved.put_f32("text.parameters", &[self.parameters.len()], self.parameters.clone());
        saved.put_f32("text.table", &[self.table.len()], self.table.clone());
    }

    pub(super) fn take_weights(&mut self, saved: &mut Saved) -> Result<(), PersistError> {
        let (_, parameters) = saved.take_f32("text.parameters")?;
        let (_, table) = saved.take_f32("text.table")?;
        if parameters.len() != self.parameters.len() || table.len() != self.table.len() {
            return Err(PersistError::Shape { name: "text".into() });
        }
        (self.parameters, self.table) = (parameters, table);
        Ok(())
    }

    pub(super) fn put_momentum(&self, saved: &mut Saved) {
        self.adam.put("text.parameters", saved);
        self.adam_table.put("text.table", saved);
    }

    pub(super) fn take_momentum(&mut self, saved: &mut Saved) -> Result<(), PersistError> {
        self.adam.take("text.parameters", saved)?;
        self.adam_table.take("text.table", saved)
    }
}

/// Draws what is dropped from texts by the place of the first among those of the step.
fn of_chunk(dropout: Dropout, first: usize) -> Dropout {
    Dropout { key: seed::mix([dropout.key, first as u64]), ..dropout }
}

/// Returns vectors of length about 1: the leading components of the encoder's, or drawn ones.
fn first_vectors(tokens: &Tokens, dim: usize, seed: u64) -> Result<(usize, Vec<f32>), FitError> {
    if let Some(vectors) = tokens.vectors() {
        return components(vectors, &vec![1; tokens.n_tokens()], dim);
    }
    let mut table = vec![0.0; tokens.n_tokens() * dim];
    normal(&mut table, 1.0 / (dim as f32).sqrt(), seed, "rankers/tokens");
    Ok((dim, table))
}

#[cfg(test)]
mod tests {
    use tastemaker_core::HistoriesBuilder;

    use super::super::settings::TextCnnSettings;
    use super::*;

    /// Convolves all texts and returns the sum of the rows' numbers times `by`.
    fn loss(texts: &Texts, by: &[f32]) -> f64 {
        let mut table = vec![0.0; by.len()];
        texts.encode_all(&mut table);
        table.iter().zip(by).map(|(x, by)| f64::from(*x) * f64::from(*by)).sum()
    }

    #[test]
    fn gradients_of_token_vectors_equal_numeric_ones_summed_over_both_rows_of_an_item() {
        let mut builder = HistoriesBuilder::default();
        builder.end_user();
        let histories = builder.build();
        // More texts than are convolved together, some without tokens.
        let rows: Vec<Vec<u32>> = (0..70).map(|item| (0..item % 5).collect()).collect();
        let n_items = rows.len();
        let tokens = Tokens::new(rows, 5, None).unwrap();
        let data = TrainData { tokens: Some(&tokens), ..TrainData::new(&histories, n_items) };
        let settings = TextCnnSettings {
            filters: 3,
            filter_widths: vec![1, 2],
            token_dim: 2,
            tokens: 3,
            ..Default::default()
        };
        let width = 3;
        let mut texts = Texts::new(&settings, &data, width).unwrap().unwrap();
        // Rows of items 1, 8 and 69 as such, of 8 and 44 as taken.
        let active = [1u32, 8, 69, 78, 114];
        let mut by = vec![0.0f32; 2 * n_items * width];
        let mut d_rows = Vec::new();
        for row in active {
            let d = &mut by[row as usize * width..][..width];
            d.iter_mut().enumerate().for_each(|(i, d)| *d = ((row as usize + i) as f32).sin());
            d_rows.extend_from_slice(d);
        }
        let mut table = vec![0.0; by.len()];
        texts.encode(&active, NOTHING_DROPPED, &mut table);
        texts.spread(&active, &d_rows);
        texts.active.set([0, 1, 2].iter());
        let mut lane = std::mem::take(&mut texts.lanes[0]);
        lane.y.resize(texts.d.len(), 0.0);
        texts.backward(&texts.items, &texts.d, (NOTHING_DROPPED, 0), &mut lane);
        let step = 1e-2;
        let numeric = |texts: &mut Texts, value: fn(&mut Texts, usize) -> &mut f32, i: usize| {
            let mut at = |by_step: f32| {
                *value(texts, i) += by_step;
                let loss = loss(texts, &by);
                *value(texts, i) -= by_step;
                loss
            };
            (at(step) - at(-step)) / f64::from(2.0 * step)
        };
        for i in 0..6 {
            let want = numeric(&mut texts, |texts, i| &mut texts.table[i], i);
            assert!((f64::from(lane.d_tokens[i]) - want).abs() < 1e-3, "token number {i} {want}");
        }
        for i in 0..texts.parameters.len() {
            let want = numeric(&mut texts, |texts, i| &mut texts.parameters[i], i);
            assert!((f64::from(lane.gradients[i]) - want).abs() < 1e-3, "parameter {i} {want}");
        }
        // Token 3 is beyond what is read.
        assert!(numeric(&mut texts, |texts, i| &mut texts.table[i], 6).abs() < 1e-9);
    }
}
