//! Texts longer than the model reads: in windows, or shortened to their main sentences.

use tastemaker_core::Silent;
use tastemaker_text::{BertEncoder, BertSettings, Encoder, Error, Pooling, Summary};

use crate::tiny::Tensors;
use crate::{TINY, assert_naive, folder, naive, open};

fn settings(windows: usize, overlap: usize) -> BertSettings {
    BertSettings { windows, overlap, max_tokens: Some(6), ..BertSettings::default() }
}

/// The mean of the naive vectors of windows, weighted by their tokens, of length 1.
fn averaged(tensors: &Tensors, windows: &[&[usize]]) -> Vec<f64> {
    let mut sums = vec![0.0; TINY.hidden];
    for ids in windows {
        for token in naive::forward(tensors, TINY, ids) {
            sums.iter_mut().zip(token).for_each(|(sum, x)| *sum += x);
        }
    }
    let length = sums.iter().map(|x| x * x).sum::<f64>().sqrt();
    sums.into_iter().map(|x| x / length).collect()
}

#[test]
fn windows_of_a_long_text_are_averaged_by_their_tokens() {
    let (folder, tensors) = folder();
    // Ten words: four, four and two between marks.
    let text = "a red film about the sea a blue book about";
    let cases: [(usize, usize, &[&[usize]], usize); 4] = [
        (3, 0, &[&[2, 4, 5, 7, 9, 3], &[2, 10, 11, 4, 6, 3], &[2, 8, 9, 3]], 0),
        (2, 0, &[&[2, 4, 5, 7, 9, 3], &[2, 10, 11, 4, 6, 3]], 1),
        (1, 0, &[&[2, 4, 5, 7, 9, 3]], 1),
        (3, 1, &[&[2, 4, 5, 7, 9, 3], &[2, 9, 10, 11, 4, 3], &[2, 4, 6, 8, 9, 3]], 0),
    ];
    for (windows, overlap, ids, cut) in cases {
        let encoder = open(&folder, &settings(windows, overlap));
        let encoded = encoder.encode(&["red", text, "", "blue film"], &Silent).unwrap();
        let want = averaged(&tensors, ids);
        for (x, want) in encoded.vectors.row(1).iter().zip(want) {
            assert!((f64::from(*x) - want).abs() < 2e-6, "{windows} {overlap}: {x} {want}");
        }
        assert_eq!(encoded.truncated, cut, "{windows} {overlap}");
        assert_naive(&tensors, Pooling::Mean, &[2, 5, 3], encoded.vectors.row(0));
        assert_naive(&tensors, Pooling::Mean, &[2, 6, 7, 3], encoded.vectors.row(3));
        assert!(encoded.vectors.row(2).iter().all(|x| x.abs() < f32::MIN_POSITIVE));
    }
}

#[test]
fn windows_and_summaries_change_the_name_and_bad_ones_are_refused() {
    let (folder, _) = folder();
    let id = |settings: &BertSettings| open(&folder, settings).id();
    let short = BertSettings { summary: Summary::Textrank, ..settings(1, 0) };
    let all = [id(&settings(1, 0)), id(&settings(2, 0)), id(&settings(2, 1)), id(&short)];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[at + 1..].contains(one), "{one}");
    }
    for (windows, overlap, field) in [(0, 0, "windows"), (65, 0, "windows"), (2, 4, "overlap")] {
        let error = BertEncoder::open(folder.path(), &settings(windows, overlap)).unwrap_err();
        assert!(
            matches!(error, Error::Setting { field: told, .. } if told == field),
            "{windows} {overlap}: {error}"
        );
    }
}

#[test]
fn a_long_text_is_shortened_to_its_main_sentences_and_counts_as_cut_only_when_one_is_too_long() {
    let (folder, tensors) = folder();
    let settings = BertSettings {
        max_tokens: Some(12),
        summary: Summary::Textrank,
        ..BertSettings::default()
    };
    let encoder = open(&folder, &settings);
    // Stops are unknown tokens, 1. The first and third share words; the second is like none. Ten tokens fit.
    let texts = [
        "Red film sea. A blue book. The red film seas.",
        "Red film. Sea.",
        "red film sea blue book red film sea blue book a a a a",
    ];
    let encoded = encoder.encode(&texts, &Silent).unwrap();
    assert_eq!(encoded.truncated, 1, "the last is one sentence");
    assert_naive(
        &tensors,
        Pooling::Mean,
        &[2, 5, 7, 11, 1, 10, 5, 7, 11, 12, 1, 3],
        encoded.vectors.row(0),
    );
    assert_naive(&tensors, Pooling::Mean, &[2, 5, 7, 1, 11, 1, 3], encoded.vectors.row(1));
    assert_naive(
        &tensors,
        Pooling::Mean,
        &[2, 5, 7, 11, 6, 8, 5, 7, 11, 6, 8, 3],
        encoded.vectors.row(2),
    );
}
