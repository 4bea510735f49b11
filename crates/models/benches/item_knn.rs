//! Fitting item-kNN with few and many neighbours, on seeded random histories.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rand::RngExt;
use tastemaker_core::{Checked, Histories, HistoriesBuilder, ItemId, TrainData, seed};
use tastemaker_models::{ItemKnnSettings, Measure};

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

fn item_knn(criterion: &mut Criterion) {
    let histories = histories();
    let data = TrainData::new(&histories, ITEMS);
    let mut group = criterion.benchmark_group("item_knn");
    group.sample_size(10);
    for measure in [Measure::Cosine, Measure::Bm25] {
        for neighbours in [20, 500] {
            let settings = ItemKnnSettings { measure, neighbours, ..ItemKnnSettings::default() };
            let settings = Checked::new(settings).expect("these settings have no faults");
            let size = format!("users={USERS}/items={ITEMS}/k={neighbours}");
            group.bench_function(format!("{measure:?}/{size}"), |bencher| {
                bencher.iter(|| black_box(settings.fit(&data)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, item_knn);
criterion_main!(benches);
