//! A step of a ranking model: rows of the table to vectors of fields, the network, the loss, and all the way back.
//!
//! A batch is spread over a fixed number of lanes, each with its own gradients, which are added up in order: the result does
//! not depend on the number of threads.

use rayon::prelude::*;
use tastemaker_core::{FitError, PersistError, Saved, TrainData, UserId};
use tastemaker_kernels::axpy;
use tastemaker_train::{Adam, AdamSettings, Learner, Schedule, Step};

use super::active::Active;
use super::batch::{Batch, Examples, Group};
use super::head::{Head, Scale};
use super::inputs::Inputs;
use super::model::Ranker;
use super::network::{Network, Shape, State};
use super::settings::{Interaction, Objective, RankerSettings};
use super::tokens::Texts;
use super::vocabulary::Entries;
use crate::layers::Dropout;
use crate::params::{Layout, normal};

/// Tasks of a batch.
pub(super) const LANES: usize = 4;
/// Steps over which the learning rate rises.
const WARM_UP: u64 = 100;
/// Deviation of the first vectors.
pub(super) const DEVIATION: f32 = 0.05;

/// The parts of a ranker that are learnt, and how they are laid out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Body {
    pub(super) network: Network,
    pub(super) head: Head,
    /// Numbers of a field's vector; 0 for a model of first-order weights alone.
    pub(super) dim: usize,
    /// Numbers of a row of the table: the vector, and the first-order weight if there is one.
    pub(super) width: usize,
    pub(super) parameters: Vec<f32>,
    /// `[rows, width]`.
    pub(super) table: Vec<f32>,
}

impl Body {
    /// Lays a body out; parameters and table are empty.
    pub(super) fn new<V: Interaction>(
        settings: &RankerSettings<V>,
        inputs: &Inputs,
        scale: Scale,
    ) -> (Self, Layout) {
        let dim = if V::PARTS.has_vectors() { settings.dim } else { 0 };
        let fields = inputs.user_fields() + inputs.item_fields();
        let (hidden, cross_layers) = (&settings.hidden[..], settings.cross_layers);
        let mut layout = Layout::default();
        let shape = Shape { fields, dim, hidden, cross_layers };
        let network = Network::new(&mut layout, V::PARTS, shape);
        let head = Head::new(&mut layout, settings, scale);
        let width = dim + usize::from(V::PARTS.linear);
        let (parameters, table) = Default::default();
        (Self { network, head, dim, width, parameters, table }, layout)
    }

    /// Writes the vectors of the fields `fields` of `entries` to `x`, and returns the sum of their first-order weights.
    pub(super) fn gather(
        &self,
        entries: &Entries,
        fields: std::ops::Range<usize>,
        x: &mut [f32],
    ) -> f32 {
        let mut w = 0.0;
        x.fill(0.0);
        for (place, at) in fields.enumerate() {
            let (rows, weights) = entries.field(at);
            for (&row, &weight) in rows.iter().zip(weights) {
                let row = &self.table[row as usize * self.width..][..self.width];
                if self.dim > 0 {
                    axpy(weight, &row[..self.dim], &mut x[place * self.dim..][..self.dim]);
                }
                w += row.get(self.dim).map_or(0.0, |x| weight * x);
            }
        }
        w
    }

    /// Adds the gradients of the fields' vectors `dx` and of their first-order weights to those of the rows.
    fn scatter(
        &self,
        (entries, fields): (&Entries, std::ops::Range<usize>),
        (dx, dw): (&[f32], f32),
        (place, d_rows): (&[u32], &mut [f32]),
    ) {
        for (field, at) in fields.enumerate() {
            let (rows, weights) = entries.field(at);
            for (&row, &weight) in rows.iter().zip(weights) {
                let d = &mut d_rows[place[row as usize] as usize * self.width..][..self.width];
                if self.dim > 0 {
                    axpy(weight, &dx[field * self.dim..][..self.dim], &mut d[..self.dim]);
                }
                if let Some(d) = d.get_mut(self.dim) {
                    *d += weight * dw;
                }
            }
        }
    }
}

/// A ranker in training.
pub(super) struct RankerLearner<'a, V: Interaction> {
    data: &'a TrainData<'a>,
    settings: RankerSettings<V>,
    examples: Examples<'a>,
    inputs: Inputs,
    body: Body,
    /// Convolutions of item texts, for a model that has them.
    texts: Option<Texts>,
    adam: Adam,
    adam_table: Adam,
    batch: usize,
    active: Active,
    lanes: Vec<Lane>,
}

/// The memory of one task.
#[derive(Default)]
struct Lane {
    gradients: Vec<f32>,
    d_rows: Vec<f32>,
    users: Entries,
    items: Entries,
    state: State,
    x: Vec<f32>,
    w: Vec<f32>,
    dx: Vec<f32>,
    scores: Vec<f32>,
    slopes: Vec<f32>,
    d_user: Vec<f32>,
}

/// What the tasks of a step share.
struct Shared<'a> {
    inputs: &'a Inputs,
    body: &'a Body,
    batch: &'a Batch,
    place: &'a [u32],
    weight: f32,
    embedding_dropout: f32,
}

impl<'a, V: Interaction> RankerLearner<'a, V> {
    pub(super) fn new(
        data: &'a TrainData<'a>,
        settings: &RankerSettings<V>,
    ) -> Result<Self, FitError> {
        let scale = Scale::new(settings, data.histories)?;
        let inputs = Inputs::new(settings, data)?;
        let negatives = (settings.objective == Objective::Click).then_some(settings.negatives);
        let examples = Examples::new(data.histories, data.n_items, negatives);
        let batch = (examples.n_rows() / 100).next_power_of_two().clamp(512, 4096);
        let batch = settings.batch.unwrap_or(batch);
        let (mut body, layout) = Body::new(settings, &inputs, scale);
        let texts = Texts::new(settings, data, body.width)?;
        let more = texts.as_ref().map_or(0, Texts::floats);
        let sizes = (layout.len(), batch, more);
        check_memory::<V>(settings.max_memory_mb, (&body, &inputs), sizes, data)?;
        body.parameters = layout.start(data.seed);
        body.table = first_rows(&body, inputs.n_rows(), data.seed);
        let labels = match negatives {
            // An event and the items drawn beside it stand for all.
            Some(n) => [&[1.0][..], &vec![0.0; n]].concat(),
            None => data.histories.events().values.to_vec(),
        };
        body.head.start(&labels, body.network.bias(), &mut body.parameters);
        let decay = AdamSettings { weight_decay: settings.weight_decay, ..AdamSettings::default() };
        let lane = || Lane { state: body.network.state(), ..Lane::default() };
        Ok(Self {
            data,
            examples,
            adam: Adam::new(body.parameters.len(), AdamSettings::default()),
            adam_table: Adam::new(inputs.learnt_rows() * body.width, decay),
            texts,
            batch,
            active: Active::new(inputs.n_rows()),
            lanes: (0..LANES).map(|_| lane()).collect(),
            settings: RankerSettings { batch: Some(batch), ..settings.clone() },
            inputs,
            body,
        })
    }

    /// Returns the model as it stands.
    pub(super) fn model(&self) -> Ranker<V> {
        let mut body = self.body.clone();
        if let Some(texts) = &self.texts {
            texts.encode_all(&mut body.table[self.inputs.learnt_rows() * body.width..]);
        }
        Ranker::assemble(self.settings.clone(), self.inputs.clone(), body)
    }

    /// Writes the entries of a lane's groups.
    fn read(&self, batch: &Batch, groups: &[Group], key: u64, lane: &mut Lane) {
        lane.users.clear();
        lane.items.clear();
        let share = self.settings.unknown;
        for group in groups {
            let row = group.rows.start as u64;
            let history = self.data.histories.row(group.user as usize);
            let rest = (history, Some(history.items[group.at as usize]));
            let is_hidden = chance(key ^ 0x5bd1_e995, row) < share;
            self.inputs.user(Some(UserId(group.user)), is_hidden, rest, &mut lane.users);
            for row in group.rows.clone() {
                let is_hidden = chance(key, row as u64) < share;
                self.inputs.item(batch.items[row] as usize, is_hidden, &mut lane.items);
            }
        }
    }

    fn step(&mut self, events: &[(u32, u32)], key: u64) -> (f64, usize) {
        let batch = self.examples.batch(events, key);
        let mut lanes = std::mem::take(&mut self.lanes);
        let share = batch.groups.len().div_ceil(LANES).max(1);
        let groups = |lane: usize| {
            let at = |n: usize| (n * share).min(batch.groups.len());
            &batch.groups[at(lane)..at(lane + 1)]
        };
        lanes
            .par_iter_mut()
            .enumerate()
            .for_each(|(number, lane)| self.read(&batch, groups(number), key, lane));
        let rows = lanes.iter().flat_map(|lane| lane.users.rows.iter().chain(&lane.items.rows));
        self.active.set(rows);
        // Rows of texts come last.
        let (learnt, width) = (self.inputs.learnt_rows(), self.body.width);
        let split = self.active.rows().partition_point(|&row| (row as usize) < learnt);
        let of_texts: Vec<u32> =
            self.active.rows()[split..].iter().map(|row| row - learnt as u32).collect();
        let on_texts = Dropout { rate: self.settings.dropout, key: !key };
        if let Some(texts) = &mut self.texts {
            texts.encode(&of_texts, on_texts, &mut self.body.table[learnt * width..]);
        }
        let shared = Shared {
            inputs: &self.inputs,
            body: &self.body,
            batch: &batch,
            place: self.active.place(),
            weight: 1.0 / batch.items.len().max(1) as f32,
            embedding_dropout: self.settings.embedding_dropout,
        };
        let sizes = (self.body.parameters.len(), self.active.rows().len() * width);
        let rate = self.settings.dropout;
        let losses: Vec<f64> = lanes
            .par_iter_mut()
            .enumerate()
            .map(|(number, lane)| {
                lane.gradients.resize(sizes.0, 0.0);
                lane.d_rows.clear();
                lane.d_rows.resize(sizes.1, 0.0);
                let dropout = Dropout { rate, key: key.wrapping_add((number as u64) << 16) };
                lane.learn(&shared, groups(number), dropout)
            })
            .collect();
        let Some((first, rest)) = lanes.split_first_mut() else { return (0.0, 0) };
        for lane in rest {
            gather(&mut first.gradients, &mut lane.gradients);
            gather(&mut first.d_rows, &mut lane.d_rows);
        }
        let rate = self.settings.learning_rate * Schedule::Constant.at(self.adam.steps(), WARM_UP);
        self.adam.step(&mut self.body.parameters, &first.gradients, rate, 1.0);
        let rows = (&self.active.rows()[..split], width);
        let (d_rows, d_texts) = first.d_rows.split_at(split * width);
        let table = &mut self.body.table[..learnt * width];
        self.adam_table.step_rows(table, rows, d_rows, (rate, 1.0));
        if let Some(texts) = &mut self.texts {
            texts.learn((&of_texts, d_texts), on_texts, rate);
        }
        first.gradients.fill(0.0);
        self.lanes = lanes;
        (losses.iter().sum(), batch.items.len())
    }
}

/// Draws the table: small vectors, first-order weights of 0.
fn first_rows(body: &Body, n_rows: usize, seed: u64) -> Vec<f32> {
    let mut vectors = vec![0.0; n_rows * body.dim];
    normal(&mut vectors, DEVIATION, seed, "rankers/table");
    let mut table = vec![0.0; n_rows * body.width];
    if body.dim > 0 {
        let rows = table.chunks_exact_mut(body.width).zip(vectors.chunks_exact(body.dim));
        rows.for_each(|(row, vector)| row[..body.dim].copy_from_slice(vector));
    }
    table
}

fn check_memory<V: Interaction>(
    limit_mb: usize,
    (body, inputs): (&Body, &Inputs),
    (n_parameters, batch, more): (usize, usize, usize),
    data: &TrainData<'_>,
) -> Result<(), FitError> {
    let all = inputs.n_rows() * body.width + n_parameters;
    // Weights, two momenta, the best, a copy to save and the model; a lane's gradients are of active rows, all at worst.
    let floats = (6 + LANES) * all + (batch + LANES) * body.network.floats() + more;
    let rows = data.n_items * body.network.floats();
    let needed_mb = (4 * (floats + rows)) >> 20;
    if needed_mb <= limit_mb {
        return Ok(());
    }
    Err(FitError::TooLarge { model: V::NAME, needed_mb, limit_mb, n_items: data.n_items })
}

/// Returns a number in `0..1` that follows from a key and a row.
pub(crate) fn chance(key: u64, row: u64) -> f32 {
    let mut x = key ^ row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 40) as f32 / (1u64 << 24) as f32
}

/// Adds `other` to `sum` and leaves it at 0.
pub(crate) fn gather(sum: &mut [f32], other: &mut [f32]) {
    sum.par_chunks_mut(1 << 14).zip(other.par_chunks_mut(1 << 14)).for_each(|(sum, other)| {
        sum.iter_mut().zip(other.iter()).for_each(|(a, b)| *a += b);
        other.fill(0.0);
    });
}

fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    buffer.resize(len, 0.0);
    buffer
}

impl Lane {
    fn learn(&mut self, shared: &Shared<'_>, groups: &[Group], dropout: Dropout) -> f64 {
        let Shared { inputs, body, batch, place, weight, embedding_dropout } = *shared;
        let (Some(first), Some(last)) = (groups.first(), groups.last()) else { return 0.0 };
        let (start, end) = (first.rows.start, last.rows.end);
        let (rows, width) = (end - start, body.network.width());
        let (user_fields, item_fields) = (inputs.user_fields(), inputs.item_fields());
        let split = user_fields * body.dim;
        let x = sized(&mut self.x, rows * width);
        let w = sized(&mut self.w, rows);
        let d_user = sized(&mut self.d_user, split);
        for (number, group) in groups.iter().enumerate() {
            let fields = number * user_fields..(number + 1) * user_fields;
            let of_user = body.gather(&self.users, fields, d_user);
            for row in group.rows.clone().map(|row| row - start) {
                let x = &mut x[row * width..][..width];
                x[..split].copy_from_slice(d_user);
                let fields = row * item_fields..(row + 1) * item_fields;
                w[row] = of_user + body.gather(&self.items, fields, &mut x[split..]);
            }
        }
        let on_x = Dropout { rate: embedding_dropout, ..dropout };
        on_x.apply(0, x);
        let (scores, slopes) = (sized(&mut self.scores, rows), sized(&mut self.slopes, rows));
        let parameters = &body.parameters[..];
        body.network.read(parameters, x, &mut self.state);
        body.network.score(parameters, (x, w), (&mut self.state, dropout), scores);
        let labels = &batch.labels[start..end];
        let both = (parameters, &mut self.gradients[..]);
        let loss = body.head.step(both, (scores, labels), weight, slopes);
        let dx = sized(&mut self.dx, rows * width);
        let both = (parameters, &mut self.gradients[..]);
        body.network.backward(both, x, (&mut self.state, dropout), (slopes, dx));
        on_x.apply(0, dx);
        for (number, group) in groups.iter().enumerate() {
            d_user.fill(0.0);
            let mut dw_user = 0.0;
            for row in group.rows.clone().map(|row| row - start) {
                let (of_user, of_item) = dx[row * width..][..width].split_at(split);
                axpy(1.0, of_user, d_user);
                dw_user += slopes[row];
                let fields = (&self.items, row * item_fields..(row + 1) * item_fields);
                body.scatter(fields, (of_item, slopes[row]), (place, &mut self.d_rows));
            }
            let fields = (&self.users, number * user_fields..(number + 1) * user_fields);
            body.scatter(fields, (d_user, dw_user), (place, &mut self.d_rows));
        }
        loss
    }
}

impl<V: Interaction> Learner for RankerLearner<'_, V> {
    fn epoch(&mut self, epoch: usize) -> Step {
        let seed = self.data.seed;
        let (mut sum, mut samples) = (0.0, 0);
        for (number, events) in self.examples.steps(self.batch, (seed, epoch)).iter().enumerate() {
            if self.data.progress.is_cancelled() {
                break;
            }
            let key = seed ^ ((epoch as u64) << 44 | (number as u64) << 22);
            let (loss, rows) = self.step(events, key);
            sum += loss * rows as f64;
            samples += rows;
        }
        Step { loss: sum / samples.max(1) as f64, samples }
    }

    fn validate(&self) -> Option<f64> {
        self.data.judge.map(|judge| judge.judge(&self.model()))
    }

    fn weights(&self) -> Saved {
        let mut saved = Saved::default();
        let Body { parameters, table, .. } = &self.body;
        saved.put_f32("parameters", &[parameters.len()], parameters.clone());
        saved.put_f32("table", &[table.len()], table.clone());
        self.texts.iter().for_each(|texts| texts.put_weights(&mut saved));
        saved
    }

    fn set_weights(&mut self, mut weights: Saved) -> Result<(), PersistError> {
        let (_, parameters) = weights.take_f32("parameters")?;
        let (_, table) = weights.take_f32("table")?;
        if let Some(texts) = &mut self.texts {
            texts.take_weights(&mut weights)?;
        }
        let body = &mut self.body;
        if parameters.len() != body.parameters.len() || table.len() != body.table.len() {
            return Err(PersistError::Shape { name: "weights".into() });
        }
        (body.parameters, body.table) = (parameters, table);
        Ok(())
    }

    fn momentum(&self) -> Saved {
        let mut saved = Saved::default();
        self.adam.put("parameters", &mut saved);
        self.adam_table.put("table", &mut saved);
        self.texts.iter().for_each(|texts| texts.put_momentum(&mut saved));
        saved
    }

    fn set_momentum(&mut self, mut momentum: Saved) -> Result<(), PersistError> {
        self.adam.take("parameters", &mut momentum)?;
        self.adam_table.take("table", &mut momentum)?;
        self.texts.as_mut().map_or(Ok(()), |texts| texts.take_momentum(&mut momentum))
    }
}
