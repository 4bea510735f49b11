//! Queries a second: exact search and the graph, over vectors of the shape that models make.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::RngExt as _;
use tastemaker_core::{Vectors, seed};
use tastemaker_index::{Flat, Hnsw, HnswSettings, Measure, Nearest, Rows, Storage};

const DIM: usize = 64;
const QUERIES: usize = 256;

fn random(rows: usize, key: u64) -> Vectors {
    let mut rng = seed::stream(key, "vectors");
    let flat = (0..rows * DIM).map(|_| rng.random_range(-1.0f32..1.0)).collect();
    Vectors::from_flat(DIM, flat).unwrap_or_default()
}

fn nearest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ten nearest");
    group.throughput(Throughput::Elements(QUERIES as u64)).sample_size(10);
    let queries = random(QUERIES, 2);
    for n in [3_500, 30_000] {
        let ids = (0..n).map(|row| row.to_string()).collect();
        let rows = Rows::new(ids, random(n, 1)).expect("drawn numbers are finite");
        for storage in [Storage::F32, Storage::Bf16] {
            let settings = HnswSettings { storage, ..HnswSettings::default() };
            let index = Hnsw::build(&rows, Measure::Dot, settings).expect("the vectors fit");
            group.bench_function(BenchmarkId::new(format!("graph {storage:?}"), n), |bench| {
                bench.iter(|| index.search(&queries, 10));
            });
        }
        let flat = Flat::new(rows, Measure::Dot);
        group.bench_function(BenchmarkId::new("exact", n), |bench| {
            bench.iter(|| flat.search(&queries, 10));
        });
    }
    group.finish();
}

criterion_group!(benches, nearest);
criterion_main!(benches);
