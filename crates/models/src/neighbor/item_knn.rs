//! Item-kNN: items like those of the history (Sarwar et al. 2001; Deshpande and Karypis 2004).
//!
//! Objective: `score(j) = Σ_k recency^k · sim(i_k, j)` over the history, newest first, where each item keeps its
//! `neighbours` most similar ones. Shapes: similarities `[n_items, n_items]`, at most `neighbours` a row.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{
    Checked, Contribution, Evidence, Fault, Fit, FitError, ItemId, Persist, PersistError,
    Recommender, Request, Saved, Scored, Shape, Similar, TrainData,
};

use super::search::{Best, Weighed, has_ratings, interactions};
use super::similarity::{Measure, Rule};
use crate::distinct;
use crate::persist::{misfit, take_settings, with_settings};
use crate::recent::{contributions, recent};
use crate::sparse::{Csr, Sums};

/// Settings of [`ItemKnn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ItemKnnSettings {
    /// How the likeness of two items is measured.
    pub measure: Measure,
    /// How many neighbours each item keeps.
    pub neighbours: usize,
    /// Added to the denominator of a similarity, against pairs that rest on few users.
    pub shrinkage: f32,
    /// How soon a count saturates, for `measure = "bm25"`.
    pub bm25_k1: f32,
    /// How much the number of an item's events is held against it, for `measure = "bm25"`.
    pub bm25_b: f32,
    /// How much an item of the history speaks compared with the one after it; 1 lets all speak alike.
    pub recency: f32,
}

impl Default for ItemKnnSettings {
    fn default() -> Self {
        Self {
            measure: Measure::Bm25,
            neighbours: 500,
            shrinkage: 0.0,
            bm25_k1: 1.2,
            bm25_b: 0.75,
            recency: 0.8,
        }
    }
}

impl ItemKnnSettings {
    fn rule(&self) -> Rule {
        Rule { measure: self.measure, shrinkage: self.shrinkage, k1: self.bm25_k1, b: self.bm25_b }
    }
}

impl Fit for ItemKnnSettings {
    type Model = ItemKnn;

    fn faults(&self) -> Vec<Fault> {
        let k =
            Fault::unless(self.neighbours > 0, "neighbours", || "must be 1 or more, is 0".into());
        let recency = Fault::unless((0.0..=1.0).contains(&self.recency), "recency", || {
            format!("must be 0 to 1, is {}", self.recency)
        });
        self.rule().faults().into_iter().chain(k).chain(recency).collect()
    }

    fn grid(&self, _shape: &Shape) -> Vec<Self> {
        let bm25 =
            |bm25_k1, bm25_b| Self { measure: Measure::Bm25, bm25_k1, bm25_b, ..self.clone() };
        let cosine =
            Self { measure: Measure::Cosine, neighbours: 100, shrinkage: 20.0, ..self.clone() };
        let mut all = vec![self.clone()];
        for base in [bm25(1.2, 0.75), bm25(0.1, 0.2), cosine] {
            all.extend([1.0, 0.8, 0.6].map(|recency| Self { recency, ..base.clone() }));
        }
        distinct(all)
    }

    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<ItemKnn, FitError> {
        data.require_events()?;
        let users = interactions(data.histories, data.n_items, settings.measure);
        let weighed = Weighed::new(settings.rule(), users.transpose(), has_ratings(data.histories));
        let similar = nearest(&weighed, settings.neighbours);
        Ok(ItemKnn { settings: Self::clone(settings), similar })
    }
}

/// Multiplies every row with all others through the inverted index, and keeps the `k` best of each.
fn nearest(weighed: &Weighed, k: usize) -> Csr {
    let n = weighed.rows.n_rows();
    let scratch = || (Sums::new(n), Best::new(k));
    Csr::build((n, n), scratch, |(sums, best), row, sink| {
        let size = weighed.sizes[row];
        sums.add_all(&weighed.parts(row), |other, sum| {
            let similarity = weighed.similarity(sum, size, other as usize);
            if similarity > 0.0 && other as usize != row {
                best.offer(other, similarity);
            }
        });
        best.drain(|other, similarity| sink.push(other, similarity));
    })
}

/// Scores by likeness to the items of the history; see the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemKnn {
    settings: ItemKnnSettings,
    similar: Csr,
}

impl ItemKnn {
    /// Visits the items that speak, newest first, with their weights.
    fn speakers(&self, request: &Request<'_>) -> impl Iterator<Item = (ItemId, f32)> {
        recent(request.history, self.n_items(), (usize::MAX, self.settings.recency))
            .take_while(|(_, weight)| *weight > 1e-6)
    }
}

impl Recommender for ItemKnn {
    fn n_items(&self) -> usize {
        self.similar.n_rows()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        scores.fill(0.0);
        for (item, weight) in self.speakers(request) {
            self.similar.add_row_to(item.index(), weight, scores);
        }
    }
}

impl Similar for ItemKnn {
    fn similar(&self, item: ItemId, n: usize) -> Vec<Scored> {
        self.similar.best_of_row(item.index(), n)
    }
}

impl Evidence for ItemKnn {
    fn evidence(&self, request: &Request<'_>, item: ItemId) -> Vec<Contribution> {
        let shares = self.speakers(request);
        contributions(shares.map(|(i, weight)| (i, weight * self.similar.at(i.index(), item.0))))
    }
}

impl Persist for ItemKnn {
    fn save(&self) -> Saved {
        let mut saved = with_settings(&self.settings);
        self.similar.put("similar", &mut saved);
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let settings = take_settings(&mut saved)?;
        let similar = Csr::take_square("similar", &mut saved)?;
        if similar.n_rows() == 0 {
            return Err(misfit("similar"));
        }
        Ok(Self { settings, similar })
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::contract;

    use super::*;

    fn with(measure: Measure) -> impl Fn() -> ItemKnnSettings {
        move || ItemKnnSettings { measure, recency: 0.9, neighbours: 15, ..Default::default() }
    }

    #[test]
    fn every_measure_keeps_the_contracts_and_learns_the_checkerboard() {
        for measure in
            [Measure::Cosine, Measure::Pearson, Measure::Jaccard, Measure::Bm25, Measure::TfIdf]
        {
            contract::recommender(with(measure));
            contract::similar(with(measure));
            contract::evidence(with(measure));
            contract::learns_the_checkerboard(with(measure));
        }
    }

    #[test]
    fn impossible_settings_are_all_named() {
        let bad = ItemKnnSettings {
            neighbours: 0,
            shrinkage: -1.0,
            bm25_k1: f32::NAN,
            bm25_b: 2.0,
            recency: 1.5,
            ..Default::default()
        };
        let fields: Vec<_> = bad.faults().iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["shrinkage", "bm25_k1", "bm25_b", "neighbours", "recency"]);
    }
}
