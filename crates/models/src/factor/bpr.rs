//! Bayesian personalised ranking by matrix factorisation (Rendle et al. 2009).
//!
//! Objective: maximise `Σ ln σ(x_ui - x_uj) - λ|Θ|²` over events `(u, i)` and items `j` the user never touched, with
//! `x_ui = p_u · q_i + b_i`. Shapes: items `[n_items, factors + 1]`, the last column `b`; fold-in `[factors, factors]`.
//! Users are learnt beside the items, and then a map from the items of a history to the user's vector. The map alone is
//! kept: it ranks better than the vectors it was learnt from, and serves strangers and fresh events like everybody else.

use multiversion::multiversion;
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{
    Checked, Embed, Fault, Fit, FitError, Histories, ItemId, Persist, PersistError, Recommender,
    Request, Saved, Scored, Shape, Similar, TrainData, seed,
};
use tastemaker_kernels::dot;

use super::blocks::{Descent, Meeting};
use super::table::{FoldIn, Table, random_table};
use crate::distinct;
use crate::persist::{take_settings, with_settings};

/// How often a negative is drawn again when the user knows it; then the event is passed over.
const DRAWS: usize = 4;

/// Where the items come from that a user is taken not to want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Negatives {
    /// All items alike.
    Uniform,
    /// In proportion to how often an item was taken.
    #[default]
    Popular,
}

/// Settings of [`Bpr`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BprSettings {
    /// Numbers that describe a user or an item.
    pub factors: usize,
    /// How often all events are gone through.
    pub epochs: usize,
    /// Length of a step.
    pub learning_rate: f32,
    /// How strongly numbers are drawn towards 0.
    pub regularization: f32,
    /// Where the items come from that a user is taken not to want.
    pub negatives: Negatives,
}

impl Default for BprSettings {
    fn default() -> Self {
        Self {
            factors: 128,
            epochs: 150,
            learning_rate: 0.05,
            regularization: 0.01,
            negatives: Negatives::Popular,
        }
    }
}

impl Fit for BprSettings {
    type Model = Bpr;

    fn faults(&self) -> Vec<Fault> {
        let count = |field, n: usize, most: usize| {
            Fault::unless((1..=most).contains(&n), field, || format!("must be 1 to {most}, is {n}"))
        };
        let positive = |field, x: f32, least: f32| {
            Fault::unless(x >= least && x.is_finite(), field, || {
                format!("must be {least} or more, is {x}")
            })
        };
        [
            count("factors", self.factors, 4096),
            count("epochs", self.epochs, 100_000),
            positive("learning_rate", self.learning_rate, 1e-8),
            positive("regularization", self.regularization, 0.0),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn grid(&self, _shape: &Shape) -> Vec<Self> {
        let uniform = |learning_rate| Self {
            epochs: 60,
            learning_rate,
            regularization: 0.003,
            negatives: Negatives::Uniform,
            ..self.clone()
        };
        distinct(vec![self.clone(), uniform(0.05), uniform(0.1)])
    }

    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<Bpr, FitError> {
        data.require_events()?;
        let width = settings.factors + 1;
        let mut rng = seed::stream(data.seed, "bpr");
        let spread = 0.5 / settings.factors as f32;
        let mut users = random_table(data.histories.n_users(), width, spread, &mut rng);
        users.iter_mut().skip(width - 1).step_by(width).for_each(|one| *one = 1.0);
        let mut items = random_table(data.n_items, width, spread, &mut rng);
        items.iter_mut().skip(width - 1).step_by(width).for_each(|bias| *bias = 0.0);

        let seen = sorted_items(data.histories);
        let mut descent = Descent::new(data.histories, data.seed, &users, items, width);
        drop(users);
        for epoch in 0..settings.epochs {
            descent.epoch(epoch, |meeting| descend(settings, &seen, meeting));
            data.progress.report("bpr", epoch + 1, settings.epochs);
        }
        if !descent.is_finite() {
            let why = "its numbers ran away: lower `learning_rate`".into();
            return Err(FitError::Diverged { model: "bpr", why });
        }
        let (users, items) = descent.finish();
        let (users, items) = (Table::new(width, users), Table::new(width, items).packed());
        let fold_in = FoldIn::learn(data.histories, &users, &items);
        Ok(Bpr { settings: Self::clone(settings), items, fold_in })
    }
}

/// Returns the items of every user, rising, for look-ups.
fn sorted_items(histories: &Histories) -> Vec<Vec<u32>> {
    let sorted = |items: &[ItemId]| {
        let mut items: Vec<u32> = items.iter().map(|item| item.0).collect();
        items.sort_unstable();
        items
    };
    histories.iter().map(|history| sorted(history.items)).collect()
}

/// Goes through the events of a meeting, each against an item drawn from the same block that the user never touched.
fn descend(settings: &BprSettings, seen: &[Vec<u32>], meeting: Meeting<'_>) {
    let Meeting { users, items, events, mut rng } = meeting;
    let width = settings.factors + 1;
    let n = match settings.negatives {
        Negatives::Uniform => items.members.len(),
        Negatives::Popular => events.len(),
    };
    for event in events {
        let known = &seen[users.members[event.user as usize] as usize];
        let negative = (0..DRAWS).find_map(|_| {
            let draw = rng.random_range(0..n);
            let other = match settings.negatives {
                Negatives::Uniform => draw,
                Negatives::Popular => events[draw].item as usize,
            };
            known.binary_search(&items.members[other]).is_err().then_some(other)
        });
        let Some(negative) = negative else { continue };
        let positive = event.item as usize;
        let user = event.user as usize * width;
        let user = &mut users.rows[user..user + width];
        let (low, high) = (positive.min(negative), positive.max(negative));
        let (left, right) = items.rows.split_at_mut(high * width);
        let (left, right) = (&mut left[low * width..(low + 1) * width], &mut right[..width]);
        let (liked, other) = if positive < negative { (left, right) } else { (right, left) };
        step(settings.learning_rate, settings.regularization, user, liked, other);
    }
}

/// Steps uphill on one triple.
#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
fn step(rate: f32, regularization: f32, user: &mut [f32], liked: &mut [f32], other: &mut [f32]) {
    let margin = dot(user, liked) - dot(user, other);
    let pull = rate / (1.0 + margin.exp());
    let keep = 1.0 - rate * regularization;
    for ((u, i), j) in user.iter_mut().zip(liked.iter_mut()).zip(other.iter_mut()) {
        let (old, difference) = (*u, *i - *j);
        *u = keep * old + pull * difference;
        *i = keep * *i + pull * old;
        *j = keep * *j - pull * old;
    }
    if let Some(one) = user.last_mut() {
        *one = 1.0;
    }
}

/// Scores by the product of learnt vectors; see the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Bpr {
    settings: BprSettings,
    items: Table,
    fold_in: FoldIn,
}

impl Recommender for Bpr {
    fn n_items(&self) -> usize {
        self.items.rows()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        self.score_batch(std::slice::from_ref(request), scores);
    }

    fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        let mut rows = vec![0.0; requests.len() * self.items.width()];
        self.write_user_vectors(requests, &mut rows);
        self.items.multiply(&rows, scores);
    }
}

impl Embed for Bpr {
    fn vector_dim(&self) -> usize {
        self.items.width()
    }

    fn write_item_vector(&self, item: ItemId, vector: &mut [f32]) -> bool {
        self.items.get(item.index()).map(|row| vector.copy_from_slice(row)).is_some()
    }

    fn write_user_vectors(&self, requests: &[Request<'_>], vectors: &mut [f32]) -> Vec<bool> {
        for (request, row) in requests.iter().zip(vectors.chunks_exact_mut(self.items.width())) {
            self.fold_in.write(&self.items, request.history, row);
        }
        vec![true; requests.len()]
    }
}

impl Similar for Bpr {
    fn similar(&self, item: ItemId, n: usize) -> Vec<Scored> {
        self.items.most_alike(item.index(), self.settings.factors, n)
    }
}

impl Persist for Bpr {
    fn save(&self) -> Saved {
        let mut saved = with_settings(&self.settings);
        self.items.put("items", &mut saved);
        self.fold_in.put("fold_in", &mut saved);
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let settings: BprSettings = take_settings(&mut saved)?;
        let items = Table::take("items", settings.factors + 1, &mut saved)?.packed();
        let fold_in = FoldIn::take("fold_in", settings.factors, &mut saved)?;
        Ok(Self { settings, items, fold_in })
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::{assert_all_close, assert_close, contract};

    use super::*;

    fn small() -> BprSettings {
        BprSettings { factors: 8, epochs: 200, learning_rate: 0.1, ..Default::default() }
    }

    #[test]
    fn keeps_the_contracts_and_learns_the_checkerboard() {
        contract::recommender(small);
        contract::similar(small);
        contract::embed(small);
        contract::learns_the_checkerboard(small);
        contract::learns_the_checkerboard(|| BprSettings {
            negatives: Negatives::Uniform,
            ..small()
        });
    }

    #[test]
    fn one_step_by_hand() {
        // Margin 1·1 + 1·0 - (1·0 + 1·0) = 1, pull = 0.1 / (1 + e) = 0.0268941.
        let (mut user, mut liked, mut other) = ([1.0, 1.0], [1.0, 0.0], [0.0, 0.0]);
        step(0.1, 0.5, &mut user, &mut liked, &mut other);
        assert_all_close(&user, &[0.95 + 0.026_894_1, 1.0], 1e-6);
        assert_all_close(&liked, &[0.95 + 0.026_894_1, 0.026_894_1], 1e-6);
        assert_all_close(&other, &[-0.026_894_1, -0.026_894_1], 1e-6);
    }

    #[test]
    fn a_step_widens_the_margin() {
        let (mut user, mut liked, mut other) = ([0.3, -0.2, 1.0], [0.1, 0.4, 0.0], [0.2, 0.1, 0.0]);
        let before = dot(&user, &liked) - dot(&user, &other);
        step(0.05, 0.0, &mut user, &mut liked, &mut other);
        assert!(dot(&user, &liked) - dot(&user, &other) > before);
        assert_close(user[2], 1.0, 0.0);
    }

    #[test]
    fn too_long_a_step_is_told() {
        let world = tastemaker_testkit::tiny(1);
        let wild = BprSettings { learning_rate: 1e30, ..small() };
        let outcome = Checked::new(wild).unwrap().fit(&world.data());
        assert!(matches!(outcome, Err(FitError::Diverged { model: "bpr", .. })));
    }
}
