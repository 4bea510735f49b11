//! A step of the two towers: what goes in, both towers over the events of a batch, the in-batch softmax, and all the way back.
//!
//! A step is spread over a fixed number of lanes. The events of a lane compete with one another; its gradients are its own and
//! are added up in order, so the result does not depend on the number of threads.

use rayon::prelude::*;
use tastemaker_core::{FitError, Histories, PersistError, Saved, TrainData};
use tastemaker_kernels::{Direction, InBatch, InBatchGradients, InBatchScratch, axpy};
use tastemaker_train::{Adam, AdamSettings, Learner, Schedule, Step};

use super::fit::NAME;
use super::inputs::{Active, DEVIATION, Inputs, scatter};
use super::model::{Parts, TwoTower, user_tower};
use super::pairs::{Fading, Pair, pairs, shuffled};
use super::settings::TwoTowerSettings;
use super::tower::{Tower, TowerState};
use crate::layers::Dropout;
use crate::params::{Layout, normal};
use crate::rankers::{chance, gather};

/// Tasks of a step.
const LANES: usize = 4;
/// Items that pass their tower together where all of them do.
const BLOCK: usize = 4096;
/// Steps over which the learning rate rises.
const WARM_UP: u64 = 100;
/// Keeps what is dropped of users and of items apart.
const ITEMS: u64 = 1 << 50;

/// What is learnt, and how it is laid out: the users' tower, the items' tower, the projection of texts.
struct Body {
    inputs: Inputs,
    users: Tower,
    items: Tower,
    /// Parameters of the users' tower, which come first.
    n_of_users: usize,
    parameters: Vec<f32>,
    /// Rows of items and columns, `[rows, dim]`.
    table: Vec<f32>,
}

/// The towers in training.
pub(super) struct TowerLearner<'a> {
    data: &'a TrainData<'a>,
    settings: TwoTowerSettings,
    pairs: Vec<Pair>,
    fading: Fading,
    /// `-c ln q` of every item.
    shifts: Vec<f32>,
    body: Body,
    adam: Adam,
    adam_table: Adam,
    items: Active,
    rows: Active,
    /// What goes into the towers for the active items.
    z: Vec<f32>,
    /// Gradients of the active rows.
    d_rows: Vec<f32>,
    lanes: Vec<Lane>,
}

/// The memory of one task.
#[derive(Default)]
struct Lane {
    gradients: Vec<f32>,
    d_z: Vec<f32>,
    users: Side,
    items: Side,
    ids: Vec<u32>,
    shifts: Vec<f32>,
    loss: InBatchScratch,
}

/// One tower's numbers in a task.
#[derive(Default)]
struct Side {
    x: Vec<f32>,
    state: TowerState,
    d: Vec<f32>,
}

/// What the tasks of a step share.
struct Shared<'a> {
    histories: &'a Histories,
    body: &'a Body,
    fading: &'a Fading,
    shifts: &'a [f32],
    place: &'a [u32],
    z: &'a [f32],
    dim: usize,
    temperature: f32,
    weight: f32,
    key: u64,
    unknown: f32,
}

impl Body {
    fn new(settings: &TwoTowerSettings, data: &TrainData<'_>) -> Result<(Self, Layout), FitError> {
        let mut layout = Layout::default();
        let users = user_tower(&mut layout, settings);
        let n_of_users = layout.len();
        let TwoTowerSettings { dim, ref hidden, normalise, .. } = *settings;
        let items = Tower::new(&mut layout, "items", (dim, hidden), normalise);
        let inputs = Inputs::new(&mut layout, settings, data)?;
        let (parameters, table) = Default::default();
        Ok((Self { inputs, users, items, n_of_users, parameters, table }, layout))
    }

    fn learnt(&self) -> (&[f32], &[f32]) {
        (&self.parameters, &self.table)
    }
}

impl<'a> TowerLearner<'a> {
    pub(super) fn new(
        data: &'a TrainData<'a>,
        settings: &TwoTowerSettings,
    ) -> Result<Self, FitError> {
        let (mut body, layout) = Body::new(settings, data)?;
        let pairs = pairs(data.histories, body.inputs.has_user_columns());
        let batch = settings.batch(pairs.len());
        check_memory(settings, (&body, layout.len()), batch, data)?;
        body.parameters = layout.start(data.seed);
        body.table = vec![0.0; body.inputs.n_rows() * settings.dim];
        normal(&mut body.table, DEVIATION, data.seed, "two-tower/table");
        let n_events = data.histories.n_events().max(1) as f32;
        let shift = |count: u32| settings.correction * (n_events / count.max(1) as f32).ln();
        let counts = data.histories.item_counts(data.n_items);
        let decay = AdamSettings { weight_decay: settings.weight_decay, ..AdamSettings::default() };
        Ok(Self {
            data,
            pairs,
            fading: Fading::new(settings.history, settings.recency),
            shifts: counts.into_iter().map(shift).collect(),
            adam: Adam::new(body.parameters.len(), decay),
            adam_table: Adam::new(body.table.len(), decay),
            items: Active::new(data.n_items),
            rows: Active::new(body.inputs.n_rows()),
            z: Vec::new(),
            d_rows: Vec::new(),
            lanes: (0..LANES).map(|_| Lane::default()).collect(),
            settings: TwoTowerSettings { batch: Some(batch), ..settings.clone() },
            body,
        })
    }

    pub(super) const fn has_nothing_to_learn(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Returns a model that knows popularity alone.
    pub(super) fn blank(&self) -> TwoTower {
        let parameters = self.body.parameters[..self.body.n_of_users].to_vec();
        let parts = Parts { parameters, prior: self.prior(), ..Parts::default() };
        TwoTower::new(self.settings.clone(), parts)
    }

    fn prior(&self) -> Vec<f32> {
        let counts = self.data.histories.item_counts(self.data.n_items);
        counts.into_iter().map(|n| (n as f32).ln_1p()).collect()
    }

    /// Returns the model as it stands.
    pub(super) fn model(&self) -> TwoTower {
        let (Body { inputs, items, n_of_users, table, .. }, dim) = (&self.body, self.settings.dim);
        let all: Vec<u32> = (0..self.data.n_items as u32).collect();
        let mut z = Vec::new();
        inputs.forward(self.body.learnt(), &all, |_| false, &mut z);
        let (mut state, mut vectors) = (TowerState::default(), Vec::with_capacity(z.len()));
        for z in z.chunks((BLOCK * dim).max(1)) {
            let nothing_dropped = (&mut state, Dropout::default());
            items.forward(&self.body.parameters, z, nothing_dropped);
            vectors.extend_from_slice(&state.y);
        }
        for item in (0..self.data.n_items).filter(|&item| inputs.is_blank(item)) {
            z[item * dim..][..dim].fill(0.0);
            vectors[item * dim..][..dim].fill(0.0);
        }
        let mut users = Vec::new();
        if inputs.has_user_columns() {
            let n_users = self.data.histories.n_users();
            users.resize((n_users + 1) * dim, 0.0);
            for (user, out) in users.chunks_exact_mut(dim).enumerate() {
                for (row, weight) in inputs.user(Some(user)) {
                    axpy(weight, &table[row as usize * dim..][..dim], out);
                }
            }
        }
        let parameters = self.body.parameters[..*n_of_users].to_vec();
        let parts = Parts { parameters, inputs: z, vectors, users, prior: self.prior() };
        TwoTower::new(self.settings.clone(), parts)
    }

    /// Makes the items and rows active that take part in a step.
    fn activate(&mut self, pairs: &[Pair], key: u64) {
        let (histories, most) = (self.data.histories, self.fading.most());
        let read = pairs.iter().flat_map(|pair| {
            let items = histories.row(pair.user as usize).items;
            let at = pair.at as usize;
            items[at.saturating_sub(most)..=at].iter().map(|item| item.0)
        });
        self.items.refill(read);
        let (inputs, share) = (&self.body.inputs, self.settings.unknown);
        let of_items =
            self.items.ids.iter().flat_map(|&id| inputs.item(id, is_alone(inputs, key, share, id)));
        let of_users = pairs.iter().flat_map(|pair| inputs.user(user(pair, key, share)));
        self.rows.refill(of_items.chain(of_users).map(|(row, _)| row));
    }

    /// Leaves the gradients of a step in the first lane and in `d_rows`, and returns the mean loss of an event.
    fn gradients(&mut self, pairs: &[Pair], key: u64) -> f64 {
        self.activate(pairs, key);
        let (dim, share) = (self.settings.dim, self.settings.unknown);
        let Self { body, items, z, .. } = self;
        let alone = |id: u32| is_alone(&body.inputs, key, share, id);
        body.inputs.forward(body.learnt(), &items.ids, alone, z);
        let shared = Shared {
            histories: self.data.histories,
            body,
            fading: &self.fading,
            shifts: &self.shifts,
            place: &items.place,
            z,
            dim,
            temperature: self.settings.temperature,
            weight: 1.0 / pairs.len().max(1) as f32,
            key,
            unknown: share,
        };
        let n = pairs.len().div_ceil(LANES).max(1);
        let part = |lane: usize| {
            let at = |lane: usize| (lane * n).min(pairs.len());
            &pairs[at(lane)..at(lane + 1)]
        };
        let rate = self.settings.dropout;
        let losses: Vec<f64> = self
            .lanes
            .par_iter_mut()
            .enumerate()
            .map(|(number, lane)| {
                let dropout = Dropout { rate, key: key.wrapping_add((number as u64) << 16) };
                lane.learn(&shared, part(number), dropout)
            })
            .collect();
        let (body, rows) = (&self.body, &self.rows);
        self.d_rows.clear();
        self.d_rows.resize(rows.ids.len() * dim, 0.0);
        for (number, lane) in self.lanes.iter().enumerate() {
            for (pair, d) in part(number).iter().zip(lane.users.d.chunks_exact(dim)) {
                scatter(body.inputs.user(user(pair, key, share)), d, (rows, &mut self.d_rows));
            }
        }
        let Some((first, rest)) = self.lanes.split_first_mut() else { return 0.0 };
        for lane in rest {
            gather(&mut first.gradients, &mut lane.gradients);
            gather(&mut first.d_z, &mut lane.d_z);
        }
        let d = (&self.items.ids[..], &first.d_z[..]);
        let alone = |id: u32| is_alone(&body.inputs, key, share, id);
        body.inputs.backward(d, alone, &mut first.gradients, (rows, &mut self.d_rows));
        losses.iter().sum()
    }

    fn step(&mut self, pairs: &[Pair], key: u64) -> f64 {
        let loss = self.gradients(pairs, key);
        let rate = self.settings.learning_rate * Schedule::Constant.at(self.adam.steps(), WARM_UP);
        let gradients = &mut self.lanes[0].gradients;
        self.adam.step(&mut self.body.parameters, gradients, rate, 1.0);
        gradients.fill(0.0);
        let rows = (&self.rows.ids[..], self.settings.dim);
        self.adam_table.step_rows(&mut self.body.table, rows, &self.d_rows, (rate, 1.0));
        loss
    }
}

/// Tells whether an item goes without its own vector in a step.
fn is_alone(inputs: &Inputs, key: u64, share: f32, item: u32) -> bool {
    inputs.knows_more() && chance(key, u64::from(item)) < share
}

/// Returns whose columns are read for an example: its user's, or nobody's.
fn user(pair: &Pair, key: u64, share: f32) -> Option<usize> {
    let is_hidden = chance(key ^ 0x5bd1_e995, u64::from(pair.user)) < share;
    (!is_hidden).then_some(pair.user as usize)
}

fn check_memory(
    settings: &TwoTowerSettings,
    (body, n_parameters): (&Body, usize),
    batch: usize,
    data: &TrainData<'_>,
) -> Result<(), FitError> {
    let (dim, limit_mb) = (settings.dim, settings.max_memory_mb);
    let longest = data.histories.iter().map(|h| h.len()).max().unwrap_or(0);
    let read = LANES.saturating_mul(batch) * (1 + settings.history.min(longest));
    let active = read.min(data.n_items);
    let of_event = body.users.floats() + body.items.floats() + 4 * dim;
    let lane = batch * (batch + of_event) + n_parameters + active * dim;
    // Weights, two momenta, the best, a copy to save, gradients; inputs and vectors of all items.
    // And the towers' memory of a block of items, and a vector of the columns of each user.
    let of_users =
        if body.inputs.has_user_columns() { (data.histories.n_users() + 1) * dim } else { 0 };
    let block = BLOCK.min(data.n_items) * body.items.floats();
    let shared = 6 * (n_parameters + body.inputs.n_rows() * dim) + 4 * data.n_items * dim;
    let shared = shared + of_users + block;
    let needed_mb = (4 * (LANES * lane + shared)) >> 20;
    if needed_mb <= limit_mb {
        return Ok(());
    }
    Err(FitError::TooLarge { model: NAME, needed_mb, limit_mb, n_items: data.n_items })
}

impl Side {
    /// Runs a tower over what has been gathered in `x`.
    fn forward(&mut self, tower: &Tower, parameters: &[f32], dropout: Dropout) {
        dropout.apply(0, &mut self.x);
        tower.forward(parameters, &self.x, (&mut self.state, dropout));
        self.d.resize(self.x.len(), 0.0);
    }

    /// Turns the gradient of the tower's result into that of what was gathered.
    fn backward(&mut self, tower: &Tower, both: (&[f32], &mut [f32]), dropout: Dropout) {
        tower.backward(both, &self.x, (&mut self.state, dropout), &mut self.d);
        dropout.apply(0, &mut self.d);
    }
}

impl Lane {
    /// Adds the gradients of some events that compete with one another, and returns their loss.
    fn learn(&mut self, shared: &Shared<'_>, pairs: &[Pair], dropout: Dropout) -> f64 {
        let Shared { body, dim, .. } = *shared;
        let parameters = &body.parameters[..];
        self.gradients.resize(parameters.len(), 0.0);
        self.d_z.clear();
        self.d_z.resize(shared.z.len(), 0.0);
        self.read(shared, pairs);
        let of_items = Dropout { key: dropout.key.wrapping_add(ITEMS), ..dropout };
        self.users.forward(&body.users, parameters, dropout);
        self.items.forward(&body.items, parameters, of_items);
        let task = InBatch {
            direction: Direction::Forward,
            ids: &self.ids,
            groups: &[],
            shift: &self.shifts,
            temperature: shared.temperature,
            weight: shared.weight,
        };
        let (u, v) = (&self.users.state.y, &self.items.state.y);
        let into = InBatchGradients { a: &mut self.users.d, b: &mut self.items.d };
        let loss = task.step(pairs.len(), (u, v), into, &mut self.loss);
        self.users.backward(&body.users, (parameters, &mut self.gradients), dropout);
        self.items.backward(&body.items, (parameters, &mut self.gradients), of_items);
        let gradients = self.users.d.chunks_exact(dim).zip(self.items.d.chunks_exact(dim));
        for (pair, (d_user, d_item)) in pairs.iter().zip(gradients) {
            let items = shared.histories.row(pair.user as usize).items;
            let place = |item: usize| shared.place[item] as usize * dim;
            for (item, share) in shared.fading.of(&items[..pair.at as usize]) {
                axpy(share, d_user, &mut self.d_z[place(item.index())..][..dim]);
            }
            let target = place(items[pair.at as usize].index());
            axpy(1.0, d_item, &mut self.d_z[target..][..dim]);
        }
        loss
    }

    /// Gathers what goes into the towers.
    fn read(&mut self, shared: &Shared<'_>, pairs: &[Pair]) {
        let Shared { body, dim, z, .. } = *shared;
        let row = |item: usize| &z[shared.place[item] as usize * dim..][..dim];
        self.users.x.clear();
        self.users.x.resize(pairs.len() * dim, 0.0);
        self.items.x.clear();
        self.ids.clear();
        self.shifts.clear();
        for (pair, x) in pairs.iter().zip(self.users.x.chunks_exact_mut(dim)) {
            let items = shared.histories.row(pair.user as usize).items;
            for (item, share) in shared.fading.of(&items[..pair.at as usize]) {
                axpy(share, row(item.index()), x);
            }
            for (row, weight) in body.inputs.user(user(pair, shared.key, shared.unknown)) {
                axpy(weight, &body.table[row as usize * dim..][..dim], x);
            }
            let target = items[pair.at as usize];
            self.items.x.extend_from_slice(row(target.index()));
            self.ids.push(target.0);
            self.shifts.push(shared.shifts[target.index()]);
        }
    }
}

impl Learner for TowerLearner<'_> {
    fn epoch(&mut self, epoch: usize) -> Step {
        let seed = self.data.seed;
        let pairs = shuffled(&self.pairs, (seed, epoch));
        let (mut sum, mut samples) = (0.0, 0);
        let size = LANES * self.settings.batch(pairs.len());
        for (number, pairs) in pairs.chunks(size).enumerate() {
            if self.data.progress.is_cancelled() {
                break;
            }
            let key = seed ^ ((epoch as u64) << 44 | (number as u64) << 22);
            sum += self.step(pairs, key) * pairs.len() as f64;
            samples += pairs.len();
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
        saved
    }

    fn set_weights(&mut self, mut weights: Saved) -> Result<(), PersistError> {
        let (_, parameters) = weights.take_f32("parameters")?;
        let (_, table) = weights.take_f32("table")?;
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
        saved
    }

    fn set_momentum(&mut self, mut momentum: Saved) -> Result<(), PersistError> {
        self.adam.take("parameters", &mut momentum)?;
        self.adam_table.take("table", &mut momentum)
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{Feature, FeatureValues, Features};
    use tastemaker_testkit::tiny;

    use super::*;

    fn columns(n: usize) -> Vec<Feature> {
        let rows = (0..n).map(|row| if row % 7 == 0 { vec![] } else { vec![row as u32 % 3, 3] });
        let labels = FeatureValues::Labels { n_labels: 4, rows: rows.collect() };
        let sizes = (0..n).map(|row| (row % 5 > 0).then_some(row as f32));
        let numbers = FeatureValues::Numbers(sizes.collect());
        let column = |name: &str, values| Feature { name: name.into(), values };
        vec![column("kind", labels), column("size", numbers)]
    }

    /// Compares all gradients of a step with central differences of its loss.
    fn check(settings: &TwoTowerSettings, with_columns: bool) {
        let world = tiny(1);
        let features = Features { users: columns(60), items: columns(40) };
        let features = with_columns.then_some(&features);
        let data = TrainData { features, ..world.data() };
        let mut learner = TowerLearner::new(&data, settings).unwrap();
        // Small vectors would bend the cosine too much for a step.
        learner.body.table.iter_mut().for_each(|x| *x *= 20.0);
        let start = &mut learner.body.parameters;
        start.iter_mut().enumerate().for_each(|(i, x)| *x += 0.2 * (i as f32).sin());
        let pairs: Vec<Pair> = learner.pairs.iter().copied().step_by(9).collect();
        learner.gradients(&pairs, 5);
        let gradients = std::mem::take(&mut learner.lanes[0].gradients);
        let (rows, d_rows) = (learner.rows.ids.clone(), learner.d_rows.clone());
        learner.lanes[0].gradients = vec![0.0; gradients.len()];
        assert!(d_rows.iter().any(|x| x.abs() > 1e-3));
        let step = 4e-3;
        let differ = |learner: &mut TowerLearner<'_>, is_row: bool, at: usize| {
            let mut loss = |by: f32| {
                let body = &mut learner.body;
                let all = if is_row { &mut body.table } else { &mut body.parameters };
                let old = all[at];
                all[at] += by;
                let loss = learner.gradients(&pairs, 5);
                let body = &mut learner.body;
                let all = if is_row { &mut body.table } else { &mut body.parameters };
                all[at] = old;
                loss
            };
            (loss(step) - loss(-step)) / f64::from(2.0 * step)
        };
        let agree = |got: f32, want: f64, what: String| {
            let allowed = 2e-3 + 2e-2 * want.abs();
            assert!((f64::from(got) - want).abs() < allowed, "{what}: {got} {want}");
        };
        for (at, &got) in gradients.iter().enumerate().step_by(3) {
            agree(got, differ(&mut learner, false, at), format!("parameter {at}"));
        }
        let dim = settings.dim;
        for (at, &got) in d_rows.iter().enumerate().step_by(2) {
            let place = rows[at / dim] as usize * dim + at % dim;
            agree(got, differ(&mut learner, true, place), format!("row {} {at}", rows[at / dim]));
        }
    }

    #[test]
    fn gradients_of_both_towers_equal_numeric_ones() {
        let plain = TwoTowerSettings { dim: 3, temperature: 0.5, ..TwoTowerSettings::default() };
        check(&plain, true);
        check(&TwoTowerSettings { normalise: false, text_dim: 0, ..plain.clone() }, false);
        let deep = TwoTowerSettings { hidden: vec![5, 4], unknown: 0.3, history: 3, ..plain };
        check(&deep, true);
    }

    #[test]
    fn an_item_taken_by_half_of_all_events_is_corrected_by_the_logarithm_of_two() {
        let mut builder = tastemaker_core::HistoriesBuilder::default();
        for item in [0, 1, 0, 2] {
            builder.push(tastemaker_core::ItemId(item), 1.0, 0);
        }
        builder.end_user();
        let histories = builder.build();
        let data = TrainData::new(&histories, 3);
        let learner = TowerLearner::new(&data, &TwoTowerSettings::default()).unwrap();
        let want = [2f32.ln(), 4f32.ln(), 4f32.ln()];
        tastemaker_testkit::assert_all_close(&learner.shifts, &want, 1e-6);
    }
}
