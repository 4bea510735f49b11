//! Fitting a Markov chain and scoring with it, on seeded random histories.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rand::RngExt;
use tastemaker_core::{
    Checked, Histories, HistoriesBuilder, ItemId, Recommender, Request, TrainData, UserId, seed,
};
use tastemaker_models::MarkovSettings;

const USERS: usize = 5_000;
const ITEMS: usize = 3_000;
const EVENTS_PER_USER: usize = 100;

fn histories() -> Histories {
    let mut rng = seed::stream(1, "bench");
    let mut builder = HistoriesBuilder::default();
    for _ in 0..USERS {
        for at in 0..EVENTS_PER_USER {
            let item = (ITEMS as f64 * rng.random::<f64>().powi(2)) as usize;
            builder.push(ItemId::from_index(item), 1.0, at as i64);
        }
        builder.end_user();
    }
    builder.build()
}

fn markov(criterion: &mut Criterion) {
    let histories = histories();
    let data = TrainData::new(&histories, ITEMS);
    let size = format!("users={USERS}/items={ITEMS}/events={}", histories.n_events());
    let settings = Checked::new(MarkovSettings::default()).expect("defaults have no faults");
    let mut group = criterion.benchmark_group("markov");
    group.sample_size(10);
    group.bench_function(format!("fit/{size}"), |bencher| {
        bencher.iter(|| black_box(settings.fit(&data)));
    });
    let model = settings.fit(&data).expect("there are events");
    let mut scores = vec![0.0; ITEMS];
    group.bench_function(format!("score/{size}"), |bencher| {
        bencher.iter(|| {
            let request = Request::new(None, histories.of(UserId(7)));
            model.score(black_box(&request), &mut scores);
        });
    });
    group.finish();
}

criterion_group!(benches, markov);
criterion_main!(benches);
