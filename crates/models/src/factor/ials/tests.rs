//! iALS by hand, exactness of the solvers, and folding in.

use tastemaker_core::{
    Checked, Evidence, Fit, Histories, HistoriesBuilder, History, ItemId, Recommender, Request,
    Shape, TrainData, UserId,
};
use tastemaker_testkit::{World, assert_all_close, assert_close, contract, tiny};

use super::{Ials, IalsSettings, Solver};

fn small() -> IalsSettings {
    IalsSettings { factors: 8, ..IalsSettings::default() }
}

fn fit(settings: IalsSettings, histories: &Histories, n_items: usize) -> Ials {
    let data = TrainData { seed: 1, ..TrainData::new(histories, n_items) };
    Checked::new(settings).unwrap().fit(&data).unwrap()
}

fn scores(model: &Ials, request: &Request<'_>) -> Vec<f32> {
    let mut scores = vec![0.0; model.n_items()];
    model.score(request, &mut scores);
    scores
}

#[test]
fn keeps_the_contracts() {
    contract::recommender(small);
    contract::recommender(|| IalsSettings {
        solver: Solver::Cholesky,
        use_values: true,
        ..small()
    });
    // As many factors as colours: with more, a world so small is learnt by heart.
    let two = || IalsSettings { factors: 2, ..IalsSettings::default() };
    contract::learns_the_checkerboard(two);
    contract::similar(two);
    contract::embed(two);
    contract::evidence(small);
}

#[test]
fn one_user_and_one_item_by_hand() {
    let mut builder = HistoriesBuilder::default();
    builder.push(ItemId(0), 1.0, 0);
    builder.end_user();
    let histories = builder.build();
    // c = 1 + 3 = 4. At the minimum of 4 (1 - xy)² + x² + y², x² = y² and 4 (1 - xy) y = x, so xy = 3/4.
    let settings = IalsSettings {
        factors: 1,
        iterations: 60,
        alpha: 3.0,
        regularisation: 1.0,
        exponent: 0.0,
        ..IalsSettings::default()
    };
    let model = fit(settings, &histories, 1);
    assert_close(scores(&model, &Request::new(None, histories.row(0)))[0], 0.75, 1e-2);
}

/// The objective at the head of the module, with every user at their best and `exponent` 0.
fn objective(model: &Ials, settings: &IalsSettings, world: &World) -> f32 {
    let squares = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>();
    let items = (0..world.n_items).filter_map(|i| model.item_vector(ItemId::from_index(i)));
    let mut sum = settings.regularisation * items.map(squares).sum::<f32>();
    for row in 1..world.histories.n_users() {
        let history = world.histories.row(row);
        sum += settings.regularisation * squares(&model.fold_in_user(history));
        let scores = scores(model, &Request::new(None, history));
        sum += (scores.iter().enumerate())
            .map(|(i, score)| match history.items.contains(&ItemId::from_index(i)) {
                true => (1.0 + settings.alpha) * (1.0 - score).powi(2),
                false => score.powi(2),
            })
            .sum::<f32>();
    }
    sum
}

#[test]
fn conjugate_gradients_come_as_low_as_exact_solutions() {
    let world = tiny(3);
    let settings = IalsSettings { regularisation: 1.0, exponent: 0.0, recency: 0.0, ..small() };
    let reached = |settings: IalsSettings| {
        let model = fit(settings.clone(), &world.histories, world.n_items);
        objective(&model, &settings, &world)
    };
    let first = reached(IalsSettings { iterations: 1, ..settings });
    let conjugate = reached(settings.clone());
    let exact = reached(IalsSettings { solver: Solver::Cholesky, ..settings });
    assert!(conjugate < 0.95 * first && exact < 0.95 * first, "{first} {conjugate} {exact}");
    assert_close(conjugate, exact, 0.02);
}

#[test]
fn a_folded_in_user_solves_the_system_of_the_paper() {
    let world = tiny(3);
    let settings = IalsSettings { recency: 0.0, exponent: 0.5, ..small() };
    let model = fit(settings.clone(), &world.histories, world.n_items);
    let history = world.histories.row(4);
    let x = model.fold_in_user(history);
    // (YᵀY + λI + Σ α y yᵀ) x = Σ (1 + α) y over the distinct items.
    let y = |i: usize| model.item_vector(ItemId::from_index(i)).unwrap();
    let along = |i: usize| y(i).iter().zip(&x).map(|(a, b)| a * b).sum::<f32>();
    let mut distinct: Vec<usize> = history.items.iter().map(|i| i.index()).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let penalty = settings.regularisation
        * (world.n_items as f32 + settings.alpha * distinct.len() as f32).sqrt();
    let mut left: Vec<f32> = x.iter().map(|x| penalty * x).collect();
    let mut right = vec![0.0; x.len()];
    for i in 0..world.n_items {
        let taken = f32::from(u8::from(distinct.contains(&i)));
        for c in 0..x.len() {
            left[c] += (1.0 + settings.alpha * taken) * along(i) * y(i)[c];
            right[c] += (1.0 + settings.alpha) * taken * y(i)[c];
        }
    }
    assert_all_close(&left, &right, 1e-3);
}

#[test]
fn evidence_adds_up_to_the_score() {
    let world = tiny(3);
    for recency in [0.0, 0.8] {
        let settings = IalsSettings { recency, ..small() };
        let model = fit(settings, &world.histories, world.n_items);
        for row in 2..world.histories.n_users() {
            let request = world.request(row);
            for (item, score) in scores(&model, &request).into_iter().enumerate() {
                let reasons = model.evidence(&request, ItemId::from_index(item));
                let sum: f32 = reasons.iter().map(|reason| reason.weight).sum();
                if !reasons.is_empty() {
                    assert_close(sum, score, 1e-3);
                }
            }
        }
    }
}

#[test]
fn an_item_that_was_not_there_comes_close_to_its_vector_of_the_fit() {
    let world = tiny(3);
    let settings = IalsSettings { iterations: 40, ..small() };
    let mut model = fit(settings, &world.histories, world.n_items);
    let item = ItemId(0);
    let users = world.histories.iter().enumerate();
    let takers: Vec<(UserId, f32)> = users
        .filter(|(_, history)| history.items.contains(&item))
        .map(|(user, _)| (UserId::from_index(user), 1.0))
        .collect();
    let again = model.fold_in_item(&takers);
    assert_all_close(&again, model.item_vector(item).unwrap(), 0.05);
    let added = model.add_item(&takers);
    assert_eq!(added.index(), world.n_items);
    assert_eq!(scores(&model, &world.request(3)).len(), world.n_items + 1);
    assert!(model.fold_in_item(&[(UserId(u32::MAX), 1.0)]).iter().all(|x| x.abs() < 1e-6));
}

#[test]
fn who_has_no_history_gets_what_the_mean_user_would() {
    let world = tiny(3);
    let model = fit(small(), &world.histories, world.n_items);
    let average = scores(&model, &Request::default());
    assert!(average.iter().any(|score| score.abs() > 1e-6));
    let items = [ItemId(u32::MAX)];
    let strange = History { items: &items, values: &[1.0], times: &[0] };
    assert_all_close(&scores(&model, &Request::new(None, strange)), &average, 1e-6);
}

#[test]
fn impossible_settings_are_faults_and_the_grid_has_none() {
    let bad = IalsSettings {
        factors: 0,
        iterations: 0,
        alpha: -1.0,
        regularisation: f32::NAN,
        exponent: 9.0,
        recency: -0.1,
        solver: Solver::ConjugateGradient { steps: 0 },
        ..IalsSettings::default()
    };
    assert_eq!(bad.faults().len(), 7);
    let shape = Shape { n_users: 1000, n_items: 500, n_events: 20_000 };
    let grid = IalsSettings::default().grid(&shape);
    assert!((4..=8).contains(&grid.len()) && grid.iter().all(|s| s.faults().is_empty()));
    assert_eq!(grid[0], IalsSettings::default());
    let huge = Shape { n_events: 500_000_000, ..shape };
    assert_eq!(IalsSettings::default().grid(&huge).len(), 1);
}
