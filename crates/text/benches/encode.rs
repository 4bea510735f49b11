//! Encoding short and long texts with random weights of `MiniLM`'s shape.
#![expect(clippy::unwrap_used, reason = "the shared writer of models serves tests")]

#[path = "../tests/bert/tiny.rs"]
mod tiny;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tastemaker_core::Silent;
use tastemaker_text::{BertEncoder, BertSettings, Encoder};
use tiny::Sizes;

fn encode(criterion: &mut Criterion) {
    let minilm = Sizes { hidden: 384, layers: 6, heads: 12, inner: 1536, positions: 512 };
    let folder = tempfile::tempdir().expect("a folder for the model");
    tiny::write_folder(folder.path(), minilm, &tiny::tensors(minilm));
    let encoder = BertEncoder::open(folder.path(), &BertSettings::default()).expect("a good model");
    let mut group = criterion.benchmark_group("encode/minilm/texts=64");
    group.sample_size(10);
    for words in [8, 20, 120] {
        let text = "red film about the sea book blue a ".repeat(words / 8);
        let texts = vec![text.as_str(); 64];
        group.throughput(Throughput::Elements(64));
        group.bench_function(BenchmarkId::new("words", words), |b| {
            b.iter(|| encoder.encode(&texts, &Silent).expect("short texts"));
        });
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
