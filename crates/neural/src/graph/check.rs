//! The gradient of the whole objective, through propagation, against central differences of a plain version in `f64`.

use tastemaker_core::{Histories, HistoriesBuilder, ItemId, Recommender, Request, TrainData};

use super::adjacency::Graph;
use super::learner::GraphLearner;
use super::settings::{GraphLoss, LightGcnSettings};

const DIM: usize = 3;

/// Seven users, nine items, two of which nobody took.
fn learner_of(settings: LightGcnSettings, use_it: impl FnOnce(GraphLearner<'_>, &Histories)) {
    let mut builder = HistoriesBuilder::default();
    for user in 0..7u32 {
        for step in 0..(1 + user * 5 % 4) {
            builder.push(ItemId((user * 3 + step * step) % 7), 1.0, 0);
        }
        builder.end_user();
    }
    let histories = builder.build();
    let learner = GraphLearner::new(&TrainData::new(&histories, 9), &settings)
        .map(|learner| use_it(learner, &histories));
    learner.expect("nine items fit into memory");
}

/// Computes `Σ_k α_k Â^k e` with a dense matrix.
fn passed_on(graph: &Graph, shares: &[f32], e: &[f64]) -> Vec<f64> {
    let degrees: Vec<usize> = graph.degrees().collect();
    let n = degrees.len();
    let mut adjacency = vec![0.0; n * n];
    for user in 0..graph.n_users() {
        for &item in graph.items_of(user) {
            let item = graph.n_users() + item as usize;
            let weight = 1.0 / ((degrees[user] * degrees[item]) as f64).sqrt();
            adjacency[user * n + item] = weight;
            adjacency[item * n + user] = weight;
        }
    }
    let mut layer = e.to_vec();
    let mut sum = vec![0.0; e.len()];
    for &share in shares {
        sum.iter_mut().zip(&layer).for_each(|(sum, x)| *sum += f64::from(share) * x);
        let at = |row: usize, d: usize| {
            (0..n).map(|other| adjacency[row * n + other] * layer[other * DIM + d]).sum()
        };
        layer = (0..n * DIM).map(|place| at(place / DIM, place % DIM)).collect();
    }
    sum
}

/// Returns mean loss and penalty of some users.
fn naive(learner: &GraphLearner<'_>, (users, events, key): (&[u32], usize, u64), e: &[f64]) -> f64 {
    let objective = learner.objective(events, key);
    let graph = &learner.graph;
    let z = passed_on(graph, &learner.shares, e);
    let score = |user: u32, item: u32| -> f64 {
        let (u, i) = (user as usize * DIM, (graph.n_users() + item as usize) * DIM);
        (0..DIM).map(|d| z[u + d] * z[i + d]).sum()
    };
    let mut loss = 0.0;
    for (lane, users) in objective.split(users).into_iter().enumerate() {
        let drawn = objective.draw(lane, 0);
        for &user in users {
            for &item in graph.items_of(user as usize) {
                let others = drawn.iter().filter(|&&other| other != item);
                loss += match objective.loss {
                    GraphLoss::CrossEntropy => {
                        let all = 0..graph.n_items() as u32;
                        all.map(|other| (score(user, other) - score(user, item)).exp())
                            .sum::<f64>()
                            .ln()
                    }
                    GraphLoss::SampledSoftmax => {
                        let shift = |other| f64::from(objective.draws.shift(other, drawn.len()));
                        let term = |&other: &u32| {
                            (score(user, other) + shift(other) - score(user, item)).exp()
                        };
                        others.map(term).sum::<f64>().ln_1p()
                    }
                    GraphLoss::Bpr => {
                        let n = others.clone().count().max(1) as f64;
                        let term =
                            |&other: &u32| (score(user, other) - score(user, item)).exp().ln_1p();
                        others.map(term).sum::<f64>() / n
                    }
                };
            }
        }
    }
    let penalty = |(at, x): (usize, &f64)| 0.5 * f64::from(learner.pulls[at / DIM]) * x * x;
    loss / events as f64 + e.iter().enumerate().map(penalty).sum::<f64>()
}

#[test]
fn the_gradient_of_every_loss_goes_all_the_way_through_the_layers() {
    for loss in [GraphLoss::Bpr, GraphLoss::SampledSoftmax, GraphLoss::CrossEntropy] {
        for (layers, weights) in [(1, None), (3, None), (2, Some(vec![0.5, 0.0, 2.0]))] {
            let settings = LightGcnSettings {
                dim: DIM,
                layers,
                layer_weights: weights,
                loss: Some(loss),
                negatives: 4,
                regularization: 0.3,
                ..LightGcnSettings::default()
            };
            learner_of(settings, |mut learner, _| {
                learner.own.iter_mut().for_each(|x| *x *= 8.0);
                let users: &[u32] = &[5, 0, 3, 6, 1];
                let events = users.iter().map(|&u| learner.graph.items_of(u as usize).len()).sum();
                let got = learner.backward(users, events, 77);
                let point: Vec<f64> = learner.own.iter().map(|x| f64::from(*x)).collect();
                let at = |point: &[f64]| naive(&learner, (users, events, 77), point);
                let penalty =
                    |(at, x): (usize, &f64)| f64::from(learner.pulls[at / DIM]) * x * x / 2.0;
                let penalty: f64 = point.iter().enumerate().map(penalty).sum();
                assert!((got + penalty - at(&point)).abs() < 1e-4, "{loss:?}: {got}");
                for (place, got) in learner.vectors.iter().enumerate() {
                    let moved = |by: f64| {
                        let mut point = point.clone();
                        point[place] += by;
                        at(&point)
                    };
                    let want = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    let error = (f64::from(*got) - want).abs();
                    assert!(
                        error < 1e-5 + 1e-3 * want.abs(),
                        "{loss:?} {layers} {place}: {got}, not {want}"
                    );
                }
            });
        }
    }
}

#[test]
fn a_history_gives_the_layers_that_were_passed_on_to_the_user() {
    let settings = LightGcnSettings {
        dim: DIM,
        layer_weights: Some(vec![3.0, 1.0, 2.0, 4.0]),
        recency: Some(0.0),
        ..LightGcnSettings::default()
    };
    learner_of(settings, |learner, histories| {
        let (graph, shares) = (&learner.graph, &learner.shares);
        let own: Vec<f64> = learner.own.iter().map(|x| f64::from(*x)).collect();
        let z = passed_on(graph, shares, &own);
        let model = learner.model();
        for (user, history) in histories.iter().enumerate() {
            let mut scores = vec![0.0; 9];
            model.score(&Request::new(None, history), &mut scores);
            for (at, &item) in graph.known.iter().enumerate() {
                let item_at = (graph.n_users() + at) * DIM;
                let want: f64 = (0..DIM)
                    .map(|d| {
                        let u = user * DIM + d;
                        (z[u] - f64::from(shares[0]) * own[u]) * z[item_at + d]
                    })
                    .sum();
                let got = f64::from(scores[item as usize]);
                assert!((got - want).abs() < 1e-6, "user {user}, item {item}: {got}, not {want}");
            }
        }
    });
}
