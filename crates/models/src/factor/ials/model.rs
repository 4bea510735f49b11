//! The fitted model: answers from the request's history, takes in users and items that were not there.

use tastemaker_core::{
    Contribution, Embed, Evidence, History, ItemId, Persist, PersistError, Recommender, Request,
    Saved, Scored, Similar, UserId, top_k,
};
use tastemaker_kernels::{
    ConjugateScratch, DiagonalPlusRows, RightSide, Stop, WeightedRows, axpy, cholesky_solve, dot,
};

use super::IalsSettings;
use super::fit::{dense, gram};
use crate::interactions::Known;
use crate::persist::{misfit, take_settings, take_vector, with_settings};
use crate::recent::contributions;
use crate::scorer::Scorer;

/// Near enough to the exact solution that lists agree.
const FOLD_IN: Stop = Stop { steps: 100, tolerance: 1e-5 };

/// Vectors of users and items; see the head of the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Ials {
    settings: IalsSettings,
    /// Diagonal of `YᵀY`; the rest is 0, since the fit turns the vectors so.
    item_gram: Vec<f32>,
    /// `XᵀX: [d, d]`.
    user_gram: Vec<f32>,
    /// `X: [n_users, d]`.
    users: Vec<f32>,
    /// `Y: [n_items, d]`.
    items: Vec<f32>,
    /// Mean of the users' vectors: what is supposed of somebody unknown.
    average: Vec<f32>,
    /// `Y` again.
    scorer: Scorer,
}

impl Ials {
    pub(super) fn new(
        settings: IalsSettings,
        item_gram: Vec<f32>,
        users: Vec<f32>,
        items: Vec<f32>,
    ) -> Self {
        let dim = settings.factors;
        let user_gram = gram(dim, &users).into_iter().map(|x| x as f32).collect();
        let mut average = vec![0.0f64; dim];
        for user in users.chunks_exact(dim) {
            for (sum, x) in average.iter_mut().zip(user) {
                *sum += f64::from(*x);
            }
        }
        let n_users = (users.len() / dim).max(1) as f64;
        let average = average.into_iter().map(|sum| (sum / n_users) as f32).collect();
        let scorer = Scorer::new(&items, dim);
        Self { settings, item_gram, user_gram, users, items, average, scorer }
    }

    fn dim(&self) -> usize {
        self.settings.factors
    }

    fn n_users(&self) -> usize {
        self.users.len() / self.dim()
    }

    /// Returns the vector of an item, of length `factors`; `None` for an item beyond the end.
    pub fn item_vector(&self, item: ItemId) -> Option<&[f32]> {
        self.items.chunks_exact(self.dim()).nth(item.index())
    }

    /// Makes the vector of a user from a history, as the fit would with the items as they are. An empty history gives
    /// the mean of all users.
    pub fn fold_in_user(&self, history: History<'_>) -> Vec<f32> {
        let known = Known::new(history, self.n_items(), self.settings.recency);
        if known.items.is_empty() {
            return self.average.clone();
        }
        let (diagonal, added) = self.system(&known);
        let wanted: Vec<f32> =
            added.iter().zip(&known.shares).map(|(added, share)| share * (1.0 + added)).collect();
        self.solve(&diagonal, self.rows(&known.items, &added), RightSide::Rows(&wanted))
    }

    /// Makes the vector of an item from the users who took it, as the fit would with the users as they are.
    ///
    /// Each user comes with the value of the event; users beyond the end are passed over.
    pub fn fold_in_item(&self, takers: &[(UserId, f32)]) -> Vec<f32> {
        let mut takers: Vec<(u32, f32)> = takers
            .iter()
            .filter(|(user, _)| user.index() < self.n_users())
            .map(|(user, value)| (user.0, *value))
            .collect();
        takers.sort_by_key(|(user, _)| *user);
        let same = takers.chunk_by(|a, b| a.0 == b.0);
        let (ids, added): (Vec<u32>, Vec<f32>) = same
            .map(|same| (same[0].0, self.settings.added(same.iter().map(|(_, v)| v).sum())))
            .unzip();
        let wanted: Vec<f32> = added.iter().map(|added| 1.0 + added).collect();
        let dim = self.dim();
        let rows = WeightedRows { matrix: &self.users, dim, ids: &ids, weights: &added };
        let mut vector = vec![0.0; dim];
        WeightedRows { weights: &wanted, ..rows }.add_to(&mut vector);
        let penalty = self.settings.penalty(self.n_users(), added.iter().sum());
        let mut square = dense(&vec![penalty; dim], rows);
        axpy(1.0, &self.user_gram, &mut square);
        match cholesky_solve(&mut square, &mut vector) {
            Ok(()) => vector,
            // Only a penalty too small for `f32` beside the Gram matrix gets here.
            Err(_) => vec![0.0; dim],
        }
    }

    /// Adds an item with a vector from [`fold_in_item`](Self::fold_in_item); returns its number. What the vectors of
    /// all items have in common stays that of the fit, so this is for a few items between two fits.
    pub fn add_item(&mut self, takers: &[(UserId, f32)]) -> ItemId {
        let vector = self.fold_in_item(takers);
        let item = ItemId::from_index(self.n_items());
        self.scorer.push(&vector);
        self.items.extend(vector);
        item
    }

    /// Gives an item the vector that its takers give it by now; returns whether there is such an item.
    pub fn refold_item(&mut self, item: ItemId, takers: &[(UserId, f32)]) -> bool {
        let (vector, dim) = (self.fold_in_item(takers), self.dim());
        let own = self.items.chunks_exact_mut(dim).nth(item.index());
        let is_there = own.map(|own| own.copy_from_slice(&vector)).is_some();
        if is_there {
            self.scorer.set(item.index(), &vector);
        }
        is_there
    }

    fn rows<'a>(&'a self, ids: &'a [u32], weights: &'a [f32]) -> WeightedRows<'a> {
        WeightedRows { matrix: &self.items, dim: self.dim(), ids, weights }
    }

    /// Returns the diagonal of a user's system and what the events add to the confidences.
    fn system(&self, known: &Known) -> (Vec<f32>, Vec<f32>) {
        let added: Vec<f32> =
            known.values.iter().map(|value| self.settings.added(*value)).collect();
        let penalty = self.settings.penalty(self.n_items(), added.iter().sum());
        (self.item_gram.iter().map(|gram| gram + penalty).collect(), added)
    }

    fn solve(&self, diagonal: &[f32], rows: WeightedRows<'_>, right: RightSide<'_>) -> Vec<f32> {
        let mut x = vec![0.0; self.dim()];
        let system = DiagonalPlusRows { diagonal, rows };
        system.solve(right, &mut x, FOLD_IN, &mut ConjugateScratch::new(self.dim()));
        x
    }
}

impl Recommender for Ials {
    fn n_items(&self) -> usize {
        self.items.len() / self.dim()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        self.score_batch(std::slice::from_ref(request), scores);
    }

    fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        let users: Vec<f32> =
            requests.iter().flat_map(|request| self.fold_in_user(request.history)).collect();
        self.scorer.multiply((&self.items, self.dim()), &users, scores);
    }
}

impl Embed for Ials {
    fn vector_dim(&self) -> usize {
        self.dim()
    }

    fn write_item_vector(&self, item: ItemId, vector: &mut [f32]) -> bool {
        self.item_vector(item).map(|own| vector.copy_from_slice(own)).is_some()
    }

    fn write_user_vectors(&self, requests: &[Request<'_>], vectors: &mut [f32]) -> Vec<bool> {
        for (request, row) in requests.iter().zip(vectors.chunks_exact_mut(self.dim())) {
            row.copy_from_slice(&self.fold_in_user(request.history));
        }
        vec![true; requests.len()]
    }
}

impl Similar for Ials {
    fn similar(&self, item: ItemId, n: usize) -> Vec<Scored> {
        let Some(vector) = self.item_vector(item) else { return Vec::new() };
        let mut scores: Vec<f32> = self
            .items
            .chunks_exact(self.dim())
            .map(|other| dot(vector, other) / dot(other, other).sqrt().max(f32::MIN_POSITIVE))
            .collect();
        scores[item.index()] = f32::NEG_INFINITY;
        top_k(&scores, n)
    }
}

impl Evidence for Ials {
    /// Splits the score by events after section 5 of Hu et al.: `x_u · y = Σ_i c_i y · A⁻¹ y_i`.
    fn evidence(&self, request: &Request<'_>, item: ItemId) -> Vec<Contribution> {
        let Some(vector) = self.item_vector(item) else { return Vec::new() };
        let known = Known::new(request.history, self.n_items(), self.settings.recency);
        let (diagonal, added) = self.system(&known);
        let view = self.solve(&diagonal, self.rows(&known.items, &added), RightSide::Dense(vector));
        let shares = known.items.iter().zip(&known.shares).zip(&added);
        contributions(shares.filter_map(|((&i, share), added)| {
            let other = self.item_vector(ItemId(i))?;
            Some((ItemId(i), share * (1.0 + added) * dot(&view, other)))
        }))
    }
}

impl Persist for Ials {
    fn save(&self) -> Saved {
        let mut saved = with_settings(&self.settings);
        saved.put_f32("item_gram", &[self.dim()], self.item_gram.clone());
        saved.put_f32("users", &[self.n_users(), self.dim()], self.users.clone());
        saved.put_f32("items", &[self.n_items(), self.dim()], self.items.clone());
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let settings: IalsSettings = take_settings(&mut saved)?;
        let item_gram = take_vector(&mut saved, "item_gram")?;
        if item_gram.len() != settings.factors {
            return Err(misfit("item_gram"));
        }
        let mut side = |name: &str| match saved.take_matrix(name)? {
            (dim, data) if dim == settings.factors && data.iter().all(|x| x.is_finite()) => {
                Ok(data)
            }
            _ => Err(misfit(name)),
        };
        let (users, items) = (side("users")?, side("items")?);
        Ok(Self::new(settings, item_gram, users, items))
    }
}
