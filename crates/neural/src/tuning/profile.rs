//! Items by likeness to the newest items of a history: what an encoder under tuning is judged by.

use tastemaker_core::{Recommender, Request};
use tastemaker_kernels::{View, axpy, product};

/// Scores by the cosine of item texts with the weighted mean of a history's newest ones, as `text-knn` does without whitening.
#[derive(Clone, Debug)]
pub struct TextProfile {
    /// Vectors of all items at length 1, `[items, width]`.
    vectors: Vec<f32>,
    width: usize,
    /// How much the newest item counts, the one before it, and so on.
    weights: Vec<f32>,
}

impl TextProfile {
    pub(super) fn new(vectors: Vec<f32>, width: usize, weights: Vec<f32>) -> Self {
        Self { vectors, width, weights }
    }
}

impl Recommender for TextProfile {
    fn n_items(&self) -> usize {
        self.vectors.len() / self.width
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        self.score_batch(std::slice::from_ref(request), scores);
    }

    fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        let (n, width) = (self.n_items(), self.width);
        let mut profiles = vec![0.0; requests.len() * width];
        for (request, profile) in requests.iter().zip(profiles.chunks_exact_mut(width)) {
            let known = request.history.items.iter().rev().filter(|item| item.index() < n);
            for (item, weight) in known.zip(&self.weights) {
                axpy(*weight, &self.vectors[item.index() * width..][..width], profile);
            }
        }
        let items = View::rows(&self.vectors, width).transposed();
        let shape = (requests.len(), n, width);
        product(shape, (1.0, View::rows(&profiles, width), items), 0.0, (scores, n));
    }
}
