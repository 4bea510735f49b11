//! The encoder that learns: the same vectors as the one that reads, gradients against numeric ones, the folder it writes.

use safetensors::Dtype;
use tastemaker_core::Silent;
use tastemaker_text::{
    BertEncoder, BertSettings, BertTokens, Dropout, Encoder, NamedTensor, Pooling, TunableBert,
    TuneBlock, TuneReading, TuneState, Wanted,
};
use tempfile::TempDir;

use crate::tiny::{self, Sizes};
use crate::{TEXTS, folder};

/// Small enough that every number can be moved by itself.
const SMALL: Sizes = Sizes { hidden: 8, layers: 2, heads: 2, inner: 12, positions: 12 };

fn small(pooling: Pooling) -> (TempDir, TunableBert, Vec<f32>) {
    let folder = TempDir::new().unwrap();
    tiny::write_folder(folder.path(), SMALL, &tiny::tensors(SMALL));
    let settings = BertSettings { pooling, ..BertSettings::default() };
    let (bert, weights) = TunableBert::open(folder.path(), &settings).unwrap();
    (folder, bert, weights)
}

pub(crate) fn pooled<'a>(texts: &'a [&'a BertTokens]) -> TuneBlock<'a> {
    TuneBlock { texts, ..TuneBlock::default() }
}

/// The loss `Σ w · vectors`.
pub(super) fn loss(
    (bert, weights): (&TunableBert, &[f32]),
    block: TuneBlock<'_>,
    w: &[f32],
) -> f64 {
    let mut vectors = vec![0.0; w.len()];
    bert.forward(weights, block, &mut TuneState::default(), &mut vectors);
    vectors.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum()
}

pub(super) fn gradients(
    (bert, weights): (&TunableBert, &[f32]),
    (block, w): (TuneBlock<'_>, &[f32]),
    wanted: &Wanted,
) -> Vec<f32> {
    let (mut state, mut vectors) = (TuneState::default(), vec![0.0; w.len()]);
    let mut gradients = vec![0.0; wanted.len()];
    bert.forward(weights, block, &mut state, &mut vectors);
    bert.backward(weights, (block, w), (wanted, &mut gradients), &mut state);
    gradients
}

#[test]
fn it_gives_the_vectors_of_the_encoder_that_reads() {
    let (folder, _) = folder();
    for pooling in [Pooling::Mean, Pooling::Cls] {
        let settings = BertSettings { pooling, normalise: false, ..BertSettings::default() };
        let reads = BertEncoder::open(folder.path(), &settings).unwrap();
        let (bert, weights) = TunableBert::open(folder.path(), &settings).unwrap();
        let texts = TEXTS.map(|(text, _)| text);
        let want = reads.encode(&texts, &Silent).unwrap().vectors;
        let tokens = bert.tokenise(&texts).unwrap();
        let mut got = vec![0.0; want.flat().len()];
        let all: Vec<&BertTokens> = tokens.iter().collect();
        bert.forward(&weights, pooled(&all), &mut TuneState::default(), &mut got);
        for (got, want) in got.iter().zip(want.flat()) {
            assert!((got - want).abs() < 1e-5, "{got} {want}");
        }
    }
}

#[test]
fn gradients_of_every_tensor_equal_numeric_ones() {
    let places = [vec![0, 2], vec![], vec![5, 3, 3]];
    let of_tokens = TuneReading::Tokens(&places);
    for (pooling, reading, rate) in [
        (Pooling::Mean, TuneReading::Pooled, 0.0),
        (Pooling::Cls, TuneReading::Pooled, 0.0),
        (Pooling::Mean, of_tokens, 0.0),
        (Pooling::Mean, TuneReading::Pooled, 0.4),
    ] {
        let (_folder, bert, mut weights) = small(pooling);
        let tokens = bert.tokenise(&["a red film", "books", "the blue sea 电影"]).unwrap();
        let texts: Vec<&BertTokens> = tokens.iter().collect();
        let moves: Vec<f32> = (0..32 * bert.dim()).map(|i| 0.1 * (i as f32 * 0.4).sin()).collect();
        let dropout = Dropout { rate, key: 11, first: 2 };
        let block = TuneBlock { texts: &texts, reading, moves: &moves, dropout };
        let w: Vec<f32> =
            (0..reading.rows(texts.len()) * bert.dim()).map(|i| (i as f32 * 1.3).cos()).collect();
        let wanted = Wanted::new(bert.tensors(), |_| true);
        let got = gradients((&bert, &weights), (block, &w), &wanted);
        assert_eq!(got.len(), weights.len());
        let step = 4e-3;
        for at in 0..weights.len() {
            let mut moved = |by: f32| {
                let old = weights[at];
                weights[at] += by;
                let loss = loss((&bert, &weights), block, &w);
                weights[at] = old;
                loss
            };
            let want = (moved(step) - moved(-step)) / f64::from(2.0 * step);
            let allowed = 4e-3 + 2e-2 * want.abs();
            let error = (f64::from(got[at]) - want).abs();
            let name =
                || bert.tensors().iter().find(|t| t.range.contains(&at)).unwrap().name.clone();
            assert!(error < allowed, "{} {at}: {} {want}", name(), got[at]);
        }
    }
}

#[test]
fn what_is_dropped_of_a_text_does_not_depend_on_the_block_it_is_in() {
    let (_folder, bert, weights) = small(Pooling::Mean);
    let tokens = bert.tokenise(&["a red film", "books", "the blue sea"]).unwrap();
    let texts: Vec<&BertTokens> = tokens.iter().collect();
    let read = |texts: &[&BertTokens], rate, key, first| {
        let dropout = Dropout { rate, key, first };
        let mut out = vec![0.0; texts.len() * bert.dim()];
        let block = TuneBlock { dropout, ..pooled(texts) };
        bert.forward(&weights, block, &mut TuneState::default(), &mut out);
        out
    };
    let whole = read(&texts, 0.3, 9, 4);
    let parts = [read(&texts[..1], 0.3, 9, 4), read(&texts[1..], 0.3, 9, 5)].concat();
    let far =
        |other: &[f32]| whole.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Products of a few rows are added up in another order than those of many.
    assert!(far(&parts) < 1e-5 && far(&read(&texts, 0.3, 9, 4)) < 1e-9);
    assert!(far(&read(&texts, 0.3, 8, 4)) > 1e-2 && far(&read(&texts, 0.0, 9, 4)) > 1e-2);
}

#[test]
fn the_gradient_of_what_the_embeddings_give_equals_the_numeric_one() {
    let (_folder, bert, weights) = small(Pooling::Mean);
    let tokens = bert.tokenise(&["a red film", "books"]).unwrap();
    let texts: Vec<&BertTokens> = tokens.iter().collect();
    let w: Vec<f32> = (0..texts.len() * bert.dim()).map(|i| (i as f32 * 0.7).sin()).collect();
    // Nothing of the encoder is wanted, or its top layer alone: the pass goes down all the same.
    for wanted in [Wanted::new(bert.tensors(), |t| t.layer == Some(1)), Wanted::new(&[], |_| true)]
    {
        let (mut state, mut vectors) = (TuneState::default(), vec![0.0; w.len()]);
        bert.forward(&weights, pooled(&texts), &mut state, &mut vectors);
        let mut gradients = vec![0.0; wanted.len()];
        let wanted = wanted.down_to_embeddings();
        bert.backward(&weights, (pooled(&texts), &w), (&wanted, &mut gradients), &mut state);
        let got = state.embedded_gradient();
        let n: usize = texts.iter().map(|text| text.len()).sum();
        assert_eq!(got.len(), n * bert.dim());
        for (at, got) in got.iter().enumerate() {
            let moved = |by: f32| {
                let mut moves = vec![0.0; n * bert.dim()];
                moves[at] = by;
                loss((&bert, &weights), TuneBlock { moves: &moves, ..pooled(&texts) }, &w)
            };
            let want = (moved(4e-3) - moved(-4e-3)) / 8e-3;
            let error = (f64::from(*got) - want).abs();
            assert!(error < 4e-3 + 2e-2 * want.abs(), "{at}: {got} {want}");
        }
    }
}

#[test]
fn what_is_wanted_alone_gets_the_gradients_it_has_among_all() {
    let (_folder, bert, weights) = small(Pooling::Mean);
    let tokens = bert.tokenise(&["a red film", "books"]).unwrap();
    let texts: Vec<&BertTokens> = tokens.iter().collect();
    let w: Vec<f32> = (0..texts.len() * bert.dim()).map(|i| (i as f32 * 0.7).sin()).collect();
    let block = pooled(&texts);
    let all = gradients((&bert, &weights), (block, &w), &Wanted::new(bert.tensors(), |_| true));
    let choices: [fn(&NamedTensor) -> bool; 4] = [
        |tensor| tensor.name.ends_with(".bias"),
        |tensor| tensor.layer == Some(1),
        |tensor| tensor.part() == "attention.self.value.weight",
        |tensor| tensor.name.ends_with("LayerNorm.weight"),
    ];
    for choice in choices {
        let wanted = Wanted::new(bert.tensors(), choice);
        let some = gradients((&bert, &weights), (block, &w), &wanted);
        for (at, tensor) in bert.tensors().iter().enumerate() {
            assert_eq!(wanted.place(at).is_some(), choice(tensor));
            let Some(place) = wanted.place(at) else { continue };
            for (got, want) in some[place].iter().zip(&all[tensor.range.clone()]) {
                assert!((got - want).abs() < 1e-5, "{}: {got} {want}", tensor.name);
            }
        }
    }
}

#[test]
fn the_written_folder_holds_the_new_weights_and_everything_else_as_it_was() {
    let (folder, mut tensors) = folder();
    let pooler = vec![0.25f32; 4];
    tensors.insert("pooler.dense.bias".into(), (vec![4], pooler.clone()));
    let prefixed = tensors.into_iter().map(|(name, tensor)| (format!("bert.{name}"), tensor));
    let bytes = |x: f32| x.to_le_bytes().to_vec();
    let path = folder.path().join("model.safetensors");
    tiny::write_tensors(&path, &prefixed.collect(), Dtype::F32, bytes);
    let settings = BertSettings::default();
    let (bert, mut weights) = TunableBert::open(folder.path(), &settings).unwrap();
    weights.iter_mut().enumerate().for_each(|(at, x)| *x += 0.1 * (at as f32).sin());
    let out = TempDir::new().unwrap();
    for (name, bytes) in bert.files(&weights, None).unwrap() {
        std::fs::write(out.path().join(name), bytes).unwrap();
    }
    let (_, again) = TunableBert::open(out.path(), &settings).unwrap();
    assert!(again == weights);
    let written = std::fs::read(out.path().join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&written).unwrap();
    let kept: Vec<u8> = pooler.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(file.tensor("bert.pooler.dense.bias").unwrap().data(), kept);
}
