//! Text-kNN: items whose words resemble those of the history; it recommends what nobody has touched yet.
//!
//! Objective: `score(j) = cos(P_u, C_j)` with `C_j` the text vector of item `j` and `P_u = Σ_k decay^k C_{i_k}` over the
//! last items, newest first; or with max pooling `score(j) = max_k decay^k cos(C_{i_k}, C_j)`.
//! Shapes: vectors `[n_items, dim]`, L2-normalised, zero where an item has no text; such items score lowest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{
    Checked, Contribution, Evidence, Fault, Fit, FitError, ItemId, Persist, PersistError,
    Recommender, Request, Saved, Scored, Shape, Similar, TrainData, Vectors, top_k,
};
use tastemaker_kernels::dot;

use super::whiten::{Whiten, Whitening};
use crate::distinct;
use crate::persist::{misfit, take_settings, with_settings};
use crate::recent::{contributions, recent};
use crate::scorer::Scorer;

/// Below every cosine: the score of an item without text.
const NO_TEXT: f32 = -2.0;

/// How the items of a history speak together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// With one voice: their weighted mean.
    #[default]
    Mean,
    /// Each for itself: the best match counts.
    Max,
}

/// Settings of [`TextKnn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TextKnnSettings {
    /// How many of the last items speak.
    pub last: usize,
    /// How much an item speaks compared with the one after it; 1 lets all speak alike.
    pub decay: f32,
    /// How the items speak together.
    pub pooling: Pooling,
    /// What is taken out of the vectors before they are compared.
    pub whiten: Whiten,
}

impl Default for TextKnnSettings {
    fn default() -> Self {
        Self { last: 3, decay: 0.5, pooling: Pooling::Mean, whiten: Whiten::Center }
    }
}

impl Fit for TextKnnSettings {
    type Model = TextKnn;

    fn reads_text(&self) -> bool {
        true
    }

    fn faults(&self) -> Vec<Fault> {
        let last = Fault::unless(self.last > 0, "last", || "must be 1 or more, is 0".into());
        let decay = Fault::unless((0.0..=1.0).contains(&self.decay), "decay", || {
            format!("must be 0 to 1, is {}", self.decay)
        });
        last.into_iter().chain(decay).collect()
    }

    fn grid(&self, _shape: &Shape) -> Vec<Self> {
        let mut all = vec![self.clone()];
        for (last, decay) in [(2, 0.5), (5, 0.7), (10, 0.8), (100, 0.9)] {
            all.push(Self { last, decay, whiten: Whiten::Full, ..self.clone() });
        }
        all.push(Self { last: 10, decay: 0.7, whiten: Whiten::Center, ..self.clone() });
        // An encoder that was tuned with a head has learnt what to take out.
        for (last, decay) in [(3, 0.5), (5, 0.7), (10, 0.8), (100, 0.9)] {
            all.push(Self { last, decay, whiten: Whiten::None, ..self.clone() });
        }
        distinct(all)
    }

    fn fit(settings: &Checked<Self>, data: &TrainData<'_>) -> Result<TextKnn, FitError> {
        data.require_events()?;
        let vectors = data.require_vectors()?;
        let counts = data.histories.item_counts(data.n_items);
        let whitening = Whitening::learn(settings.whiten, vectors, &counts)?;
        let mut model = TextKnn {
            settings: Self::clone(settings),
            whitening,
            vectors: Vectors::zeros(0, vectors.dim()),
            textless: Vec::new(),
            scorer: Scorer::new(&[], vectors.dim()),
        };
        model.add_items(vectors)?;
        Ok(model)
    }
}

/// Scores by likeness of text; see the head of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct TextKnn {
    settings: TextKnnSettings,
    whitening: Whitening,
    vectors: Vectors,
    /// Items whose vector is 0.
    textless: Vec<u32>,
    /// The vectors again.
    scorer: Scorer,
}

impl TextKnn {
    /// Appends items, which can be recommended at once; nothing else is learnt anew.
    ///
    /// # Errors
    /// When the vectors are of another width.
    pub fn add_items(&mut self, vectors: &Vectors) -> Result<(), FitError> {
        if vectors.dim() != self.vectors.dim() {
            let (got, want) = (vectors.dim(), self.vectors.dim());
            let why = format!(
                "the new vectors are {got} wide, its own {want}: use the encoder it was fitted with"
            );
            return Err(FitError::Diverged { model: "text-knn", why });
        }
        let known = self.n_items();
        self.vectors.append(&self.whitening.apply(vectors));
        self.note(known);
        Ok(())
    }

    /// Notes what there is to know of the items from `first` on.
    fn note(&mut self, first: usize) {
        let textless = (first..self.n_items()).filter(|&item| !self.has_text(item));
        let mut textless: Vec<u32> = textless.map(|item| item as u32).collect();
        self.textless.append(&mut textless);
        match first {
            0 => self.scorer = Scorer::new(self.vectors.flat(), self.vectors.dim()),
            _ => (first..self.n_items()).for_each(|item| self.scorer.push(self.vectors.row(item))),
        }
    }

    /// Visits the items with text that speak, newest first, with their weights.
    fn speakers(&self, request: &Request<'_>) -> Vec<(ItemId, f32)> {
        let speakers =
            recent(request.history, self.n_items(), (self.settings.last, self.settings.decay));
        speakers.filter(|(item, weight)| *weight > 1e-6 && self.has_text(item.index())).collect()
    }

    fn has_text(&self, item: usize) -> bool {
        self.vectors.row(item).iter().any(|x| x.to_bits() << 1 != 0)
    }

    /// Writes the profile of one request, of length 1 or 0.
    fn write_profile(&self, speakers: &[(ItemId, f32)], profile: &mut [f32]) {
        profile.fill(0.0);
        for (item, weight) in speakers {
            for (p, x) in profile.iter_mut().zip(self.vectors.row(item.index())) {
                *p += weight * x;
            }
        }
        let length = dot(profile, profile).sqrt();
        if length > 0.0 {
            profile.iter_mut().for_each(|p| *p /= length);
        }
    }

    /// Multiplies rows of queries with all items: `scores` is `[queries, n_items]`.
    fn multiply(&self, queries: &[f32], scores: &mut [f32]) {
        self.scorer.multiply((self.vectors.flat(), self.vectors.dim()), queries, scores);
    }

    fn score_max(&self, speakers: &[(ItemId, f32)], scores: &mut [f32]) {
        let mut one = vec![0.0; self.n_items()];
        scores.fill(if speakers.is_empty() { 0.0 } else { -1.0 });
        for (item, weight) in speakers {
            self.multiply(self.vectors.row(item.index()), &mut one);
            for (score, cosine) in scores.iter_mut().zip(&one) {
                *score = score.max(weight * cosine);
            }
        }
    }

    fn sink_textless(&self, scores: &mut [f32]) {
        self.textless.iter().for_each(|&item| scores[item as usize] = NO_TEXT);
    }
}

impl Recommender for TextKnn {
    fn n_items(&self) -> usize {
        self.vectors.rows()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        self.score_batch(std::slice::from_ref(request), scores);
    }

    fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        let (n, dim) = (self.n_items().max(1), self.vectors.dim());
        match self.settings.pooling {
            Pooling::Mean => {
                let mut profiles = vec![0.0; requests.len() * dim];
                for (request, profile) in requests.iter().zip(profiles.chunks_exact_mut(dim)) {
                    self.write_profile(&self.speakers(request), profile);
                }
                self.multiply(&profiles, scores);
            }
            Pooling::Max => {
                for (request, row) in requests.iter().zip(scores.chunks_exact_mut(n)) {
                    self.score_max(&self.speakers(request), row);
                }
            }
        }
        scores.chunks_exact_mut(n).for_each(|row| self.sink_textless(row));
    }
}

impl Similar for TextKnn {
    fn similar(&self, item: ItemId, n: usize) -> Vec<Scored> {
        if item.index() >= self.n_items() {
            return Vec::new();
        }
        let mut scores = vec![0.0; self.n_items()];
        self.multiply(self.vectors.row(item.index()), &mut scores);
        let others = self.textless.iter().map(|&other| other as usize);
        others.chain([item.index()]).for_each(|other| scores[other] = f32::NEG_INFINITY);
        if self.has_text(item.index()) { top_k(&scores, n) } else { Vec::new() }
    }
}

impl Evidence for TextKnn {
    fn evidence(&self, request: &Request<'_>, item: ItemId) -> Vec<Contribution> {
        if item.index() >= self.n_items() || !self.has_text(item.index()) {
            return Vec::new();
        }
        let speakers = self.speakers(request);
        let target = self.vectors.row(item.index());
        let cosines =
            speakers.iter().map(|(i, w)| (*i, w * dot(self.vectors.row(i.index()), target)));
        match self.settings.pooling {
            Pooling::Mean => {
                let mut profile = vec![0.0; self.vectors.dim()];
                for (item, weight) in &speakers {
                    for (p, x) in profile.iter_mut().zip(self.vectors.row(item.index())) {
                        *p += weight * x;
                    }
                }
                let length = dot(&profile, &profile).sqrt().max(f32::MIN_POSITIVE);
                contributions(cosines.map(|(item, share)| (item, share / length)))
            }
            Pooling::Max => {
                let best = cosines.max_by(|a, b| a.1.total_cmp(&b.1));
                contributions(best.into_iter())
            }
        }
    }
}

impl Persist for TextKnn {
    fn save(&self) -> Saved {
        let mut saved = with_settings(&self.settings);
        let shape = [self.n_items(), self.vectors.dim()];
        saved.put_f32("vectors", &shape, self.vectors.flat().to_vec());
        self.whitening.put(&mut saved);
        saved
    }

    fn load(mut saved: Saved) -> Result<Self, PersistError> {
        let settings: TextKnnSettings = take_settings(&mut saved)?;
        let (dim, data) = saved.take_matrix("vectors")?;
        let vectors = Vectors::from_flat(dim, data).ok_or_else(|| misfit("vectors"))?;
        let whitening = Whitening::take(settings.whiten, dim, &mut saved)?;
        let (textless, scorer) = (Vec::new(), Scorer::default());
        let mut model = Self { settings, whitening, vectors, textless, scorer };
        model.note(0);
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{HistoriesBuilder, History};
    use tastemaker_testkit::{assert_all_close, assert_close, contract};

    use super::*;

    fn with(pooling: Pooling, whiten: Whiten) -> impl Fn() -> TextKnnSettings {
        move || TextKnnSettings { pooling, whiten, ..Default::default() }
    }

    #[test]
    fn every_form_keeps_the_contracts_and_learns_the_checkerboard() {
        for pooling in [Pooling::Mean, Pooling::Max] {
            for whiten in [Whiten::None, Whiten::Center, Whiten::Full] {
                contract::recommender(with(pooling, whiten));
                contract::evidence(with(pooling, whiten));
            }
            for whiten in [Whiten::None, Whiten::Center] {
                contract::similar(with(pooling, whiten));
                contract::learns_the_checkerboard(with(pooling, whiten));
            }
        }
    }

    fn fitted(settings: TextKnnSettings) -> TextKnn {
        let mut builder = HistoriesBuilder::default();
        builder.push(ItemId(0), 1.0, 0);
        builder.end_user();
        let histories = builder.build();
        // Two axes, the diagonal between them, and an item without text.
        let half = 0.5f32.sqrt();
        let vectors =
            Vectors::from_flat(2, vec![1.0, 0.0, 0.0, 1.0, half, half, 0.0, 0.0]).unwrap();
        let data = TrainData { vectors: Some(&vectors), ..TrainData::new(&histories, 4) };
        Checked::new(settings).unwrap().fit(&data).unwrap()
    }

    const BOTH: History<'_> =
        History { items: &[ItemId(0), ItemId(1)], values: &[1.0; 2], times: &[0, 1] };

    #[test]
    fn the_profile_is_the_weighted_mean_and_items_without_text_come_last() {
        let model = fitted(TextKnnSettings { last: 2, whiten: Whiten::None, ..Default::default() });
        let mut scores = vec![0.0; 4];
        model.score(&Request::new(None, BOTH), &mut scores);
        // P = (1/2, 1) / √1.25.
        let length = 1.25f32.sqrt();
        let diagonal = 1.5 * 0.5f32.sqrt() / length;
        assert_all_close(&scores, &[0.5 / length, 1.0 / length, diagonal, NO_TEXT], 1e-5);
        let reasons = model.evidence(&Request::new(None, BOTH), ItemId(2));
        assert_eq!(reasons[0].because, ItemId(1));
        assert_close(reasons.iter().map(|r| r.weight).sum::<f32>(), scores[2], 1e-5);
    }

    #[test]
    fn with_max_pooling_the_best_match_counts() {
        let max = TextKnnSettings { decay: 0.5, pooling: Pooling::Max, ..Default::default() };
        let model = fitted(TextKnnSettings { whiten: Whiten::None, ..max });
        let mut scores = vec![0.0; 4];
        model.score(&Request::new(None, BOTH), &mut scores);
        assert_all_close(&scores, &[0.5, 1.0, 0.5f32.sqrt(), NO_TEXT], 1e-5);
    }

    #[test]
    fn a_new_item_is_recommendable_at_once_and_a_foreign_vector_is_refused() {
        let mut model = fitted(TextKnnSettings { whiten: Whiten::None, ..Default::default() });
        let new = Vectors::from_flat(2, vec![0.1, 0.995]).unwrap();
        model.add_items(&new).unwrap();
        let list = model.recommend(&Request::new(None, History { items: &[ItemId(1)], ..BOTH }), 1);
        assert_eq!(list[0].item, ItemId(4));
        assert!(model.add_items(&Vectors::zeros(1, 3)).is_err());
    }
}
