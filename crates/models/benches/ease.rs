//! Fit and scores of EASE on generated events.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rand::RngExt;
use tastemaker_core::{
    Checked, Histories, HistoriesBuilder, ItemId, Recommender, Request, TrainData, seed,
};
use tastemaker_models::EaseSettings;

const LENGTH: usize = 100;

fn generated(n_users: usize, n_items: usize) -> Histories {
    let mut rng = seed::stream(0, "bench");
    let mut builder = HistoriesBuilder::default();
    for _ in 0..n_users {
        for at in 0..LENGTH {
            // The square makes some items popular.
            let place = rng.random::<f64>().powi(2) * n_items as f64;
            builder.push(ItemId::from_index(place as usize), 1.0, at as i64);
        }
        builder.end_user();
    }
    builder.build()
}

fn ease(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ease");
    group.sample_size(10);
    for n_items in [1000, 3000] {
        let histories = generated(3000, n_items);
        let data = TrainData::new(&histories, n_items);
        let checked = Checked::new(EaseSettings::default()).expect("the settings have no faults");
        group.bench_function(BenchmarkId::new("fit", n_items), |bencher| {
            bencher.iter(|| checked.fit(&data).expect("there are events"));
        });
        let model = checked.fit(&data).expect("there are events");
        let mut scores = vec![0.0; n_items];
        group.bench_function(BenchmarkId::new("score", n_items), |bencher| {
            bencher.iter(|| model.score(&Request::new(None, histories.row(0)), &mut scores));
        });
    }
    group.finish();
}

criterion_group!(benches, ease);
criterion_main!(benches);
