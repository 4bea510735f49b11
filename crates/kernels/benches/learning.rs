//! What a step of a sequence model spends its time on: softmax cross-entropy over a catalogue, and causal attention, both forward
//! and backward on one thread. To see that no compiler flag is needed, compare with `RUSTFLAGS="-C target-cpu=native"`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tastemaker_kernels::{
    CrossEntropy, ItemTable, LossScratch, PairBias, Precision, SelfAttention, SelfAttentionScratch,
};

const DIM: usize = 64;
const POSITIONS: usize = 256;

fn numbers(n: usize, step: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * step).sin()).collect()
}

fn cross_entropy(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cross_entropy");
    for n_items in [3_416, 12_101] {
        let (vectors, hidden) = (numbers(n_items * DIM, 0.37), numbers(POSITIONS * DIM, 0.73));
        let targets: Vec<u32> = (0..POSITIONS).map(|p| (p * 13 % n_items) as u32).collect();
        let (mut d_hidden, mut d_vectors) = (vec![0.0; hidden.len()], vec![0.0; vectors.len()]);
        for precision in [Precision::Fast, Precision::Single] {
            let mut table = ItemTable::new(precision);
            table.refill(&vectors, DIM);
            let mut scratch = LossScratch::default();
            let loss =
                CrossEntropy { table: &table, vectors: &vectors, targets: &targets, weight: 1e-3 };
            let name = format!("{precision:?}/items={n_items}/positions={POSITIONS}/d={DIM}");
            group.bench_function(name, |bencher| {
                bencher.iter(|| loss.step(&hidden, &mut d_hidden, &mut d_vectors, &mut scratch));
            });
        }
    }
    group.finish();
}

fn attention(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attention");
    let heads = 2;
    for len in [50, 200] {
        let qkv = numbers(len * 3 * DIM, 0.37);
        let (mut out, mut weights) = (vec![0.0; len * DIM], vec![0.0; heads * len * len]);
        let mut d_qkv = vec![0.0; qkv.len()];
        let mut scratch = SelfAttentionScratch::default();
        let kinds: Vec<u8> = (0..len * len).map(|i| (i * i % 32) as u8).collect();
        let by_kind = numbers(heads * 32, 0.11);
        let timed = PairBias { kinds: &kinds, bias: &by_kind };
        for (name, pairs) in [("causal", PairBias::default()), ("causal with kinds", timed)] {
            let attention = SelfAttention { heads, causal: true, bias: &[], pairs };
            let mut d_pairs = vec![0.0; pairs.bias.len()];
            group.bench_function(format!("{name}/length={len}/d={DIM}/heads={heads}"), |bencher| {
                bencher.iter(|| {
                    attention.forward(black_box(&qkv), &mut out, &mut weights, &mut scratch);
                    let into = (&mut d_qkv[..], [&mut [][..], &mut d_pairs]);
                    attention.backward((&qkv, &weights), &out, into, &mut scratch);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, cross_entropy, attention);
criterion_main!(benches);
