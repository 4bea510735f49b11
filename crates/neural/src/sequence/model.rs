//! The fitted form of all sequence models, and the way from settings to it.
//!
//! The same item vectors are read and predicted. A user is their history: strangers and fresh events are served at once.

use serde_json::{Value, json};
use tastemaker_core::{
    Embed, Fault, FitError, History, ItemId, Judge, Persist, PersistError, Recommender, Request,
    Saved, Scored, Similar, TrainData, Vectors, seed,
};
use tastemaker_kernels::{View, product};
use tastemaker_train::{Plan, run};

use super::learner::SequenceLearner;
use super::network::{NOTHING_DROPPED, Network, NetworkState};
use super::newcomers::{Level, Newcomers, SHIFTS, gauge_users, newcomers};
use super::settings::{Architecture, Resolved, Settled, Training};
use super::step::Task;
use super::times::kinds;
use super::tower::{Adapter, FEATURES};
use super::windows::windows;
use crate::layers::Work;
use crate::params::Layout;

/// Scores by what a network expects next; see the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence<S: Architecture> {
    settings: S,
    dim: usize,
    network: Network,
    /// Width of the text features behind the vectors; 0 where texts have no part in them.
    features: usize,
    parameters: Vec<f32>,
    /// Seconds between events of which no date is known, for networks that read times.
    usual_gap: u32,
    /// `[items, dim]`.
    vectors: Vec<f32>,
    /// What is said to somebody without a history: logarithms of counts, `[items]`.
    prior: Vec<f32>,
    /// Items that nobody took and whose text is known.
    newcomers: Newcomers,
    /// Items that nobody took and no text speaks for: they come after all others.
    untaken: Vec<u32>,
}

/// What a model reads of a history, oldest first.
#[derive(Clone, Debug, Default)]
struct Known {
    items: Vec<ItemId>,
    times: Vec<i64>,
}

fn untaken(prior: &[f32], newcomers: &Newcomers) -> Vec<u32> {
    let all = (0..).zip(prior).filter(|(_, prior)| **prior <= 0.0).map(|(item, _)| item);
    all.filter(|item| newcomers.items.binary_search(item).is_err()).collect()
}

/// Lists every impossible value of settings.
pub(super) fn faults<S: Architecture>(settings: &S) -> Vec<Fault> {
    let mut all = settings.training().problems();
    all.extend(settings.own_problems());
    all
}

/// Trains by epochs until validation is no longer better.
pub(super) fn fit<S: Architecture>(
    settings: &S,
    data: &TrainData<'_>,
) -> Result<Sequence<S>, FitError> {
    data.require_events()?;
    let settings = &settings.decided(data)?;
    let training = settings.training();
    let resolved = training.resolve(data);
    let mut learner = SequenceLearner::new(data, settings, resolved)?;
    learner.check_memory()?;
    if windows(data.histories, resolved.max_length, 0, 0).is_empty() {
        // Nobody took two items: there is no order to learn, and popularity is all there is.
        let mut model = learner.model();
        model.vectors.clear();
        return Ok(model);
    }
    let fingerprint = json!({
        "format": 1,
        "settings": settings,
        "seed": data.seed,
        "items": data.n_items,
        "data": fingerprint(data, learner.reads_times()),
        "judge": data.judge.map(Judge::identity),
    });
    let plan = Plan {
        name: S::NAME,
        epochs: training.epochs,
        patience: training.patience,
        progress: data.progress,
        checkpoints: data.checkpoints,
        fingerprint: &fingerprint,
    };
    let diverged = |why| FitError::Diverged { model: S::NAME, why };
    let outcome = run(&mut learner, &plan).map_err(|failed| diverged(failed.to_string()))?;
    if outcome.cancelled {
        let epochs = outcome.curve.epochs.len();
        return Err(FitError::Cancelled { model: S::NAME, epochs });
    }
    let mut model = learner.model();
    if !model.vectors.iter().chain(&model.parameters).all(|x| x.is_finite()) {
        return Err(diverged("its numbers ran away: lower `learning_rate`".into()));
    }
    let epochs = outcome.curve.best().max(1);
    let (newcomers, taken) = learner.newcomers();
    let newcomer_shift = model.welcome(newcomers, taken, data);
    let Resolved { max_length, dropout, batch } = resolved;
    model.settings.settle(Settled { epochs, max_length, dropout, batch, newcomer_shift });
    Ok(model)
}

/// Stands for everything that is learnt from: histories in order, texts, and times where they are read.
fn fingerprint(data: &TrainData<'_>, reads_times: bool) -> u64 {
    let ends = data.histories.offsets().iter().map(|&end| end as u64);
    let items = data.histories.events().items.iter().map(|item| u64::from(item.0));
    let texts = data.vectors.map(|vectors| vectors.flat()).unwrap_or_default();
    let times = if reads_times { data.histories.events().times } else { &[] };
    let times = times.iter().map(|time| time.cast_unsigned());
    let texts = texts.iter().map(|x| u64::from(x.to_bits()));
    seed::mix(ends.chain(items).chain(texts).chain(times))
}

/// Puts the newcomers together from what was saved, if there were any.
fn load_newcomers(saved: &mut Saved, prior: &[f32]) -> Result<Newcomers, PersistError> {
    let misfit = || PersistError::Shape { name: "newcomers".into() };
    let bits: Option<[u32; 4]> = serde_json::from_value(saved.meta["newcomers"].take())?;
    let Some(bits) = bits else { return Ok(Newcomers::default()) };
    let level = Level::of_bits(bits).ok_or_else(misfit)?;
    let (dim, features) = saved.take_matrix("newcomers")?;
    let features = Vectors::from_flat(dim, features).ok_or_else(misfit)?;
    if features.rows() != prior.len() || !features.flat().iter().all(|x| x.is_finite()) {
        return Err(misfit());
    }
    let items = newcomers(&features, |item| prior[item] > 0.0);
    Ok(Newcomers::assemble(items, features, level))
}

impl<S: Architecture> Sequence<S> {
    pub(super) fn assemble(
        settings: S,
        (network, features, parameters): (Network, usize, Vec<f32>),
        usual_gap: u32,
        vectors: Vec<f32>,
        prior: Vec<f32>,
    ) -> Self {
        let dim = settings.training().dim;
        let newcomers = Newcomers::default();
        let untaken = untaken(&prior, &newcomers);
        Self {
            settings,
            dim,
            network,
            features,
            parameters,
            usual_gap,
            vectors,
            prior,
            newcomers,
            untaken,
        }
    }

    /// Takes in items that nobody has taken, by their texts, and returns how much they are shifted.
    fn welcome(
        &mut self,
        mut newcomers: Newcomers,
        taken: &[u32],
        data: &TrainData<'_>,
    ) -> Option<f32> {
        let given = self.settings.training().newcomer_shift;
        if newcomers.is_empty() {
            return given;
        }
        let shift = given.or_else(|| self.best_shift(&newcomers, taken, data)).unwrap_or(0.0);
        self.take_in(&mut newcomers, taken, data);
        newcomers.level.shift = shift;
        self.untaken = untaken(&self.prior, &newcomers);
        self.newcomers = newcomers;
        Some(shift)
    }

    /// Finds the shift with which validation is best when some taken items are newcomers, as many as there are true ones.
    fn best_shift(
        &self,
        newcomers: &Newcomers,
        taken: &[u32],
        data: &TrainData<'_>,
    ) -> Option<f32> {
        let judge = data.judge?;
        let (mut trial, rest) = newcomers.made_of(taken, data.seed);
        let mut model = self.clone();
        model.take_in(&mut trial, &rest, data);
        model.newcomers = trial;
        let mut best = None;
        for (done, shift) in SHIFTS.into_iter().enumerate() {
            data.progress.report("placing new items", done, SHIFTS.len());
            model.newcomers.level.shift = shift;
            let value = judge.judge(&model);
            if best.is_none_or(|(most, _)| value > most) {
                best = Some((value, shift));
            }
        }
        data.progress.report("placing new items", SHIFTS.len(), SHIFTS.len());
        best.map(|(_, shift)| shift)
    }

    /// Gives newcomers their vectors and reads their level off some histories.
    fn take_in(&mut self, newcomers: &mut Newcomers, taken: &[u32], data: &TrainData<'_>) {
        let users = gauge_users(data.histories.n_users());
        let read: Vec<Known> = users
            .map(|user| self.known(data.histories.row(user)))
            .filter(|known| !known.items.is_empty())
            .collect();
        let mut hidden = vec![0.0; read.len() * self.dim];
        self.encode(&read, &mut hidden);
        let histories: Vec<Vec<ItemId>> = read.into_iter().map(|known| known.items).collect();
        let vectors = (self.dim, &mut self.vectors[..]);
        newcomers.take_in(taken, vectors, (&histories, &hidden), data.seed);
    }

    /// Returns the settings, with what the fit has settled.
    pub(super) const fn settings(&self) -> &S {
        &self.settings
    }

    /// An item without an event has no vector; a product of 0 would stand above whatever the network expects least.
    fn put_untaken_last(&self, scores: &mut [f32]) {
        if !self.untaken.is_empty() {
            let lowest = scores.iter().copied().fold(f32::INFINITY, f32::min) - 1.0;
            self.untaken.iter().for_each(|&item| scores[item as usize] = lowest);
        }
    }

    /// Returns the vector of an item.
    fn vector(&self, item: usize) -> &[f32] {
        &self.vectors[item * self.dim..][..self.dim]
    }

    /// Lists the newest events of a history that the model reads, oldest first.
    fn known(&self, history: History<'_>) -> Known {
        if self.vectors.is_empty() {
            return Known::default();
        }
        let events = history.items.iter().copied().zip(history.times.iter().copied());
        let known = events.rev().filter(|(item, _)| item.index() < self.prior.len());
        let (mut items, mut times): (Vec<ItemId>, Vec<i64>) =
            known.take(self.network.max_length()).unzip();
        items.reverse();
        times.reverse();
        Known { items, times }
    }

    /// Writes what is expected after each of some histories, none of them empty, to `out: [histories, dim]`.
    fn encode(&self, histories: &[Known], out: &mut [f32]) {
        let (dim, scale) = (self.dim, self.network.scale());
        let (mut state, mut x, mut offsets) = (NetworkState::default(), Vec::new(), Vec::new());
        let mut of_pairs = Vec::new();
        for (Known { items, times }, out) in histories.iter().zip(out.chunks_exact_mut(dim)) {
            x.clear();
            for item in items {
                x.extend(self.vector(item.index()).iter().map(|x| scale * x));
            }
            if matches!(self.settings.task(), Task::Masked { .. }) {
                x.extend(self.network.mask(&self.parameters).iter().map(|x| scale * x));
            }
            offsets.clear();
            offsets.extend([0, x.len() / dim]);
            let parameters = &self.parameters[..];
            if self.network.reads_times() {
                kinds(times, &offsets, self.usual_gap, &mut of_pairs);
            }
            let (kinds, dropout) = (&of_pairs[..], NOTHING_DROPPED);
            let work = Work { parameters, offsets: &offsets, kinds, dropout };
            self.network.forward(&work, &mut x, &mut state);
            out.copy_from_slice(&state.hidden[state.hidden.len() - dim..]);
        }
    }
}

impl<S: Architecture> Recommender for Sequence<S> {
    fn n_items(&self) -> usize {
        self.prior.len()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        self.score_batch(std::slice::from_ref(request), scores);
    }

    fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        let (dim, n_items) = (self.dim, self.n_items());
        let histories: Vec<Known> = requests.iter().map(|r| self.known(r.history)).collect();
        let read: Vec<Known> = histories.iter().filter(|h| !h.items.is_empty()).cloned().collect();
        let mut hidden = vec![0.0; read.len() * dim];
        self.encode(&read, &mut hidden);
        let mut hidden = hidden.chunks_exact(dim);
        let mut at = 0;
        // Runs of requests with a history share one product.
        while at < requests.len() {
            let rows = histories[at..].iter().take_while(|h| !h.items.is_empty()).count();
            if rows == 0 {
                scores[at * n_items..(at + 1) * n_items].copy_from_slice(&self.prior);
                at += 1;
                continue;
            }
            let block: Vec<f32> = hidden.by_ref().take(rows).flatten().copied().collect();
            let vectors = View::rows(&self.vectors, dim).transposed();
            product(
                (rows, n_items, dim),
                (1.0, View::rows(&block, dim), vectors),
                0.0,
                (&mut scores[at * n_items..], n_items),
            );
            let asked: Vec<&[ItemId]> =
                histories[at..at + rows].iter().map(|known| &known.items[..]).collect();
            self.newcomers.speak(&asked, &mut scores[at * n_items..(at + rows) * n_items]);
            for row in scores[at * n_items..(at + rows) * n_items].chunks_exact_mut(n_items) {
                self.put_untaken_last(row);
            }
            at += rows;
        }
    }
}

impl<S: Architecture> Embed for Sequence<S> {
    fn vector_dim(&self) -> usize {
        self.dim + self.newcomers.width()
    }

    fn write_item_vector(&self, item: ItemId, vector: &mut [f32]) -> bool {
        let is_known = item.index() * self.dim < self.vectors.len()
            && self.untaken.binary_search(&item.0).is_err();
        if is_known {
            let (own, texts) = vector.split_at_mut(self.dim);
            own.copy_from_slice(self.vector(item.index()));
            self.newcomers.write_item(item.0, texts);
        }
        is_known
    }

    fn write_user_vectors(&self, requests: &[Request<'_>], vectors: &mut [f32]) -> Vec<bool> {
        let rows = requests.iter().zip(vectors.chunks_exact_mut(self.vector_dim()));
        let write = |(request, row): (&Request<'_>, &mut [f32])| {
            let known = self.known(request.history);
            let (own, texts) = row.split_at_mut(self.dim);
            if !known.items.is_empty() {
                self.newcomers.write_user(&known.items, texts);
                self.encode(&[known], own);
                return true;
            }
            false
        };
        rows.map(write).collect()
    }
}

impl<S: Architecture> Similar for Sequence<S> {
    /// Lists what is expected of somebody who took this item alone.
    fn similar(&self, item: ItemId, n: usize) -> Vec<Scored> {
        if item.index() >= self.n_items() || self.vectors.is_empty() {
            return Vec::new();
        }
        let history = History { items: &[item], values: &[1.0], times: &[0] };
        self.recommend(&Request::new(None, history), n)
    }
}

impl<S: Architecture> Persist for Sequence<S> {
    fn save(&self) -> Saved {
        let Newcomers { level, features, .. } = &self.newcomers;
        let mut saved = Saved {
            meta: json!({
                "settings": self.settings,
                "features": self.features,
                "usual_gap": self.usual_gap,
                // As bits: text would round them.
                "newcomers": (!self.newcomers.is_empty()).then(|| level.bits()),
            }),
            ..Saved::default()
        };
        if !self.newcomers.is_empty() {
            let shape = [features.rows(), features.dim()];
            saved.put_f32("newcomers", &shape, features.flat().to_vec());
        }
        saved.put_f32("parameters", &[self.parameters.len()], self.parameters.clone());
        let dim = self.dim;
        saved.put_f32("vectors", &[self.vectors.len() / dim, dim], self.vectors.clone());
        saved.put_f32("prior", &[self.prior.len()], self.prior.clone());
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let misfit = |name: &str| PersistError::Shape { name: name.into() };
        let value = saved.meta.get_mut("settings").map(Value::take).unwrap_or_default();
        let settings: S = serde_json::from_value(value)?;
        let training = settings.training();
        let Training { dim, max_length, experts, .. } = training;
        let Some(max_length) = max_length.filter(|_| faults(&settings).is_empty()) else {
            return Err(misfit("settings"));
        };
        let mut layout = Layout::default();
        let network = settings.network(&mut layout, max_length);
        let (_, parameters) = saved.take_f32("parameters")?;
        let (_, vectors) = saved.take_f32("vectors")?;
        let (_, prior) = saved.take_f32("prior")?;
        let features = saved.meta["features"].as_u64().and_then(|n| usize::try_from(n).ok());
        let features = features.filter(|&n| n <= FEATURES).ok_or_else(|| misfit("features"))?;
        // Models saved before times took part have none.
        let usual_gap = match saved.meta["usual_gap"].take() {
            Value::Null => 0,
            given => serde_json::from_value(given)?,
        };
        if features > 0 {
            Adapter::new(&mut layout, (features, training.parts().text), experts);
        }
        if parameters.len() != layout.len() {
            return Err(misfit("parameters"));
        }
        if !vectors.is_empty() && vectors.len() != prior.len() * dim {
            return Err(misfit("vectors"));
        }
        if !parameters.iter().chain(&vectors).chain(&prior).all(|x| x.is_finite()) {
            return Err(misfit("a number that is not finite"));
        }
        let parts = (network, features, parameters);
        let mut model = Self::assemble(settings, parts, usual_gap, vectors, prior);
        model.newcomers = load_newcomers(&mut saved, &model.prior)?;
        model.untaken = untaken(&model.prior, &model.newcomers);
        Ok(model)
    }
}
