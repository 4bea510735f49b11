//! User-kNN: what people with a like history took (Resnick et al. 1994; Herlocker et al. 1999).
//!
//! Objective: `score(j) = Σ_{v ∈ N(u)} sim(u, v) · [v took j]`, N(u) the `neighbours` users most like the request's history.
//! Shapes: the training matrix `[n_users, n_items]`, sparse, and the same by items. The history is compared as it stands
//! in the request, so strangers and fresh events need no new fit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{
    Checked, Fault, Fit, FitError, Persist, PersistError, Recommender, Request, Saved, Shape,
    TrainData,
};

use super::search::{Best, Weighed, has_ratings, interactions, raw_row};
use super::similarity::{Measure, Rule};
use crate::distinct;
use crate::persist::{take_settings, with_settings};
use crate::recent::recent;
use crate::sparse::Csr;

/// Settings of [`UserKnn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UserKnnSettings {
    /// How the likeness of two users is measured.
    pub measure: Measure,
    /// How many users are asked.
    pub neighbours: usize,
    /// Added to the denominator of a similarity, against pairs that rest on few items.
    pub shrinkage: f32,
    /// How soon a count saturates, for `measure = "bm25"`.
    pub bm25_k1: f32,
    /// How much the length of a user's history is held against it, for `measure = "bm25"`.
    pub bm25_b: f32,
    /// How much an item of the request's history counts compared with the one after it; 1 lets all count alike.
    pub recency: f32,
}

impl Default for UserKnnSettings {
    fn default() -> Self {
        Self {
            measure: Measure::Cosine,
            neighbours: 50,
            shrinkage: 0.0,
            bm25_k1: 1.2,
            bm25_b: 0.75,
            recency: 0.8,
        }
    }
}

impl UserKnnSettings {
    fn rule(&self) -> Rule {
        Rule { measure: self.measure, shrinkage: self.shrinkage, k1: self.bm25_k1, b: self.bm25_b }
    }
}

impl Fit for UserKnnSettings {
    type Model = UserKnn;

    fn faults(&self) -> Vec<Fault> {
        let k =
            Fault::unless(self.neighbours > 0, "neighbours", || "must be 1 or more, is 0".into());
        let recency = Fault::unless((0.0..=1.0).contains(&self.recency), "recency", || {
            format!("must be 0 to 1, is {}", self.recency)
        });
        self.rule().faults().into_iter().chain(k).chain(recency).collect()
    }

    fn grid(&self, _shape: &Shape) -> Vec<Self> {
        let mut all = vec![self.clone()];
        for (measure, neighbours) in
            [(Measure::Cosine, 50), (Measure::Bm25, 50), (Measure::Bm25, 200)]
        {
            all.extend([0.8, 0.6].map(|recency| Self {
                measure,
                neighbours,
                recency,
                ..self.clone()
            }));
        }
        distinct(all)
    }

    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<UserKnn, FitError> {
        data.require_events()?;
        let raw = interactions(data.histories, data.n_items, settings.measure);
        Ok(UserKnn::new(Self::clone(settings), raw, has_ratings(data.histories)))
    }
}

/// Scores by what like-minded users took; see the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct UserKnn {
    settings: UserKnnSettings,
    /// As it was learnt from: what is saved.
    raw: Csr,
    has_ratings: bool,
    weighed: Weighed,
}

impl UserKnn {
    fn new(settings: UserKnnSettings, raw: Csr, has_ratings: bool) -> Self {
        let weighed = Weighed::new(settings.rule(), raw.clone(), has_ratings);
        Self { settings, raw, has_ratings, weighed }
    }

    /// Returns the users most like the history, best first.
    fn neighbours(&self, request: &Request<'_>) -> Best {
        let n_items = self.n_items();
        let mut scratch = Vec::new();
        let row = raw_row(request.history, n_items, self.settings.measure, &mut scratch);
        let (columns, mut values): (Vec<u32>, Vec<f32>) = row.iter().copied().unzip();
        let size = self.weighed.scale.weigh(&columns, &mut values);
        let mut fresh = vec![0.0f32; n_items];
        for (item, weight) in recent(request.history, n_items, (usize::MAX, self.settings.recency))
        {
            fresh[item.index()] = fresh[item.index()].max(weight);
        }
        let mut dots = vec![0.0; self.raw.n_rows()];
        for (&column, &value) in columns.iter().zip(&values) {
            let weight = value * fresh[column as usize];
            self.weighed.by_column.add_row_to(column as usize, weight, &mut dots);
        }
        let own = request.user.map(|user| user.index());
        let mut best = Best::new(self.settings.neighbours);
        for (user, &dot) in dots.iter().enumerate() {
            if dot.to_bits() != 0 && Some(user) != own {
                let size_of = self.weighed.sizes[user];
                let similarity = self.weighed.scale.similarity(dot, size, size_of);
                if similarity > 0.0 {
                    best.offer(user as u32, similarity);
                }
            }
        }
        best
    }
}

impl Recommender for UserKnn {
    fn n_items(&self) -> usize {
        self.raw.n_columns()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        scores.fill(0.0);
        self.neighbours(request).drain(|user, similarity| {
            for &item in self.raw.row(user as usize).0 {
                scores[item as usize] += similarity;
            }
        });
    }
}

impl Persist for UserKnn {
    fn save(&self) -> Saved {
        let mut saved = with_settings(&self.settings);
        saved.meta["has_ratings"] = self.has_ratings.into();
        saved.meta["n_items"] = self.n_items().into();
        self.raw.put("events", &mut saved);
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let settings = take_settings(&mut saved)?;
        let has_ratings = serde_json::from_value(saved.meta["has_ratings"].take())?;
        let n_items: u32 = serde_json::from_value(saved.meta["n_items"].take())?;
        let raw = Csr::take("events", n_items as usize, &mut saved)?;
        Ok(Self::new(settings, raw, has_ratings))
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{HistoriesBuilder, ItemId, UserId};
    use tastemaker_testkit::{assert_close, contract};

    use super::*;

    fn with(measure: Measure) -> impl Fn() -> UserKnnSettings {
        move || UserKnnSettings { measure, recency: 0.9, neighbours: 9, ..Default::default() }
    }

    #[test]
    fn every_measure_keeps_the_contract_and_learns_the_checkerboard() {
        for measure in
            [Measure::Cosine, Measure::Pearson, Measure::Jaccard, Measure::Bm25, Measure::TfIdf]
        {
            contract::recommender(with(measure));
            contract::learns_the_checkerboard(with(measure));
        }
    }

    #[test]
    fn the_neighbours_of_a_history_by_hand() {
        let mut builder = HistoriesBuilder::default();
        for row in [&[0, 1][..], &[0, 2], &[3]] {
            row.iter().for_each(|&item| builder.push(ItemId(item), 1.0, 0));
            builder.end_user();
        }
        let histories = builder.build();
        let data = TrainData::new(&histories, 4);
        let settings = UserKnnSettings { recency: 1.0, ..Default::default() };
        let model = Checked::new(settings).unwrap().fit(&data).unwrap();
        let mut scores = vec![0.0; 4];
        // User 0 is {0, 1}: itself left out, user 1 is alike by 1 / (√2 √2).
        model.score(&Request::new(Some(UserId(0)), histories.row(0)), &mut scores);
        assert_close(scores[2], 0.5, 1e-6);
        assert_close(scores[1], 0.0, 1e-6);
        // A stranger with the same history has user 0 as neighbour too, at likeness 1.
        model.score(&Request::new(None, histories.row(0)), &mut scores);
        assert_close(scores[1], 1.0, 1e-6);
        assert_close(scores[0], 1.5, 1e-6);
        assert_close(scores[3], 0.0, 1e-6);
    }
}
