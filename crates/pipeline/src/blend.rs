//! Models that show the scores of their parts before they blend them, so that a pipeline reads candidates off the parts.

use tastemaker_core::{Recommender, Request};

use crate::Fused;
use crate::fused::newest;
use crate::reorder::Head;

/// A model of one or several parts.
pub trait Blend: Recommender {
    /// Names the parts.
    fn part_names(&self) -> Vec<&str>;

    /// Returns every part's scores, on the scale on which they are added, `[parts, n_items]`.
    fn part_rows(&self, request: &Request<'_>) -> Vec<f32>;

    /// Writes the model's own scores, `[n_items]`. `rows` is what [`part_rows`](Self::part_rows) returned; items that `request`
    /// excludes take no place in what is ordered anew.
    fn blend(&self, request: &Request<'_>, rows: &[f32], scores: &mut [f32]);
}

impl<M: Recommender> Blend for Fused<M> {
    fn part_names(&self) -> Vec<&str> {
        self.parts().iter().map(|part| part.name.as_str()).collect()
    }

    fn part_rows(&self, request: &Request<'_>) -> Vec<f32> {
        let n_items = self.n_items().max(1);
        let mut rows = vec![0.0; self.parts().len() * n_items];
        for (part, row) in self.parts().iter().zip(rows.chunks_exact_mut(n_items)) {
            self.normalised(part, std::slice::from_ref(request), row);
        }
        rows
    }

    fn blend(&self, request: &Request<'_>, rows: &[f32], scores: &mut [f32]) {
        let n_items = self.n_items().max(1);
        let weights = self.gate().weights(request.history.len());
        let mut text = vec![0.0; if self.cold().is_empty() { 0 } else { n_items }];
        scores.fill(0.0);
        for ((part, row), weight) in
            self.parts().iter().zip(rows.chunks_exact(n_items)).zip(weights)
        {
            let is_apart = part.reads_text && !self.cold().is_empty();
            let sums = if is_apart { &mut text[..] } else { &mut *scores };
            sums.iter_mut().zip(row).for_each(|(sum, score)| *sum += weight * score);
        }
        if !self.cold().is_empty() {
            self.cold().settle(scores, &text);
        }
        let Some(reorder) = self.reorder().filter(|reorder| reorder.is_at_work()) else { return };
        let short = newest(request);
        let by_newest: Vec<Vec<f32>> = self
            .parts()
            .iter()
            .filter(|part| part.ignores_order)
            .map(|part| {
                let mut row = vec![0.0; n_items];
                self.normalised(part, std::slice::from_ref(&short), &mut row);
                row
            })
            .collect();
        let parts = rows.chunks_exact(n_items).chain(by_newest.iter().map(Vec::as_slice));
        let head = Head::new(request, scores, parts, (reorder.facts(), reorder.depth()));
        head.settle(reorder.forest(), scores);
    }
}

/// A model of one part: itself.
#[derive(Clone, Debug)]
pub struct Alone<M> {
    name: String,
    model: M,
}

impl<M: Recommender> Alone<M> {
    /// Names a model.
    pub fn new(name: impl Into<String>, model: M) -> Self {
        Self { name: name.into(), model }
    }
}

impl<M: Recommender> Recommender for Alone<M> {
    fn n_items(&self) -> usize {
        self.model.n_items()
    }

    fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
        self.model.score(request, scores);
    }

    fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        self.model.score_batch(requests, scores);
    }
}

impl<M: Recommender> Blend for Alone<M> {
    fn part_names(&self) -> Vec<&str> {
        vec![&self.name]
    }

    fn part_rows(&self, request: &Request<'_>) -> Vec<f32> {
        let mut row = vec![0.0; self.model.n_items()];
        self.model.score(request, &mut row);
        row
    }

    fn blend(&self, _: &Request<'_>, rows: &[f32], scores: &mut [f32]) {
        scores.copy_from_slice(rows);
    }
}

impl<B: Blend + ?Sized> Blend for &B {
    fn part_names(&self) -> Vec<&str> {
        (**self).part_names()
    }

    fn part_rows(&self, request: &Request<'_>) -> Vec<f32> {
        (**self).part_rows(request)
    }

    fn blend(&self, request: &Request<'_>, rows: &[f32], scores: &mut [f32]) {
        (**self).blend(request, rows, scores);
    }
}
