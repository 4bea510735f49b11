//! One iteration of iALS on generated events, with and without a long history in every row.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rand::RngExt;
use tastemaker_core::{Checked, Histories, HistoriesBuilder, ItemId, TrainData, seed};
use tastemaker_models::IalsSettings;

fn generated((n_users, n_items, length): (usize, usize, usize)) -> Histories {
    let mut rng = seed::stream(0, "bench");
    let mut builder = HistoriesBuilder::default();
    for _ in 0..n_users {
        for at in 0..length {
            // The square makes some items popular.
            let place = rng.random::<f64>().powi(2) * n_items as f64;
            builder.push(ItemId::from_index(place as usize), 1.0, at as i64);
        }
        builder.end_user();
    }
    builder.build()
}

fn iteration(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ials/iteration");
    group.sample_size(10);
    for (n_users, n_items, length) in [(3000, 3000, 100), (20_000, 12_000, 8)] {
        let histories = generated((n_users, n_items, length));
        for factors in [64, 256] {
            let settings = IalsSettings { factors, iterations: 1, ..IalsSettings::default() };
            let checked = Checked::new(settings).expect("the settings have no faults");
            let id = format!("{n_users}x{n_items}x{length}/{factors}");
            group.bench_function(BenchmarkId::from_parameter(id), |bencher| {
                let data = TrainData::new(&histories, n_items);
                bencher.iter(|| checked.fit(&data).expect("there are events"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, iteration);
criterion_main!(benches);
