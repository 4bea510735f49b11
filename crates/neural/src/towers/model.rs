//! Two towers, fitted (Yi et al., “Sampling-bias-corrected neural modeling for large corpus item recommendations”, `RecSys` 2019).
//!
//! Objective: minimise `-Σ_i ln softmax_j (u_i · v_j / τ - c ln q_j)[i]` over the events i of a batch, j running over the items of the same batch,
//! with `q_j` the share of item j among all events (the paper estimates it from a stream) and c the strength of the correction.
//! `v_j = T_items(z_j)`, `z_j` being own vector, columns and text; `u = T_users(Σ_k s_k z_k + columns)` with `s_k ∝ (1 + age)^-recency`
//! over the newest events of the history, and T hidden layers added to what they read. A user is their history and columns, so strangers
//! are served; an item nobody took is its text and columns. Kept: `inputs` z and `vectors` v, `[n_items, dim]`.

use serde_json::json;
use tastemaker_core::{
    Embed, Fit, History, ItemId, Persist, PersistError, Recommender, Request, Saved, Scored,
    Similar, UserId, top_k,
};
use tastemaker_kernels::{View, axpy, dot, product};

use super::pairs::Fading;
use super::settings::TwoTowerSettings;
use super::tower::{Tower, TowerState};
use crate::layers::Dropout;
use crate::params::Layout;

/// What the fit leaves for the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parts {
    /// Parameters of the users' tower.
    pub(super) parameters: Vec<f32>,
    /// What goes into the towers for an item, `[n_items, dim]`.
    pub(super) inputs: Vec<f32>,
    /// What comes out of the items' tower, `[n_items, dim]`; zero where nothing is known of an item.
    pub(super) vectors: Vec<f32>,
    /// Columns of users, summed, the unknown one last, `[n_users + 1, dim]`; empty without columns.
    pub(super) users: Vec<f32>,
    /// What is said to somebody of whom nothing is known: logarithms of counts, `[n_items]`.
    pub(super) prior: Vec<f32>,
}

/// Scores by the product of a user's and an item's vector; see the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct TwoTower {
    settings: TwoTowerSettings,
    fading: Fading,
    tower: Tower,
    parts: Parts,
}

/// Lays the users' tower out.
pub(super) fn user_tower(layout: &mut Layout, settings: &TwoTowerSettings) -> Tower {
    Tower::new(layout, "users", (settings.dim, &settings.hidden), settings.normalise)
}

impl TwoTower {
    pub(super) fn new(settings: TwoTowerSettings, parts: Parts) -> Self {
        let fading = Fading::new(settings.history, settings.recency);
        let tower = user_tower(&mut Layout::default(), &settings);
        Self { settings, fading, tower, parts }
    }

    pub(super) const fn settings(&self) -> &TwoTowerSettings {
        &self.settings
    }

    pub(super) const fn settle_epochs(&mut self, epochs: usize) {
        self.settings.epochs = epochs;
    }

    pub(super) fn is_finite(&self) -> bool {
        let Parts { parameters, inputs, vectors, users, prior } = &self.parts;
        [parameters, inputs, vectors, users, prior].iter().all(|x| x.iter().all(|x| x.is_finite()))
    }

    fn vector(&self, item: usize) -> &[f32] {
        &self.parts.vectors[item * self.settings.dim..][..self.settings.dim]
    }

    /// Tells whether anything is known of an item.
    fn is_known(&self, item: ItemId) -> bool {
        let dim = self.settings.dim;
        let vector = self.parts.vectors.get(item.index() * dim..(item.index() + 1) * dim);
        vector.is_some_and(|vector| vector.iter().any(|x| x.abs() > 0.0))
    }

    /// Writes what goes into the users' tower; returns whether it says anything.
    fn write_user(&self, (user, history): (Option<UserId>, History<'_>), out: &mut [f32]) -> bool {
        let Parts { inputs, users, .. } = &self.parts;
        let dim = self.settings.dim;
        out.fill(0.0);
        let newest = history.items.iter().rev().filter(|item| self.is_known(**item));
        let mut items: Vec<ItemId> = newest.take(self.fading.most()).copied().collect();
        items.reverse();
        for (item, share) in self.fading.of(&items) {
            axpy(share, &inputs[item.index() * dim..][..dim], out);
        }
        let Some(last) = (users.len() / dim).checked_sub(1) else { return !items.is_empty() };
        let row = user.map_or(last, UserId::index).min(last);
        axpy(1.0, &users[row * dim..][..dim], out);
        !self.parts.vectors.is_empty()
    }
}

impl Recommender for TwoTower {
    fn n_items(&self) -> usize {
        self.parts.prior.len()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        self.score_batch(std::slice::from_ref(request), scores);
    }

    fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        let (dim, n_items) = (self.settings.dim, self.n_items());
        let mut users = vec![0.0; requests.len() * dim];
        let told = self.write_user_vectors(requests, &mut users);
        if told.contains(&true) {
            let items = View::rows(&self.parts.vectors, dim).transposed();
            let shape = (requests.len(), n_items, dim);
            product(shape, (1.0, View::rows(&users, dim), items), 0.0, (scores, n_items));
        }
        let blank: Vec<usize> =
            (0..n_items).filter(|&item| !self.is_known(ItemId::from_index(item))).collect();
        for (told, scores) in told.into_iter().zip(scores.chunks_exact_mut(n_items.max(1))) {
            if !told {
                scores.copy_from_slice(&self.parts.prior);
                continue;
            }
            // The product of an item of which nothing is known would stand above what is least expected.
            let lowest = scores.iter().copied().fold(f32::INFINITY, f32::min) - 1.0;
            blank.iter().for_each(|&item| scores[item] = lowest);
        }
    }
}

impl Embed for TwoTower {
    fn vector_dim(&self) -> usize {
        self.settings.dim
    }

    fn write_item_vector(&self, item: ItemId, vector: &mut [f32]) -> bool {
        let is_known = self.is_known(item);
        if is_known {
            vector.copy_from_slice(self.vector(item.index()));
        }
        is_known
    }

    fn write_user_vectors(&self, requests: &[Request<'_>], vectors: &mut [f32]) -> Vec<bool> {
        let rows = requests.iter().zip(vectors.chunks_exact_mut(self.settings.dim));
        let told: Vec<bool> =
            rows.map(|(asked, row)| self.write_user((asked.user, asked.history), row)).collect();
        if told.contains(&true) {
            let mut state = TowerState::default();
            let nothing_dropped = (&mut state, Dropout::default());
            self.tower.forward(&self.parts.parameters, vectors, nothing_dropped);
            vectors.copy_from_slice(&state.y);
        }
        told
    }
}

impl Similar for TwoTower {
    /// Lists the items whose vectors point most nearly the same way.
    fn similar(&self, item: ItemId, n: usize) -> Vec<Scored> {
        if !self.is_known(item) {
            return Vec::new();
        }
        let own = self.vector(item.index());
        let length = |x: &[f32]| dot(x, x).sqrt().max(f32::MIN_POSITIVE);
        let cosine = |other: usize| {
            if other == item.index() || !self.is_known(ItemId::from_index(other)) {
                return f32::NEG_INFINITY;
            }
            let vector = self.vector(other);
            dot(own, vector) / (length(own) * length(vector))
        };
        let scores: Vec<f32> = (0..self.n_items()).map(cosine).collect();
        top_k(&scores, n)
    }
}

impl Persist for TwoTower {
    fn save(&self) -> Saved {
        let mut saved = Saved { meta: json!({ "settings": self.settings }), ..Saved::default() };
        let dim = self.settings.dim;
        let Parts { parameters, inputs, vectors, users, prior } = &self.parts;
        saved.put_f32("parameters", &[parameters.len()], parameters.clone());
        for (name, rows) in [("inputs", inputs), ("vectors", vectors), ("users", users)] {
            saved.put_f32(name, &[rows.len() / dim, dim], rows.clone());
        }
        saved.put_f32("prior", &[prior.len()], prior.clone());
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let misfit = |name: &str| PersistError::Shape { name: name.into() };
        let value = saved.meta.get_mut("settings").map(serde_json::Value::take).unwrap_or_default();
        let settings: TwoTowerSettings = serde_json::from_value(value)?;
        if !settings.faults().is_empty() {
            return Err(misfit("settings"));
        }
        let (_, parameters) = saved.take_f32("parameters")?;
        let (_, prior) = saved.take_f32("prior")?;
        let mut rows = |name: &str| match saved.take_matrix(name)? {
            (width, rows) if width == settings.dim => Ok(rows),
            _ => Err(misfit(name)),
        };
        let (inputs, vectors, users) = (rows("inputs")?, rows("vectors")?, rows("users")?);
        let mut layout = Layout::default();
        user_tower(&mut layout, &settings);
        let whole = prior.len().checked_mul(settings.dim) == Some(vectors.len());
        let is_blank = vectors.is_empty() && users.is_empty();
        if inputs.len() != vectors.len() || !(whole || is_blank) {
            return Err(misfit("vectors"));
        }
        if parameters.len() != layout.len() {
            return Err(misfit("parameters"));
        }
        let parts = Parts { parameters, inputs, vectors, users, prior };
        let model = Self::new(settings, parts);
        if model.is_finite() { Ok(model) } else { Err(misfit("a number that is not finite")) }
    }
}
