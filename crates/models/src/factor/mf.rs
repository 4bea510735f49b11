//! Biased matrix factorisation for ratings, by stochastic gradient descent (Koren, Bell and Volinsky 2009).
//!
//! Objective: minimise `Σ (r_ui - μ - b_u - b_i - p_u · q_i)² + λ (b² + |p|² + |q|²)` over the ratings. Shapes: users
//! `[n_users, factors + 2]`, the last columns `b_u, 1`; items `[n_items, factors + 2]`, the last columns `1, b_i`.
//! Ranks by predicted rating, which is a different thing from what people take next.

use multiversion::multiversion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tastemaker_core::{
    Checked, Embed, Fault, Fit, FitError, History, ItemId, Persist, PersistError, Rate,
    Recommender, Request, Saved, Scored, Similar, TrainData, UserId, seed,
};
use tastemaker_kernels::{axpy, cholesky_solve, dot};

use super::blocks::{Descent, Meeting};
use super::table::{Table, random_table};
use crate::persist::{take_settings, with_settings};

/// Settings of [`Mf`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MfSettings {
    /// Numbers that describe a user or an item, beside the biases.
    pub factors: usize,
    /// How often all ratings are gone through.
    pub epochs: usize,
    /// Length of the first steps.
    pub learning_rate: f32,
    /// What the length of a step is multiplied with after every epoch.
    pub slowing: f32,
    /// How strongly numbers are drawn towards 0.
    pub regularization: f32,
}

impl Default for MfSettings {
    fn default() -> Self {
        Self { factors: 64, epochs: 60, learning_rate: 0.02, slowing: 0.96, regularization: 0.07 }
    }
}

impl Fit for MfSettings {
    type Model = Mf;

    const SPACE: &'static [(&'static str, &'static str)] = &[
        ("factors", "16,32,64,128"),
        ("learning_rate", "log(0.005, 0.05)"),
        ("regularization", "log(0.02, 0.2)"),
    ];

    fn faults(&self) -> Vec<Fault> {
        let count = |field, n: usize, most: usize| {
            Fault::unless((1..=most).contains(&n), field, || format!("must be 1 to {most}, is {n}"))
        };
        let between = |field, x: f32, least: f32, most: f32| {
            Fault::unless((least..=most).contains(&x), field, || {
                format!("must be {least} to {most}, is {x}")
            })
        };
        [
            count("factors", self.factors, 4096),
            count("epochs", self.epochs, 100_000),
            between("learning_rate", self.learning_rate, 1e-8, 100.0),
            between("slowing", self.slowing, 0.01, 1.0),
            between("regularization", self.regularization, 0.0, 100.0),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<Mf, FitError> {
        data.require_events()?;
        let width = settings.factors + 2;
        let mut rng = seed::stream(data.seed, "mf");
        let spread = 1.0 / (settings.factors as f32).sqrt() * 0.1;
        let mut users = random_table(data.histories.n_users(), width, spread, &mut rng);
        let mut items = random_table(data.n_items, width, spread, &mut rng);
        users.chunks_exact_mut(width).for_each(|row| row[width - 2..].copy_from_slice(&[0.0, 1.0]));
        items.chunks_exact_mut(width).for_each(|row| row[width - 2..].copy_from_slice(&[1.0, 0.0]));
        let scale = Scale::of(data.histories.events().values);
        let mut descent = Descent::new(data.histories, data.seed, &users, items, width);
        drop(users);
        let mut rate = settings.learning_rate;
        for epoch in 0..settings.epochs {
            descent.epoch(epoch, |meeting| {
                descend(meeting, (rate, settings.regularization), scale.mean, width);
            });
            rate *= settings.slowing;
            data.progress.report("mf", epoch + 1, settings.epochs);
        }
        if !descent.is_finite() {
            let why = "its numbers ran away: lower `learning_rate`".into();
            return Err(FitError::Diverged { model: "mf", why });
        }
        let (mut users, mut items) = descent.finish();
        for (history, row) in data.histories.iter().zip(users.chunks_exact_mut(width)) {
            if history.is_empty() {
                row.fill(0.0);
            }
        }
        // What nobody rated is of average kind: its start values mean nothing.
        let counts = data.histories.item_counts(data.n_items);
        for (count, row) in counts.iter().zip(items.chunks_exact_mut(width)) {
            if *count == 0 {
                row[..settings.factors].fill(0.0);
            }
        }
        let (users, items) = (Table::new(width, users), Table::new(width, items).packed());
        Ok(Mf { settings: Self::clone(settings), scale, users, items })
    }
}

/// The ratings seen in training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Scale {
    mean: f32,
    least: f32,
    most: f32,
}

impl Scale {
    fn of(values: &[f32]) -> Self {
        let sum: f64 = values.iter().map(|&x| f64::from(x)).sum();
        Self {
            mean: (sum / values.len().max(1) as f64) as f32,
            least: values.iter().copied().fold(f32::INFINITY, f32::min),
            most: values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        }
    }
}

fn descend(meeting: Meeting<'_>, (rate, regularization): (f32, f32), mean: f32, width: usize) {
    let Meeting { users, items, events, .. } = meeting;
    for event in events {
        let (user, item) = (event.user as usize * width, event.item as usize * width);
        let user = &mut users.rows[user..user + width];
        let item = &mut items.rows[item..item + width];
        step((rate, regularization), event.value - mean, user, item);
    }
}

/// Steps downhill on one rating, given as its distance from the mean.
#[multiversion(targets("x86_64+avx512f+fma", "x86_64+avx2+fma"))]
fn step((rate, regularization): (f32, f32), rating: f32, user: &mut [f32], item: &mut [f32]) {
    let pull = rate * (rating - dot(user, item));
    let keep = 1.0 - rate * regularization;
    for (u, i) in user.iter_mut().zip(item.iter_mut()) {
        let old = *u;
        *u = keep * old + pull * *i;
        *i = keep * *i + pull * old;
    }
    let width = user.len();
    user[width - 1] = 1.0;
    item[width - 2] = 1.0;
}

/// Predicts ratings; see the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Mf {
    settings: MfSettings,
    scale: Scale,
    users: Table,
    items: Table,
}

impl Mf {
    /// Returns the row learnt for a user, if there is one.
    fn known(&self, user: Option<UserId>) -> Option<&[f32]> {
        let row = user.and_then(|user| self.users.get(user.index()))?;
        row.iter().any(|x| x.abs() > 0.0).then_some(row)
    }

    fn write_user(&self, request: &Request<'_>, row: &mut [f32]) {
        match self.known(request.user) {
            Some(known) => row.copy_from_slice(known),
            None => self.fold_in(request.history, row),
        }
    }

    /// Finds the row of a user who was not there: least squares on the ratings of the history, the items held fast.
    fn fold_in(&self, history: History<'_>, row: &mut [f32]) {
        // The unknowns are all columns but the last, whose value is 1.
        let n = self.items.width() - 1;
        let mut system = vec![0.0; n * n];
        let mut right = vec![0.0; n];
        let mut count = 0.0;
        for (item, value) in history.items.iter().zip(history.values) {
            let Some(item) = self.items.get(item.index()) else { continue };
            axpy(value - self.scale.mean - item[n], &item[..n], &mut right);
            for (i, line) in system.chunks_exact_mut(n).enumerate() {
                axpy(item[i], &item[..=i], &mut line[..=i]);
            }
            count += 1.0f32;
        }
        let ridge = self.settings.regularization.max(1e-3) * count.max(1.0);
        system.iter_mut().step_by(n + 1).for_each(|x| *x += ridge);
        row.fill(0.0);
        row[n] = 1.0;
        if cholesky_solve(&mut system, &mut right).is_ok() {
            row[..n].copy_from_slice(&right);
        }
    }
}

impl Rate for Mf {
    fn rate(&self, user: Option<UserId>, item: ItemId) -> f32 {
        let n = self.settings.factors;
        let deviation = match (self.known(user), self.items.get(item.index())) {
            (Some(user), Some(item)) => dot(user, item),
            (Some(user), None) => user[n],
            (None, Some(item)) => item[n + 1],
            (None, None) => 0.0,
        };
        (self.scale.mean + deviation).clamp(self.scale.least, self.scale.most)
    }
}

impl Recommender for Mf {
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
        scores.iter_mut().for_each(|score| *score += self.scale.mean);
    }
}

impl Embed for Mf {
    fn vector_dim(&self) -> usize {
        self.items.width()
    }

    /// Adds the mean of all ratings to the bias of an item, which stands against the 1 of users.
    fn write_item_vector(&self, item: ItemId, vector: &mut [f32]) -> bool {
        let Some(row) = self.items.get(item.index()) else { return false };
        vector.copy_from_slice(row);
        vector[row.len() - 1] += self.scale.mean;
        true
    }

    fn write_user_vectors(&self, requests: &[Request<'_>], vectors: &mut [f32]) -> Vec<bool> {
        for (request, row) in requests.iter().zip(vectors.chunks_exact_mut(self.items.width())) {
            self.write_user(request, row);
        }
        vec![true; requests.len()]
    }
}

impl Similar for Mf {
    fn similar(&self, item: ItemId, n: usize) -> Vec<Scored> {
        self.items.most_alike(item.index(), self.settings.factors, n)
    }
}

impl Persist for Mf {
    fn save(&self) -> Saved {
        let mut saved = with_settings(&self.settings);
        saved.meta["scale"] = json!(self.scale);
        self.users.put("users", &mut saved);
        self.items.put("items", &mut saved);
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let settings: MfSettings = take_settings(&mut saved)?;
        let scale: Scale = serde_json::from_value(saved.meta["scale"].take())?;
        if scale.least > scale.most {
            return Err(PersistError::Shape { name: "scale".into() });
        }
        let users = Table::take("users", settings.factors + 2, &mut saved)?;
        let items = Table::take("items", settings.factors + 2, &mut saved)?.packed();
        Ok(Self { settings, scale, users, items })
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::{assert_all_close, assert_close, contract, tiny};

    use super::*;

    fn small() -> MfSettings {
        MfSettings { factors: 8, epochs: 100, regularization: 0.02, ..Default::default() }
    }

    #[test]
    fn keeps_the_contract() {
        contract::recommender(small);
        contract::embed(small);
    }

    #[test]
    fn one_step_by_hand() {
        // Prediction 0.5·2 + 0.1·1 + 1·0.2 = 1.3, error 2 - 1.3 = 0.7, pull 0.07, keep 1 - 0.1·0.5 = 0.95.
        let (mut user, mut item) = ([0.5, 0.1, 1.0], [2.0, 1.0, 0.2]);
        step((0.1, 0.5), 2.0, &mut user, &mut item);
        assert_all_close(&user, &[0.475 + 0.14, 0.095 + 0.07, 1.0], 1e-6);
        assert_all_close(&item, &[1.9 + 0.035, 1.0, 0.19 + 0.07], 1e-6);
    }

    #[test]
    fn ratings_are_learnt_stay_on_the_scale_and_fall_back_to_averages() {
        let world = tiny(1);
        let model = Checked::new(small()).unwrap().fit(&world.data()).unwrap();
        let mean = model.scale.mean;
        let (mut own, mut plain, mut n) = (0.0, 0.0, 0.0);
        for (row, history) in world.histories.iter().enumerate() {
            for (item, value) in history.items.iter().zip(history.values) {
                let rate = model.rate(Some(UserId::from_index(row)), *item);
                assert!((1.0..=5.0).contains(&rate));
                own += (rate - value).powi(2);
                plain += (mean - value).powi(2);
                n += 1.0;
            }
        }
        assert!(own / n < 0.7 * plain / n, "{} {}", own / n, plain / n);
        assert_close(model.rate(None, ItemId(u32::MAX)), mean, 1e-6);
        assert_close(model.rate(Some(UserId(0)), ItemId(39)), mean, 1e-6);
    }

    #[test]
    fn a_newcomer_with_the_same_ratings_is_judged_much_alike() {
        let world = tiny(1);
        let model = Checked::new(small()).unwrap().fit(&world.data()).unwrap();
        let known = world.request(17);
        let (mut a, mut b) = (vec![0.0; 40], vec![0.0; 40]);
        model.score(&known, &mut a);
        model.score(&Request { user: None, ..known }, &mut b);
        let distance: f32 = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum::<f32>() / 40.0;
        assert!(distance < 0.5, "{distance}");
    }
}
