//! Layers of an encoder of `MiniLM`'s size, in every format, on one thread.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tastemaker_kernels::{
    AttentionScratch, HalfAttentionScratch, LinearScratch, LinearWeights, Then, WeightFormat,
    attention, half_attention,
};

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.37).sin()).collect()
}

/// Linear layers on a block of tokens; elements are multiplications.
fn linear(criterion: &mut Criterion) {
    for (rows, inputs, outputs) in [(384, 384, 1152), (96, 384, 1536), (96, 1536, 384)] {
        let (x, weights) = (numbers(rows * inputs), numbers(outputs * inputs));
        let mut group = criterion.benchmark_group(format!("linear/{rows}x{inputs}x{outputs}"));
        group.throughput(Throughput::Elements((rows * inputs * outputs) as u64));
        for format in [WeightFormat::Single, WeightFormat::Half, WeightFormat::Byte] {
            let layer = LinearWeights::new(&weights, vec![0.1; outputs], format);
            let (mut y, mut scratch) = (vec![0.0; rows * outputs], LinearScratch::default());
            group.bench_function(format!("{format:?}"), |b| {
                b.iter(|| layer.apply(&x, &mut y, Then::Write, &mut scratch));
            });
        }
    }
}

/// Attention of one text with 12 heads of 32.
fn attend(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attention");
    for len in [16, 40, 128] {
        let (qkv, mut out) = (numbers(len * 3 * 384), vec![0.0; len * 384]);
        let mut scratch = AttentionScratch::default();
        group.bench_function(BenchmarkId::new("single", len), |b| {
            b.iter(|| attention(&qkv, (12, 384), &mut out, &mut scratch));
        });
        let mut scratch = HalfAttentionScratch::default();
        group.bench_function(BenchmarkId::new("half", len), |b| {
            b.iter(|| half_attention(&qkv, (12, 384), &mut out, &mut scratch));
        });
    }
}

criterion_group!(benches, linear, attend);
criterion_main!(benches);
