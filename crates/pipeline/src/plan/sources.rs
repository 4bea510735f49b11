//! Candidates that no model gives: what is popular, new, anything, near by text.

use rand::RngExt as _;
use tastemaker_core::{Request, Scored, seed, top_k};

use super::catalogue::Catalogue;
use super::settings::Plain;

/// Newest events whose texts speak.
const NEWEST: usize = 10;

/// Scores items for a source; whatever is not `open` is left out. Of equals the smaller number comes first.
pub(super) fn candidates(
    source: Plain,
    (catalogue, request): (&Catalogue, &Request<'_>),
    open: &[bool],
    (n, seed): (usize, u64),
) -> Vec<Scored> {
    let mut scores = scores(source, catalogue, request, (open.len(), seed));
    for (score, open) in scores.iter_mut().zip(open) {
        if !open || score.is_nan() {
            *score = f32::NEG_INFINITY;
        }
    }
    top_k(&scores, n)
}

fn scores(
    source: Plain,
    catalogue: &Catalogue,
    request: &Request<'_>,
    (n_items, seed): (usize, u64),
) -> Vec<f32> {
    match source {
        Plain::Popular => (0..n_items)
            .map(|item| catalogue.counts.get(item).copied().unwrap_or_default() as f32)
            .collect(),
        Plain::Newest => (0..n_items)
            .map(|item| catalogue.dates.get(item).map_or(f32::NAN, |date| *date as f32))
            .collect(),
        Plain::Random => {
            let mut rng = seed::stream(key(seed, request), "pipeline/random");
            (0..n_items).map(|_| rng.random::<f32>()).collect()
        }
        Plain::Text => near(catalogue, request, n_items),
    }
}

/// A number of its own for each user and history, so that what is drawn stays until something happens.
pub(super) fn key(seed: u64, request: &Request<'_>) -> u64 {
    let user = request.user.map_or(u64::MAX, |user| u64::from(user.0));
    let newest = request.history.items.last().map_or(u64::MAX, |item| u64::from(item.0));
    seed::mix([seed, user, newest, request.history.len() as u64])
}

/// The product of each item's text with the mean of the newest events' texts; nothing without texts.
fn near(catalogue: &Catalogue, request: &Request<'_>, n_items: usize) -> Vec<f32> {
    let Some(vectors) = &catalogue.vectors else { return vec![f32::NAN; n_items] };
    let mut mean = vec![0.0f32; vectors.dim()];
    let known = request.history.last(NEWEST).items.iter().filter(|i| i.index() < vectors.rows());
    for item in known {
        mean.iter_mut().zip(vectors.row(item.index())).for_each(|(sum, x)| *sum += x);
    }
    if mean.iter().all(|x| *x == 0.0) {
        return vec![f32::NAN; n_items];
    }
    let product = |item: usize| match item < vectors.rows() {
        true => vectors.row(item).iter().zip(&mean).map(|(x, y)| x * y).sum(),
        false => f32::NAN,
    };
    (0..n_items).map(product).collect()
}
