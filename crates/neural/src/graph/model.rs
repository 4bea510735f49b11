//! LightGCN, fitted (He et al., “LightGCN”, SIGIR 2020).
//!
//! Objective: minimise `Σ_(u,i) ℓ(z_u · z_i; others) + λ Σ |N| |e|²` with `Z = Σ_k α_k Â^k E` over the layers and `Â` the symmetrically normalised
//! graph of who took what. A user is their history: with the items as the fit left them, the layers from the first on are
//! `z_u = 1/√|N_u| Σ_(i ∈ N_u) f_i`, `f_i = 1/√|N_i| Σ_(k≥1) α_k e_i^(k-1)`, for anybody. So what is kept are the `sources` f and the
//! `items` z, both `[n_items, dim]`, and a user's vector is `1/√Σs Σ_i s_i f_i` with `s_i = (1 + age)^-recency`, the age of an item
//! being the number of events after its newest one. The users' learnt vectors themselves serve the training alone.

use serde_json::json;
use tastemaker_core::{
    Contribution, Embed, Evidence, Fit, History, ItemId, Persist, PersistError, Recommender,
    Request, Saved, Scored, Similar, top_k,
};
use tastemaker_kernels::{View, axpy, dot, product};

use super::settings::LightGcnSettings;

/// What `recency` is without validation events to choose it on.
pub(super) const RECENCY: f32 = 0.7;

/// What items give and what they are compared by.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Vectors {
    /// Final vectors, `[n_items, dim]`.
    pub(super) items: Vec<f32>,
    /// What a user gathers, `[n_items, dim]`.
    pub(super) sources: Vec<f32>,
}

/// Scores by the product of propagated vectors; see the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct LightGcn {
    settings: LightGcnSettings,
    recency: f32,
    vectors: Vectors,
    /// What is said to somebody without a history: logarithms of counts, `[n_items]`.
    prior: Vec<f32>,
}

impl LightGcn {
    pub(super) fn new(settings: LightGcnSettings, vectors: Vectors, prior: Vec<f32>) -> Self {
        let recency = settings.recency.unwrap_or(RECENCY);
        Self { settings, recency, vectors, prior }
    }

    pub(super) const fn settings(&self) -> &LightGcnSettings {
        &self.settings
    }

    pub(super) const fn settle_epochs(&mut self, epochs: usize) {
        self.settings.epochs = epochs;
    }

    pub(super) const fn settle_recency(&mut self, recency: f32) {
        self.recency = recency;
        self.settings.recency = Some(recency);
    }

    pub(super) fn is_finite(&self) -> bool {
        let Vectors { items, sources } = &self.vectors;
        items.iter().chain(sources).all(|x| x.is_finite())
    }

    /// Tells whether somebody took an item.
    fn is_taken(&self, item: usize) -> bool {
        self.prior.get(item).is_some_and(|prior| *prior > 0.0)
    }

    fn item(&self, item: usize) -> &[f32] {
        &self.vectors.items[item * self.settings.dim..][..self.settings.dim]
    }

    fn source(&self, item: usize) -> &[f32] {
        &self.vectors.sources[item * self.settings.dim..][..self.settings.dim]
    }

    /// Lists the items of a history that the model knows, each once, with `s_i / √Σs`.
    fn known(&self, history: History<'_>) -> Vec<(usize, f32)> {
        let events = history.items.iter().rev().enumerate();
        let mut known: Vec<(usize, usize)> = events
            .map(|(age, item)| (item.index(), age))
            .filter(|(item, _)| self.is_taken(*item))
            .collect();
        known.sort_unstable();
        known.dedup_by_key(|(item, _)| *item);
        let shares =
            known.into_iter().map(|(item, age)| (item, (1.0 + age as f32).powf(-self.recency)));
        let mut shares: Vec<(usize, f32)> = shares.collect();
        let scale = 1.0 / shares.iter().map(|(_, share)| share).sum::<f32>().sqrt();
        shares.iter_mut().for_each(|(_, share)| *share *= scale);
        shares
    }

    /// Writes the vector of somebody with this history; returns whether it says anything.
    fn write_user(&self, history: History<'_>, out: &mut [f32]) -> bool {
        let known = self.known(history);
        out.fill(0.0);
        known.iter().for_each(|&(item, share)| axpy(share, self.source(item), out));
        !known.is_empty()
    }
}

impl Recommender for LightGcn {
    fn n_items(&self) -> usize {
        self.prior.len()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        self.score_batch(std::slice::from_ref(request), scores);
    }

    fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        let (dim, n_items) = (self.settings.dim, self.n_items());
        let mut users = vec![0.0; requests.len() * dim];
        let told = self.write_user_vectors(requests, &mut users);
        let items = View::rows(&self.vectors.items, dim).transposed();
        let shape = (requests.len(), n_items, dim);
        product(shape, (1.0, View::rows(&users, dim), items), 0.0, (scores, n_items));
        for (told, scores) in told.into_iter().zip(scores.chunks_exact_mut(n_items)) {
            if !told {
                scores.copy_from_slice(&self.prior);
                continue;
            }
            // An item nobody took has no vector; a product of 0 would stand above what is least expected.
            let lowest = scores.iter().copied().fold(f32::INFINITY, f32::min) - 1.0;
            let untaken = scores.iter_mut().zip(&self.prior).filter(|(_, prior)| **prior <= 0.0);
            untaken.for_each(|(score, _)| *score = lowest);
        }
    }
}

impl Embed for LightGcn {
    fn vector_dim(&self) -> usize {
        self.settings.dim
    }

    fn write_item_vector(&self, item: ItemId, vector: &mut [f32]) -> bool {
        let is_taken = self.is_taken(item.index());
        if is_taken {
            vector.copy_from_slice(self.item(item.index()));
        }
        is_taken
    }

    fn write_user_vectors(&self, requests: &[Request<'_>], vectors: &mut [f32]) -> Vec<bool> {
        let rows = requests.iter().zip(vectors.chunks_exact_mut(self.settings.dim));
        rows.map(|(request, row)| self.write_user(request.history, row)).collect()
    }
}

impl Similar for LightGcn {
    /// Lists the items whose final vectors point most nearly the same way.
    fn similar(&self, item: ItemId, n: usize) -> Vec<Scored> {
        let own = item.index();
        if !self.is_taken(own) {
            return Vec::new();
        }
        let length = |x: &[f32]| dot(x, x).sqrt().max(f32::MIN_POSITIVE);
        let cosine = |other: usize| {
            if other == own || !self.is_taken(other) {
                return f32::NEG_INFINITY;
            }
            let (a, b) = (self.item(own), self.item(other));
            dot(a, b) / (length(a) * length(b))
        };
        let scores: Vec<f32> = (0..self.n_items()).map(cosine).collect();
        top_k(&scores, n)
    }
}

impl Evidence for LightGcn {
    /// Splits the score by events, of which it is a sum.
    fn evidence(&self, request: &Request<'_>, item: ItemId) -> Vec<Contribution> {
        if !self.is_taken(item.index()) {
            return Vec::new();
        }
        let vector = self.item(item.index());
        let known = self.known(request.history).into_iter();
        let mut all: Vec<Contribution> = known
            .map(|(because, share)| Contribution {
                because: ItemId::from_index(because),
                weight: share * dot(self.source(because), vector),
            })
            .filter(|contribution| contribution.weight.abs() > 0.0)
            .collect();
        all.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.because.cmp(&b.because)));
        all
    }
}

impl Persist for LightGcn {
    fn save(&self) -> Saved {
        let mut saved = Saved { meta: json!({ "settings": self.settings }), ..Saved::default() };
        let shape = [self.n_items(), self.settings.dim];
        saved.put_f32("items", &shape, self.vectors.items.clone());
        saved.put_f32("sources", &shape, self.vectors.sources.clone());
        saved.put_f32("prior", &[self.prior.len()], self.prior.clone());
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let misfit = |name: &str| PersistError::Shape { name: name.into() };
        let value = saved.meta.get_mut("settings").map(serde_json::Value::take).unwrap_or_default();
        let settings: LightGcnSettings = serde_json::from_value(value)?;
        if !settings.faults().is_empty() {
            return Err(misfit("settings"));
        }
        let (_, items) = saved.take_f32("items")?;
        let (_, sources) = saved.take_f32("sources")?;
        let (_, prior) = saved.take_f32("prior")?;
        let whole = |rows: &[f32]| prior.len().checked_mul(settings.dim) == Some(rows.len());
        if !whole(&items) || !whole(&sources) {
            return Err(misfit("items"));
        }
        let model = Self::new(settings, Vectors { items, sources }, prior);
        if !model.is_finite() || !model.prior.iter().all(|x| x.is_finite()) {
            return Err(misfit("a number that is not finite"));
        }
        Ok(model)
    }
}
