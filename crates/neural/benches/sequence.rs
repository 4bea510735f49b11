//! SASRec on a catalogue of the size of ML-1M: an epoch of few users, and the answer for one user, on one thread.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rand::RngExt;
use tastemaker_core::{
    Checked, Histories, HistoriesBuilder, ItemId, Recommender, Request, TrainData, seed,
};
use tastemaker_neural::{Loss, SasrecSettings};

const ITEMS: usize = 3_416;
const USERS: usize = 40;
const EVENTS: usize = 201;

fn histories() -> Histories {
    let mut rng = seed::stream(1, "bench");
    let mut builder = HistoriesBuilder::default();
    for _ in 0..USERS {
        for at in 0..EVENTS {
            let item = (ITEMS as f64 * rng.random::<f64>().powi(2)) as usize;
            builder.push(ItemId::from_index(item), 1.0, at as i64);
        }
        builder.end_user();
    }
    builder.build()
}

fn sequence(criterion: &mut Criterion) {
    let histories = histories();
    let data = TrainData::new(&histories, ITEMS);
    let settings = |loss| {
        let base = SasrecSettings { epochs: 1, max_length: Some(200), ..Default::default() };
        Checked::new(SasrecSettings { loss, batch: Some(2048), ..base })
            .expect("these settings have no faults")
    };
    let mut group = criterion.benchmark_group("sasrec");
    group.sample_size(10);
    let size = format!("items={ITEMS}/length=200/d=64");
    for loss in [Loss::CrossEntropy, Loss::SampledSoftmax] {
        let settings = settings(loss);
        group.bench_function(format!("epoch/{loss:?}/users={USERS}/{size}"), |bencher| {
            bencher.iter(|| black_box(settings.fit(&data)));
        });
    }
    let model = settings(Loss::CrossEntropy).fit(&data).expect("there are events to learn from");
    let request = Request::new(None, histories.row(0));
    let mut scores = vec![0.0; ITEMS];
    group.bench_function(format!("score/{size}"), |bencher| {
        bencher.iter(|| model.score(black_box(&request), &mut scores));
    });
    group.finish();
}

criterion_group!(benches, sequence);
criterion_main!(benches);
