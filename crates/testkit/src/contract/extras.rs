//! Suites for what only some models can do: similar items, and evidence for a score.

use tastemaker_core::{Embed, Evidence, Fit, ItemId, Recommender, Request, Similar, top_k};

use super::recommender::fitted;
use crate::{Checkerboard, assert_close, is_close, tiny};

/// Asks of a model that finds similar items: best first, never the item itself, its own colour on the checkerboard.
///
/// # Panics
/// When the model does not keep its contract.
pub fn similar<S>(settings: impl Fn() -> S)
where
    S: Fit,
    S::Model: Similar,
{
    let world = tiny(1);
    let model = fitted(settings(), &world.data());
    for item in 0..world.n_items {
        let item = ItemId::from_index(item);
        let all = model.similar(item, world.n_items * 2);
        assert!(all.len() < world.n_items, "every other item at most once");
        assert!(all.is_sorted_by(|a, b| a.better_first(b).is_lt()), "best first: {all:?}");
        assert!(all.iter().all(|s| s.item != item && s.score.is_finite()));
        assert_eq!(model.similar(item, 3), all[..all.len().min(3)], "fewer are the first");
    }
    assert!(model.similar(ItemId(u32::MAX), 3).is_empty(), "an unknown item is like no other");

    let board = Checkerboard::default();
    let model = fitted(settings(), &board.world.data());
    for item in &board.withheld {
        let first = model.similar(*item, 1);
        assert_eq!(first.first().map(|s| s.item.0 % 2), Some(item.0 % 2), "same colour: {item:?}");
    }
}

/// Asks of a model that gives evidence: only events of the history, each item once, strongest first; and it is
/// faithful: without the item named first, the score falls.
///
/// # Panics
/// When the model does not keep its contract.
pub fn evidence<S>(settings: impl Fn() -> S)
where
    S: Fit,
    S::Model: Evidence,
{
    let world = tiny(1);
    let model = fitted(settings(), &world.data());
    let mut faithful = 0;
    for row in 2..world.histories.n_users() {
        let request = world.request(row);
        for best in model.recommend(&request, 5) {
            let reasons = model.evidence(&request, best.item);
            assert!(reasons.is_sorted_by(|a, b| a.weight >= b.weight), "strongest first");
            for (at, reason) in reasons.iter().enumerate() {
                assert!(reason.weight.is_finite());
                assert!(request.history.items.contains(&reason.because), "from the history");
                assert!(reasons[..at].iter().all(|r| r.because != reason.because), "once each");
            }
            let Some(first) = reasons.first().filter(|r| r.weight > 0.0) else { continue };
            faithful += usize::from(score_without(&model, &request, first.because, best.item));
        }
    }
    assert!(faithful > 0, "some list of the tiny world rests on evidence that can be taken away");
    assert!(model.evidence(&Request::default(), ItemId(0)).is_empty(), "no history, no evidence");
    assert!(model.evidence(&world.request(2), ItemId(u32::MAX)).is_empty(), "unknown item");
}

/// Asks of a model with vectors: products are its scores, for whoever has a vector, and rank like them; items without one come last.
///
/// # Panics
/// When the model does not keep its contract.
pub fn embed<S>(settings: impl Fn() -> S)
where
    S: Fit,
    S::Model: Embed,
{
    let world = tiny(1);
    let model = fitted(settings(), &world.data());
    let (n_items, dim) = (model.n_items(), model.vector_dim());
    let mut items = vec![0.0; n_items * dim];
    let rows = items.chunks_exact_mut(dim).enumerate();
    let known: Vec<bool> =
        rows.map(|(item, row)| model.write_item_vector(ItemId::from_index(item), row)).collect();
    assert!(known.contains(&true), "some item has a vector");
    assert!(!model.write_item_vector(ItemId(u32::MAX), &mut vec![0.0; dim]), "an unknown item");
    let mut requests: Vec<Request<'_>> =
        (0..world.histories.n_users()).map(|row| world.request(row)).collect();
    let stranger = Request { user: None, ..requests[5] };
    requests.extend([stranger, Request::default()]);
    let mut users = vec![0.0; requests.len() * dim];
    let told = model.write_user_vectors(&requests, &mut users);
    assert_eq!(told.len(), requests.len());
    assert!(told[2..world.histories.n_users()].iter().all(|&told| told), "who took items");
    for (request, user) in
        requests.iter().zip(users.chunks_exact(dim)).zip(told).filter(|x| x.1).map(|x| x.0)
    {
        let mut scores = vec![0.0; n_items];
        model.score(request, &mut scores);
        let mut products = vec![f32::NEG_INFINITY; n_items];
        let mut least = f32::INFINITY;
        for (item, vector) in items.chunks_exact(dim).enumerate().filter(|(item, _)| known[*item]) {
            let product: f64 =
                user.iter().zip(vector).map(|(u, v)| f64::from(*u) * f64::from(*v)).sum();
            products[item] = product as f32;
            assert_close(products[item], scores[item], 1e-4);
            least = least.min(scores[item]);
        }
        let unknown = scores.iter().zip(&known).filter(|(_, known)| !**known);
        assert!(unknown.into_iter().all(|(score, _)| *score < least), "unknown items come last");
        request.mask(&mut products);
        let by_products: Vec<f32> =
            top_k(&products, n_items).iter().map(|s| scores[s.item.index()]).collect();
        let falls = |a: f32, b: f32| a >= b || is_close(a.into(), b.into(), 1e-4);
        assert!(by_products.windows(2).all(|pair| falls(pair[0], pair[1])), "ranked alike");
    }
}

/// Tells whether the score of `item` falls once all events with `because` have been replaced by nothing.
fn score_without<M: Recommender>(
    model: &M,
    request: &Request<'_>,
    because: ItemId,
    item: ItemId,
) -> bool {
    // An item number beyond the catalogue keeps the places of all other events.
    let items: Vec<ItemId> = (request.history.items.iter())
        .map(|&i| if i == because { ItemId(u32::MAX) } else { i })
        .collect();
    let history = tastemaker_core::History { items: &items, ..request.history };
    let score = |request: &Request<'_>| {
        let mut scores = vec![0.0; model.n_items()];
        model.score(request, &mut scores);
        scores[item.index()]
    };
    score(&Request { history, ..*request }) < score(request)
}
