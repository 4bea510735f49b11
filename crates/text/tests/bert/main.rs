//! The encoder on a tiny model with random weights: against a naive computation, and with damaged files.
#![expect(clippy::unwrap_used, reason = "a test that fails, fails loudly")]

mod damaged;
mod families;
mod fuzz;
mod inspect;
mod lookup;
mod modules;
mod naive;
mod prune;
mod tiny;
mod tuned;
mod windows;

use safetensors::Dtype;
use tastemaker_core::Silent;
use tastemaker_text::{BertEncoder, BertSettings, Encoder, Pooling, Precision};
use tempfile::TempDir;
use tiny::{Sizes, Tensors};

/// The smallest model that has everything.
pub(crate) const TINY: Sizes = Sizes { hidden: 32, layers: 2, heads: 4, inner: 64, positions: 24 };

fn folder() -> (TempDir, Tensors) {
    let (folder, tensors) = (TempDir::new().unwrap(), tiny::tensors(TINY));
    tiny::write_folder(folder.path(), TINY, &tensors);
    (folder, tensors)
}

fn open(folder: &TempDir, settings: &BertSettings) -> BertEncoder {
    BertEncoder::open(folder.path(), settings).unwrap()
}

/// Asserts that a vector is the naive one for these tokens, scaled to length 1.
fn assert_naive(tensors: &Tensors, pooling: Pooling, ids: &[usize], vector: &[f32]) {
    let tokens = naive::forward(tensors, TINY, ids);
    let taken = if pooling == Pooling::Cls { &tokens[..1] } else { &tokens[..] };
    let pooled: Vec<f64> =
        (0..TINY.hidden).map(|i| taken.iter().map(|t| t[i]).sum::<f64>()).collect();
    let length = pooled.iter().map(|x| x * x).sum::<f64>().sqrt();
    for (x, want) in vector.iter().zip(pooled) {
        assert!((f64::from(*x) - want / length).abs() < 2e-6, "{ids:?}: {x} {}", want / length);
    }
}

const TEXTS: [(&str, &[usize]); 5] = [
    ("A red film about the seaside", &[2, 4, 5, 7, 9, 10, 11, 13, 3]),
    ("books", &[2, 8, 12, 3]),
    ("unknown words!", &[2, 1, 1, 1, 3]),
    ("电影", &[2, 14, 15, 3]),
    ("🙂", &[2, 1, 3]),
];

#[test]
fn vectors_equal_the_naive_computation_for_both_poolings() {
    let (folder, tensors) = folder();
    for pooling in [Pooling::Mean, Pooling::Cls] {
        let encoder = open(&folder, &BertSettings { pooling, ..BertSettings::default() });
        let texts = TEXTS.map(|(text, _)| text);
        let encoded = encoder.encode(&texts, &Silent).unwrap();
        assert_eq!((encoded.vectors.rows(), encoded.truncated, encoder.dim()), (5, 0, 32));
        for (row, (_, ids)) in TEXTS.iter().enumerate() {
            assert_naive(&tensors, pooling, ids, encoded.vectors.row(row));
        }
    }
}

#[test]
fn a_long_text_is_cut_and_counted() {
    let (folder, tensors) = folder();
    let long = "red film ".repeat(5000);
    let encoder = open(&folder, &BertSettings { max_tokens: Some(6), ..BertSettings::default() });
    let encoded = encoder.encode(&[&long, "red film red film"], &Silent).unwrap();
    assert_eq!(encoded.truncated, 1);
    assert_naive(&tensors, Pooling::Mean, &[2, 5, 7, 5, 7, 3], encoded.vectors.row(0));
    assert!(encoded.vectors.row(0) == encoded.vectors.row(1));
    // Without a limit of its own the model reads as many tokens as it has positions.
    let encoded = open(&folder, &BertSettings::default()).encode(&[&long], &Silent).unwrap();
    let mut ids = vec![2];
    ids.extend([5, 7].repeat(11));
    ids.push(3);
    assert_naive(&tensors, Pooling::Mean, &ids, encoded.vectors.row(0));
}

#[test]
fn a_text_without_content_gives_zeros() {
    let (folder, _) = folder();
    let encoded = open(&folder, &BertSettings::default())
        .encode(&["", " \n", "red", "\u{200b}"], &Silent)
        .unwrap();
    for row in [0, 1, 3] {
        assert!(encoded.vectors.row(row).iter().all(|x| x.abs() < f32::MIN_POSITIVE), "{row}");
    }
    let length: f32 = encoded.vectors.row(2).iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-5);
    let none = open(&folder, &BertSettings::default()).encode(&[], &Silent).unwrap();
    assert_eq!(none.vectors.rows(), 0);
}

#[test]
fn neighbours_and_threads_do_not_change_a_single_bit() {
    let (folder, _) = folder();
    let encoder = open(&folder, &BertSettings::default());
    let texts: Vec<String> =
        (0..300).map(|n| "the red sea about a film book ".repeat(n % 4) + WORDS[n % 5]).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| encoder.encode(&texts, &Silent).unwrap().vectors)
    };
    let (one, two) = (with(1), with(2));
    assert!(one == two);
    for row in [0, 7, 150, 299] {
        assert!(encoder.encode(&texts[row..=row], &Silent).unwrap().vectors.row(0) == one.row(row));
    }
}

const WORDS: [&str; 5] = ["blue", "sea", "book", "the", "film"];

#[test]
fn names_with_a_prefix_and_half_precision_are_read() {
    let (folder, tensors) = folder();
    let want =
        open(&folder, &BertSettings::default()).encode(&["red film"], &Silent).unwrap().vectors;
    let path = folder.path().join("model.safetensors");
    let prefixed: Tensors =
        tensors.iter().map(|(name, t)| (format!("bert.{name}"), t.clone())).collect();
    tiny::write_tensors(&path, &prefixed, Dtype::F32, |x| x.to_le_bytes().to_vec());
    let again =
        open(&folder, &BertSettings::default()).encode(&["red film"], &Silent).unwrap().vectors;
    assert!(again == want);
    // The upper half of the bits of an f32 is a bf16.
    tiny::write_tensors(&path, &tensors, Dtype::BF16, |x| x.to_le_bytes()[2..].to_vec());
    let rough =
        open(&folder, &BertSettings::default()).encode(&["red film"], &Silent).unwrap().vectors;
    let cosine: f32 = rough.row(0).iter().zip(want.row(0)).map(|(a, b)| a * b).sum();
    assert!(cosine > 0.999 && rough != want);
}

#[test]
fn small_numbers_stay_near_the_full_ones_and_do_not_depend_on_their_neighbours() {
    // Heads of 32 numbers: wide enough for tiles.
    let sizes = Sizes { hidden: 64, layers: 2, heads: 2, inner: 96, positions: 24 };
    let folder = TempDir::new().unwrap();
    tiny::write_folder(folder.path(), sizes, &tiny::tensors(sizes));
    let texts = TEXTS.map(|(text, _)| text);
    let exact = open(&folder, &BertSettings::default()).encode(&texts, &Silent).unwrap().vectors;
    for (precision, least) in [(Precision::Bf16, 0.999), (Precision::Int8, 0.995)] {
        let encoder = open(&folder, &BertSettings { precision, ..BertSettings::default() });
        let all = encoder.encode(&texts, &Silent).unwrap().vectors;
        assert!(all != exact, "{precision:?} rounds");
        for (row, text) in texts.iter().enumerate() {
            let alone = encoder.encode(&[text], &Silent).unwrap().vectors;
            assert!(alone.row(0) == all.row(row), "{precision:?}: {text}");
            let cosine: f32 = exact.row(row).iter().zip(all.row(row)).map(|(a, b)| a * b).sum();
            assert!(cosine > least, "{precision:?}: {cosine}");
        }
    }
}

#[test]
fn the_name_changes_with_everything_vectors_depend_on() {
    let (folder, _) = folder();
    let id = |pooling, max_tokens, normalise| {
        let precision = Precision::F32;
        let rest = BertSettings::default();
        open(&folder, &BertSettings { pooling, max_tokens, normalise, precision, ..rest }).id()
    };
    let base = id(Pooling::Mean, None, true);
    assert_eq!(base, id(Pooling::Auto, None, true));
    let others = [
        id(Pooling::Cls, None, true),
        id(Pooling::Mean, Some(5), true),
        id(Pooling::Mean, None, false),
    ];
    assert!(others.iter().all(|other| *other != base));
    for precision in [Precision::Bf16, Precision::Int8] {
        assert_ne!(
            base,
            open(&folder, &BertSettings { precision, ..BertSettings::default() }).id()
        );
    }
    let mut changed = tiny::tensors(TINY);
    changed.get_mut("embeddings.LayerNorm.bias").unwrap().1[0] += 1.0;
    tiny::write_folder(folder.path(), TINY, &changed);
    assert_ne!(base, id(Pooling::Mean, None, true));
}

#[test]
fn the_folder_says_how_it_is_pooled_and_cut() {
    let (folder, tensors) = folder();
    std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    std::fs::write(
        folder.path().join("1_Pooling/config.json"),
        r#"{"pooling_mode_cls_token": true}"#,
    )
    .unwrap();
    std::fs::write(folder.path().join("sentence_bert_config.json"), r#"{"max_seq_length": 4}"#)
        .unwrap();
    let encoded =
        open(&folder, &BertSettings::default()).encode(&["red film book"], &Silent).unwrap();
    assert_eq!(encoded.truncated, 1);
    assert_naive(&tensors, Pooling::Cls, &[2, 5, 7, 3], encoded.vectors.row(0));
    // As sentence-transformers 5 and later writes it; a vast number says nothing.
    std::fs::write(folder.path().join("sentence_bert_config.json"), "{}").unwrap();
    for (said, cut) in [("4", 1), ("1e30", 0)] {
        let config = format!(r#"{{"model_max_length": {said}}}"#);
        std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        let encoder = open(&folder, &BertSettings::default());
        let encoded = encoder.encode(&["red film book"], &Silent).unwrap();
        assert_eq!(encoded.truncated, cut, "{said}");
    }
}

#[test]
fn tokens_come_without_marks_numbered_in_their_order_with_the_vectors_of_their_words() {
    let (folder, tensors) = folder();
    let encoder = open(&folder, &BertSettings::default());
    let tokens = encoder.tokens(&["books", "", "电影", "books 电影"]).unwrap();
    // Of the vocabulary 8, 12, 14 and 15.
    let rows: [&[u32]; 4] = [&[0, 1], &[], &[2, 3], &[0, 1, 2, 3]];
    assert_eq!((tokens.rows(), tokens.n_tokens()), (&rows.map(<[u32]>::to_vec)[..], 4));
    let (_, words) = tensors.get("embeddings.word_embeddings.weight").unwrap();
    let of = |token: usize| &words[token * TINY.hidden..][..TINY.hidden];
    for (token, word) in [8, 12, 14, 15].into_iter().enumerate() {
        assert_eq!(tokens.vectors().unwrap().row(token), of(word));
    }
    // A cache hands them on.
    let cached = tastemaker_text::Cached::new(encoder, folder.path());
    assert_eq!(cached.tokens(&["电影"]).unwrap().vectors().unwrap().row(1), of(15));
}
