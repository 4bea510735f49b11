//! What every model must keep, whatever it has learnt, and what every model that learns from others must find.

use rayon::ThreadPoolBuilder;
use tastemaker_core::{
    Checked, Fit, FitError, Histories, HistoriesBuilder, History, ItemId, Persist, Recommender,
    Request, Scored, TrainData, UserId,
};

use super::persist;
use crate::{Checkerboard, World, assert_all_close, tiny};

/// Fits admitted settings.
///
/// # Panics
/// When the settings have faults or the fit fails.
#[track_caller]
pub(super) fn fitted<S: Fit>(settings: S, data: &TrainData<'_>) -> S::Model {
    let checked = Checked::new(settings).expect("settings under test have no faults");
    checked.fit(data).expect("the model can be fitted on this world")
}

/// Asks of a model everything that holds for all models.
///
/// # Panics
/// When the model does not keep its contract.
pub fn recommender<S>(settings: impl Fn() -> S)
where
    S: Fit + Clone + Send + Sync,
    S::Model: Persist,
{
    assert!(settings().faults().is_empty(), "the settings under test have no faults");
    for entry in settings().grid(&tastemaker_core::Shape { n_users: 9, n_items: 9, n_events: 9 }) {
        assert!(entry.faults().is_empty(), "every entry of the grid has no faults");
    }
    let world = tiny(1);
    let model = fitted(settings(), &world.data());
    answers_are_sound(&model, &world);
    same_seed_same_model(&settings, &world, &model);
    persist::comes_back(&world, &model);
    nothing_to_learn_is_an_error(settings());
    let lonely = world_of_one_item();
    one_item_is_enough(&fitted(settings(), &lonely.data()), &lonely);
}

/// Asks of a model that is not made by [`Fit`] all that holds for the answers of every model; `fit` makes it for a world.
///
/// # Panics
/// When the model does not keep its contract.
pub fn answers<M: Recommender>(fit: impl Fn(&World) -> M) {
    let world = tiny(1);
    answers_are_sound(&fit(&world), &world);
    let lonely = world_of_one_item();
    one_item_is_enough(&fit(&lonely), &lonely);
}

fn answers_are_sound<M: Recommender>(model: &M, world: &World) {
    assert_eq!(model.n_items(), world.n_items);
    with_requests(world, |requests| {
        lists_are_in_order(model, requests);
        batch_equals_single(model, requests);
        exclusion_holds(model, requests);
    });
    unknown_items_are_passed_over(model, world);
    whoever_saw_it_all_gets_nothing(model);
}

/// Asks that the withheld item of the checkerboard come first for every user, and for a stranger with the same history.
///
/// # Panics
/// When another item comes first.
pub fn learns_the_checkerboard<S: Fit>(settings: impl Fn() -> S) {
    let board = Checkerboard::default();
    let model = fitted(settings(), &board.world.data());
    for (row, withheld) in board.withheld.iter().enumerate() {
        let known = board.world.request(row);
        for request in [known, Request { user: None, ..known }] {
            let first = model.recommend(&request, 1);
            assert_eq!(
                first.first().map(|s| s.item),
                Some(*withheld),
                "first answer for row {row} as {:?}",
                request.user
            );
        }
    }
}

/// Lends one request of each kind: known, stranger, beyond the end, no history, seen allowed.
pub(super) fn with_requests(world: &World, use_them: impl FnOnce(&[Request<'_>])) {
    let mut requests = Vec::new();
    for row in [0, 1, 2, 17, 59] {
        let known = world.request(row);
        let stranger = Request { user: None, ..known };
        let beyond = Request { user: Some(UserId(1_000_000)), ..known };
        let blank = Request { history: History::default(), ..known };
        let again = Request { keep_seen: true, ..known };
        requests.extend([known, stranger, beyond, blank, again]);
    }
    requests.push(Request::default());
    use_them(&requests);
}

fn scores<M: Recommender>(model: &M, request: &Request<'_>) -> Vec<f32> {
    let mut scores = vec![f32::NAN; model.n_items()];
    model.score(request, &mut scores);
    assert!(scores.iter().all(|s| s.is_finite()), "scores are finite for {request:?}");
    scores
}

fn lists_are_in_order<M: Recommender>(model: &M, requests: &[Request<'_>]) {
    for request in requests {
        scores(model, request);
        let all = model.recommend(request, model.n_items() * 10 + 7);
        assert!(all.len() <= model.n_items(), "no item twice");
        assert!(all.is_sorted_by(|a, b| a.better_first(b).is_lt()), "best first: {all:?}");
        let seen = if request.keep_seen { &[] } else { request.history.items };
        assert!(all.iter().all(|s| !seen.contains(&s.item)), "seen items stay out");
        let mut distinct = seen.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(all.len(), model.n_items() - distinct.len(), "every unseen item can be had");
        assert_eq!(model.recommend(request, 5), all[..all.len().min(5)], "fewer are the first");
        assert!(model.recommend(request, 0).is_empty(), "none when none are asked for");
    }
}

fn batch_equals_single<M: Recommender>(model: &M, requests: &[Request<'_>]) {
    let mut batch = vec![f32::NAN; requests.len() * model.n_items()];
    model.score_batch(requests, &mut batch);
    for (request, row) in requests.iter().zip(batch.chunks_exact(model.n_items())) {
        assert_all_close(row, &scores(model, request), 1e-4);
    }
    model.score_batch(&[], &mut []);
}

fn exclusion_holds<M: Recommender>(model: &M, requests: &[Request<'_>]) {
    for request in requests {
        let banned: Vec<ItemId> = model.recommend(request, 3).iter().map(|s| s.item).collect();
        let mut exclude = banned.clone();
        exclude.push(ItemId(u32::MAX));
        let asked = Request { exclude: &exclude, ..*request };
        let left = model.recommend(&asked, model.n_items());
        assert!(left.iter().all(|s| !banned.contains(&s.item)), "excluded items stay out");
    }
}

fn unknown_items_are_passed_over<M: Recommender>(model: &M, world: &World) {
    let known = world.histories.row(2);
    let n_items = u32::try_from(model.n_items()).expect("a tiny world is small");
    let mut builder = HistoriesBuilder::default();
    builder.extend(known);
    for item in [n_items, n_items + 5, u32::MAX] {
        builder.push(ItemId(item), 1.0, 1_900_000_000);
    }
    builder.end_user();
    for item in [n_items, u32::MAX] {
        builder.push(ItemId(item), 5.0, 1);
    }
    builder.end_user();
    let strange: Histories = builder.build();
    for row in 0..2 {
        scores(model, &Request::new(None, strange.row(row)));
        scores(model, &Request::new(Some(UserId(2)), strange.row(row)));
    }
}

fn whoever_saw_it_all_gets_nothing<M: Recommender>(model: &M) {
    let mut builder = HistoriesBuilder::default();
    for item in 0..model.n_items() {
        builder.push(ItemId::from_index(item), 1.0, item as i64);
    }
    builder.end_user();
    let all = builder.build();
    for user in [None, Some(UserId(3))] {
        let list: Vec<Scored> = model.recommend(&Request::new(user, all.row(0)), 10);
        assert!(list.is_empty(), "nothing is left for a user who has seen everything: {list:?}");
    }
}

fn same_seed_same_model<S>(settings: &impl Fn() -> S, world: &World, model: &S::Model)
where
    S: Fit + Send + Sync,
    S::Model: Persist,
{
    for threads in [1, 2] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.expect("threads can be started");
        let checked = Checked::new(settings()).expect("settings under test have no faults");
        let again = pool.install(|| checked.fit(&world.data()));
        let again = again.expect("the model can be fitted on this world");
        with_requests(world, |requests| {
            for request in requests {
                assert_eq!(
                    bits(&scores(model, request)),
                    bits(&scores(&again, request)),
                    "same seed, same bits, with {threads} threads"
                );
            }
        });
    }
}

pub(super) fn bits(scores: &[f32]) -> Vec<u32> {
    scores.iter().map(|s| s.to_bits()).collect()
}

fn nothing_to_learn_is_an_error<S: Fit>(settings: S) {
    let mut world = tiny(1);
    world.histories = Histories::default();
    let checked = Checked::new(settings).expect("settings under test have no faults");
    let outcome = checked.fit(&world.data());
    assert!(matches!(outcome, Err(FitError::NoEvents)), "no events: NoEvents is due");
}

fn world_of_one_item() -> World {
    let mut world = tiny(1);
    let mut builder = HistoriesBuilder::default();
    for _ in 0..2 {
        builder.push(ItemId(0), 3.0, 1_600_000_000);
        builder.end_user();
    }
    builder.end_user();
    world.histories = builder.build();
    world.n_items = 1;
    let mut vectors = tastemaker_core::Vectors::zeros(1, world.vectors.dim());
    vectors.row_mut(0).copy_from_slice(world.vectors.row(0));
    world.vectors = vectors;
    let rows = world.tokens.rows()[..1].to_vec();
    let (n_tokens, vectors) = (world.tokens.n_tokens(), world.tokens.vectors().cloned());
    world.tokens =
        tastemaker_core::Tokens::new(rows, n_tokens, vectors).expect("some of good tokens");
    world
}

fn one_item_is_enough<M: Recommender>(model: &M, world: &World) {
    scores(model, &world.request(0));
    assert!(model.recommend(&world.request(0), 5).is_empty(), "the only item is seen");
    let list = model.recommend(&world.request(2), 5);
    assert_eq!(list.len(), 1, "the only item is there for a newcomer");
}
