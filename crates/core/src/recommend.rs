//! What a fitted model can do. [`Recommender`] is kept by all; the others only by models that can.

use std::sync::Arc;

use crate::{ItemId, Request, Scored, UserId, top_k};

/// Ranks items for a user: the one thing that every fitted model can do.
pub trait Recommender: Send + Sync {
    /// Counts the items the model scores: item numbers `0..n_items`.
    fn n_items(&self) -> usize;

    /// Writes a finite score for every item, higher is better; what `scores` held before is lost.
    ///
    /// `scores` has length [`n_items`](Self::n_items). Seen and excluded items are scored like all others.
    /// Items of the history that the model does not know (numbers from `n_items` up) are passed over.
    fn score(&self, request: &Request<'_>, scores: &mut [f32]);

    /// Scores many requests, row after row: `scores` is `[requests, n_items]`.
    ///
    /// Equals [`score`](Self::score) row by row up to rounding; factor models override it with one matrix product.
    /// Runs on the calling thread; callers spread batches over cores.
    fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
        for (request, row) in requests.iter().zip(scores.chunks_exact_mut(self.n_items().max(1))) {
            self.score(request, row);
        }
    }

    /// Writes the scores of some items alone, each below [`n_items`](Self::n_items), with or without repetition.
    ///
    /// Equals what [`score`](Self::score) gives them up to rounding; models that need not score all override it.
    fn score_items(&self, request: &Request<'_>, items: &[ItemId], scores: &mut [f32]) {
        let mut all = vec![0.0; self.n_items()];
        self.score(request, &mut all);
        scores.iter_mut().zip(items).for_each(|(score, item)| *score = all[item.index()]);
    }

    /// Returns up to `n` items, best first, without the seen and the excluded.
    fn recommend(&self, request: &Request<'_>, n: usize) -> Vec<Scored> {
        let mut scores = vec![0.0; self.n_items()];
        self.score(request, &mut scores);
        request.mask(&mut scores);
        top_k(&scores, n)
    }
}

macro_rules! delegate {
    ($($pointer:ty),+) => { $(
        impl<M: Recommender + ?Sized> Recommender for $pointer {
            fn n_items(&self) -> usize {
                (**self).n_items()
            }

            fn score(&self, request: &Request<'_>, scores: &mut [f32]) {
                (**self).score(request, scores);
            }

            fn score_batch(&self, requests: &[Request<'_>], scores: &mut [f32]) {
                (**self).score_batch(requests, scores);
            }

            fn score_items(&self, request: &Request<'_>, items: &[ItemId], scores: &mut [f32]) {
                (**self).score_items(request, items, scores);
            }
        }
    )+ };
}

delegate!(Arc<M>, &M);

/// Finds items like an item.
pub trait Similar {
    /// Returns up to `n` items most like `item`, best first, without `item` itself.
    fn similar(&self, item: ItemId, n: usize) -> Vec<Scored>;
}

/// One event of the history that speaks for an item, and how strongly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contribution {
    /// The item of the history.
    pub because: ItemId,
    /// Its share in the score, on the model's own scale; larger speaks louder, negative speaks against.
    pub weight: f32,
}

/// Says which events of the history a score rests on.
pub trait Evidence {
    /// Returns the contributions to the score of `item`, strongest first; empty when the history says nothing of it.
    ///
    /// An item that occurs twice in the history is named once, with both its shares.
    fn evidence(&self, request: &Request<'_>, item: ItemId) -> Vec<Contribution>;
}

/// Puts users and items into one space, in which the score is the product of two vectors, up to rounding.
///
/// So whoever holds the vectors can rank without the model, as an index of nearest neighbours does.
pub trait Embed: Recommender {
    /// Counts the numbers of a vector.
    fn vector_dim(&self) -> usize;

    /// Writes the vector of an item, of length [`vector_dim`](Self::vector_dim); returns whether there is one.
    ///
    /// An item without a vector is one of which nothing is known: the model ranks it behind all that have one.
    fn write_item_vector(&self, item: ItemId, vector: &mut [f32]) -> bool;

    /// Writes the vectors of those who ask, row after row, and says for whom there is one.
    ///
    /// Somebody without a vector is one of whom nothing is known: the model does not rank by products then.
    fn write_user_vectors(&self, requests: &[Request<'_>], vectors: &mut [f32]) -> Vec<bool>;
}

/// Predicts a rating.
pub trait Rate {
    /// Returns the expected rating on the scale of the training data; falls back to averages for the unknown.
    fn rate(&self, user: Option<UserId>, item: ItemId) -> f32;
}

/// What is expected to come of an item.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prediction {
    /// Probability of what the model was trained to tell, where that is a yes or a no.
    pub probability: Option<f32>,
    /// Expected rating, where the model was trained to tell that.
    pub rating: Option<f32>,
}

/// Predicts what comes of showing an item, on a scale that means something.
pub trait Predict: Recommender {
    /// Returns a prediction for each of `items`, each below [`n_items`](Recommender::n_items).
    ///
    /// A model that learnt from events and drawn items tells how likely each item is the next one among all that the user has
    /// not taken; one that learnt from ratings, how likely the rating reaches what counts as liked.
    fn predict(&self, request: &Request<'_>, items: &[ItemId]) -> Vec<Prediction>;
}
