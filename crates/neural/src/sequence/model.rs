//! SASRec and eSASRec: causal transformers over item sequences.
//!
//! SASRec (Kang and McAuley 2018) with pre-norm blocks and, unlike the paper, softmax cross-entropy over the catalogue, which ranks
//! far better than one negative (Klenitskiy and Vasilev 2023). eSASRec (Tikhonovich et al. 2025) has gated LiGR blocks.
//! Objective: minimise `-Σ_t ln softmax(h_t Vᵀ)[i_{t+1}]`. Shapes: item vectors `V: [items, dim]`, hidden `h: [positions, dim]`.
//! The same vectors are read and predicted. A user is their history: strangers and fresh events are served at once.

use rayon::prelude::*;
use serde_json::json;
use tastemaker_core::{
    Checked, Fault, Fit, FitError, History, ItemId, Persist, PersistError, Recommender, Request,
    Saved, Scored, Similar, TrainData, top_k,
};
use tastemaker_kernels::{View, dot, product};
use tastemaker_train::{Plan, run};

use super::learner::SequenceLearner;
use super::network::{NOTHING_DROPPED, Network, NetworkState};
use super::settings::{Loss, SequenceSettings, Variant};
use super::tower::{ADAPTER, FEATURES};
use super::windows::windows;
use crate::layers::{Linear, Work};
use crate::params::Layout;

/// The plain transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain;

impl Variant for Plain {
    const NAME: &'static str = "sasrec";
    const GATED: bool = false;
    const INNER: usize = 1;
    const LOSS: Loss = Loss::CrossEntropy;
}

/// The gated transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gated;

impl Variant for Gated {
    const NAME: &'static str = "esasrec";
    const GATED: bool = true;
    const INNER: usize = 4;
    const LOSS: Loss = Loss::CrossEntropy;
}

/// SASRec.
pub type Sasrec = Sequence<Plain>;
/// Settings of [`Sasrec`].
pub type SasrecSettings = SequenceSettings<Plain>;
/// eSASRec.
pub type Esasrec = Sequence<Gated>;
/// Settings of [`Esasrec`].
pub type EsasrecSettings = SequenceSettings<Gated>;

/// Scores by what a transformer expects next; see the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence<V: Variant> {
    settings: SequenceSettings<V>,
    network: Network,
    /// Width of the text features behind the vectors; 0 where texts have no part in them.
    features: usize,
    parameters: Vec<f32>,
    /// `[items, dim]`.
    vectors: Vec<f32>,
    /// What is said to somebody without a history: logarithms of counts, `[items]`.
    prior: Vec<f32>,
}

impl<V: Variant> Fit for SequenceSettings<V> {
    type Model = Sequence<V>;

    const SETTLES: bool = true;

    fn faults(&self) -> Vec<Fault> {
        self.problems()
    }

    fn settled(&self, model: &Sequence<V>) -> Self {
        model.settings.clone()
    }

    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<Sequence<V>, FitError> {
        data.require_events()?;
        let resolved = settings.resolve(data);
        let mut learner = SequenceLearner::new(data, settings, resolved)?;
        if windows(data.histories, resolved.max_length, 0, 0).is_empty() {
            // Nobody took two items: there is no order to learn, and popularity is all there is.
            let mut model = learner.model();
            model.vectors.clear();
            return Ok(model);
        }
        let fingerprint = json!({
            "settings": Self::clone(settings),
            "seed": data.seed,
            "events": data.histories.n_events(),
            "items": data.n_items,
            "judged": data.judge.is_some(),
        });
        let plan = Plan {
            name: V::NAME,
            epochs: settings.epochs,
            patience: settings.patience,
            progress: data.progress,
            checkpoints: data.checkpoints,
            fingerprint: &fingerprint,
        };
        let diverged = |why| FitError::Diverged { model: V::NAME, why };
        let outcome = run(&mut learner, &plan).map_err(|failed| diverged(failed.to_string()))?;
        if outcome.cancelled {
            let epochs = outcome.curve.epochs.len();
            return Err(FitError::Cancelled { model: V::NAME, epochs });
        }
        let mut model = learner.model();
        if !model.vectors.iter().chain(&model.parameters).all(|x| x.is_finite()) {
            return Err(diverged("its numbers ran away: lower `learning_rate`".into()));
        }
        model.settings.epochs = outcome.curve.best().max(1);
        Ok(model)
    }
}

impl<V: Variant> Sequence<V> {
    pub(super) fn assemble(
        mut settings: SequenceSettings<V>,
        (network, features, parameters): (Network, usize, Vec<f32>),
        vectors: Vec<f32>,
        prior: Vec<f32>,
    ) -> Self {
        settings.max_length = Some(network.max_length());
        Self { settings, network, features, parameters, vectors, prior }
    }

    /// Returns the vector of an item.
    fn vector(&self, item: usize) -> &[f32] {
        &self.vectors[item * self.settings.dim..][..self.settings.dim]
    }

    /// Lists the newest items of a history that the model reads, oldest first.
    fn known(&self, history: History<'_>) -> Vec<ItemId> {
        if self.vectors.is_empty() {
            return Vec::new();
        }
        let known = history.items.iter().rev().filter(|item| item.index() < self.prior.len());
        let mut items: Vec<ItemId> = known.take(self.network.max_length()).copied().collect();
        items.reverse();
        items
    }

    /// Writes what is expected after each of some histories, none of them empty, to `out: [histories, dim]`.
    fn encode(&self, histories: &[Vec<ItemId>], out: &mut [f32]) {
        let (dim, scale) = (self.settings.dim, self.network.scale());
        let (mut state, mut x, mut offsets) = (NetworkState::default(), Vec::new(), Vec::new());
        for (items, out) in histories.iter().zip(out.chunks_exact_mut(dim)) {
            x.clear();
            offsets.clear();
            offsets.extend([0, items.len()]);
            for item in items {
                x.extend(self.vector(item.index()).iter().map(|x| scale * x));
            }
            let parameters = &self.parameters[..];
            let work = Work { parameters, offsets: &offsets, dropout: NOTHING_DROPPED };
            self.network.forward(&work, &mut x, &mut state);
            out.copy_from_slice(&state.hidden[(items.len() - 1) * dim..]);
        }
    }
}

impl<V: Variant> Recommender for Sequence<V> {
    fn n_items(&self) -> usize {
        self.prior.len()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        self.score_batch(std::slice::from_ref(request), scores);
    }

    fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        let (dim, n_items) = (self.settings.dim, self.n_items());
        let histories: Vec<Vec<ItemId>> = requests.iter().map(|r| self.known(r.history)).collect();
        let read: Vec<Vec<ItemId>> = histories.iter().filter(|h| !h.is_empty()).cloned().collect();
        let mut hidden = vec![0.0; read.len() * dim];
        self.encode(&read, &mut hidden);
        let mut hidden = hidden.chunks_exact(dim);
        let mut at = 0;
        // Runs of requests with a history share one product.
        while at < requests.len() {
            let rows = histories[at..].iter().take_while(|h| !h.is_empty()).count();
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
            at += rows;
        }
    }
}

impl<V: Variant> Similar for Sequence<V> {
    fn similar(&self, item: ItemId, n: usize) -> Vec<Scored> {
        if item.index() >= self.n_items() || self.vectors.is_empty() {
            return Vec::new();
        }
        let length = |v: &[f32]| dot(v, v).sqrt().max(f32::MIN_POSITIVE);
        let own = self.vector(item.index());
        let size = length(own);
        let mut scores: Vec<f32> = (0..self.n_items())
            .into_par_iter()
            .map(|other| dot(own, self.vector(other)) / (size * length(self.vector(other))))
            .collect();
        scores[item.index()] = f32::NEG_INFINITY;
        top_k(&scores, n)
    }
}

impl<V: Variant> Persist for Sequence<V> {
    fn save(&self) -> Saved {
        let mut saved = Saved {
            meta: json!({ "settings": self.settings, "features": self.features }),
            ..Saved::default()
        };
        saved.put_f32("parameters", &[self.parameters.len()], self.parameters.clone());
        let dim = self.settings.dim;
        saved.put_f32("vectors", &[self.vectors.len() / dim, dim], self.vectors.clone());
        saved.put_f32("prior", &[self.prior.len()], self.prior.clone());
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let misfit = |name: &str| PersistError::Shape { name: name.into() };
        let value = saved.meta.get_mut("settings").map(serde_json::Value::take).unwrap_or_default();
        let settings: SequenceSettings<V> = serde_json::from_value(value)?;
        let Some(max_length) = settings.max_length.filter(|_| settings.faults().is_empty()) else {
            return Err(misfit("settings"));
        };
        let mut layout = Layout::default();
        let network = Network::new(&mut layout, &settings, max_length);
        let (_, parameters) = saved.take_f32("parameters")?;
        let (_, vectors) = saved.take_f32("vectors")?;
        let (_, prior) = saved.take_f32("prior")?;
        let features = saved.meta["features"].as_u64().and_then(|n| usize::try_from(n).ok());
        let features = features.filter(|&n| n <= FEATURES).ok_or_else(|| misfit("features"))?;
        if features > 0 {
            Linear::new(&mut layout, ADAPTER, features, settings.dim);
        }
        if parameters.len() != layout.len() {
            return Err(misfit("parameters"));
        }
        if !vectors.is_empty() && vectors.len() != prior.len() * settings.dim {
            return Err(misfit("vectors"));
        }
        Ok(Self { settings, network, features, parameters, vectors, prior })
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::contract;

    use super::*;
    use crate::sequence::{Positions, TextUse};

    fn small<V: Variant>() -> SequenceSettings<V> {
        SequenceSettings {
            dim: 16,
            layers: 1,
            dropout: Some(0.1),
            epochs: 30,
            learning_rate: 1e-2,
            batch: Some(64),
            ..SequenceSettings::default()
        }
    }

    #[test]
    fn both_kinds_keep_the_contracts() {
        contract::recommender(small::<Plain>);
        contract::recommender(small::<Gated>);
        contract::similar(small::<Plain>);
    }

    #[test]
    fn every_use_of_text_and_place_keeps_the_contracts() {
        for text in [TextUse::Init, TextUse::Sum, TextUse::Only] {
            contract::recommender(|| SequenceSettings { text, ..small::<Plain>() });
        }
        for positions in [Positions::Distance, Positions::Both] {
            contract::recommender(|| SequenceSettings { positions, ..small::<Gated>() });
        }
    }

    #[test]
    fn learns_the_checkerboard() {
        contract::learns_the_checkerboard(|| SequenceSettings { epochs: 100, ..small::<Plain>() });
        contract::learns_the_checkerboard(|| SequenceSettings { epochs: 100, ..small::<Gated>() });
    }
}
