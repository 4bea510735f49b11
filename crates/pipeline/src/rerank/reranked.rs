//! A recommender whose lists have variety, or are mixed as the user likes them.

use std::sync::Arc;

use tastemaker_core::{ItemId, Labels, Recommender, Request, Scored, Vectors, top_k};
use tastemaker_kernels::{Layout, gemm};

use super::calibrate::Balance;
use super::dpp::dpp;
use super::mmr::{Weights, mmr};
use super::settings::{RerankSettings, Variety};

/// Orders the head of a list for variety and mixture.
#[derive(Clone, Debug, Default)]
pub struct Mixer {
    vectors: Option<Arc<Vectors>>,
    labels: Labels,
    settings: RerankSettings,
}

impl Mixer {
    /// Compares items by the cosines of `vectors: [n_items, dim]`; one without a vector is like no other. Without vectors there is no
    /// variety, without labels no calibration.
    pub fn new(
        (vectors, labels): (Option<Arc<Vectors>>, Labels),
        settings: RerankSettings,
    ) -> Self {
        Self { vectors, labels, settings }
    }

    /// Returns how much variety there is.
    pub const fn settings(&self) -> &RerankSettings {
        &self.settings
    }

    /// Returns the places of `head`, best first, in the order in which its items are shown to somebody with this history.
    pub fn order(&self, history: &[ItemId], head: &[Scored]) -> Vec<usize> {
        let head = &head[..head.len().min(self.settings.depth)];
        let (Some(first), Some(last)) = (head.first(), head.last()) else { return Vec::new() };
        let range = (first.score - last.score).max(f32::MIN_POSITIVE);
        let relevance: Vec<f32> = head.iter().map(|s| (s.score - last.score) / range).collect();
        let items: Vec<usize> = head.iter().map(|scored| scored.item.index()).collect();
        let RerankSettings { variety, length, strength, calibration, .. } = self.settings;
        let compared = self.vectors.as_ref().filter(|_| variety != Variety::Off);
        let cosines = compared.map(|vectors| cosines(vectors, &items)).unwrap_or_default();
        let chosen = if variety == Variety::Dpp && !cosines.is_empty() {
            dpp(&relevance, &cosines, length, strength)
        } else {
            let strength = if cosines.is_empty() { 0.0 } else { strength };
            let balance = Balance::new(&self.labels, history);
            let balance = balance.filter(|_| calibration > 0.0);
            mmr(
                (&relevance, &items),
                &cosines,
                length,
                (Weights { strength, calibration }, balance),
            )
        };
        let rest = (0..head.len()).filter(|place| !chosen.contains(place));
        chosen.iter().copied().chain(rest).collect()
    }
}

/// A model with the items at the head of its lists in another order.
///
/// Items take over the scores of the places they come to, so that whoever sorts by score sees the new order.
#[derive(Clone, Debug)]
pub struct Reranked<M> {
    model: M,
    mixer: Mixer,
}

impl<M: Recommender> Reranked<M> {
    /// Lets `mixer` order the heads of a model's lists.
    pub const fn new(model: M, mixer: Mixer) -> Self {
        Self { model, mixer }
    }

    fn reorder(&self, request: &Request<'_>, scores: &mut [f32]) {
        let mut masked = scores.to_vec();
        request.mask(&mut masked);
        let head = top_k(&masked, self.mixer.settings.depth);
        let order = self.mixer.order(request.history.items, &head);
        let mut above = f32::INFINITY;
        for (place, from) in head.iter().zip(order) {
            above = place.score.min(above.next_down());
            scores[head[from].item.index()] = above;
        }
    }
}

impl<M: Recommender> Recommender for Reranked<M> {
    fn n_items(&self) -> usize {
        self.model.n_items()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        self.model.score(request, scores);
        self.reorder(request, scores);
    }

    fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        self.model.score_batch(requests, scores);
        let rows = scores.chunks_exact_mut(self.n_items().max(1));
        requests.iter().zip(rows).for_each(|(request, row)| self.reorder(request, row));
    }
}

/// Returns `[items, items]`.
fn cosines(vectors: &Vectors, items: &[usize]) -> Vec<f32> {
    let (n, dim) = (items.len(), vectors.dim());
    let mut rows = vec![0.0f32; n * dim];
    for (row, &item) in rows.chunks_exact_mut(dim.max(1)).zip(items) {
        if item < vectors.rows() {
            row.copy_from_slice(vectors.row(item));
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.iter_mut().for_each(|x| *x /= length.max(f32::MIN_POSITIVE));
        }
    }
    let mut cosines = vec![0.0; n * n];
    let sides = ((&rows[..], Layout::Plain), (&rows[..], Layout::Transposed));
    gemm((n, n, dim), 1.0, sides.0, sides.1, 0.0, &mut cosines);
    cosines
}

#[cfg(test)]
mod tests {
    use tastemaker_core::History;

    use super::*;

    struct Fixed([f32; 5]);

    impl Recommender for Fixed {
        fn n_items(&self) -> usize {
            5
        }

        fn score(&self, _: &Request<'_>, scores: &mut [f32]) {
            scores.copy_from_slice(&self.0);
        }
    }

    fn list(variety: Variety, depth: usize, request: &Request<'_>) -> Vec<u32> {
        let axes = [[1.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 0.0]];
        let vectors = Vectors::from_flat(2, axes.concat()).unwrap();
        let settings =
            RerankSettings { variety, strength: 0.5, depth, length: 3, ..Default::default() };
        let known = (Some(Arc::new(vectors)), Labels::default());
        let model = Reranked::new(Fixed([5.0, 4.0, 3.0, 2.0, 1.0]), Mixer::new(known, settings));
        model.recommend(request, 5).iter().map(|scored| scored.item.0).collect()
    }

    #[test]
    fn what_differs_comes_forward_within_the_depth() {
        let all = Request::default();
        assert_eq!(list(Variety::Off, 5, &all), [0, 1, 2, 3, 4]);
        for variety in [Variety::Mmr, Variety::Dpp] {
            assert_eq!(list(variety, 3, &all), [0, 2, 1, 3, 4], "{variety:?}");
            assert_eq!(list(variety, 2, &all), [0, 1, 2, 3, 4], "{variety:?}");
            assert_eq!(list(variety, 5, &all)[..2], [0, 2], "{variety:?}");
        }
    }

    #[test]
    fn what_the_user_took_takes_no_part() {
        let seen = [ItemId(0)];
        let request = Request::new(None, History { items: &seen, values: &[1.0], times: &[0] });
        assert_eq!(list(Variety::Mmr, 2, &request), [1, 2, 3, 4]);
        assert_eq!(list(Variety::Mmr, 3, &request), [1, 2, 3, 4]);
    }

    #[test]
    fn impossible_settings_are_named() {
        let settings = RerankSettings { strength: 1.5, depth: 1, length: 0, ..Default::default() };
        let fields: Vec<&str> = settings.faults().iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["strength", "depth", "length"]);
    }
}
