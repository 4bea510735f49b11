//! Word vectors from files: formats, weights by hand, damaged files.
#![expect(clippy::unwrap_used, reason = "a test that fails, fails loudly")]

use std::path::PathBuf;

use proptest::prelude::*;
use tastemaker_core::Silent;
use tastemaker_text::{Encoder, WordEncoder, WordVectors};
use tempfile::TempDir;

const WORDS: [(&str, [f32; 2]); 4] =
    [("the", [9.0, 9.0]), ("Film", [1.0, 0.0]), ("sea", [0.0, 2.0]), ("电影", [-1.0, 0.5])];

fn put(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn text(header: &str) -> Vec<u8> {
    let lines = WORDS.iter().map(|(word, [a, b])| format!("{word} {a} {b}\n"));
    format!("{header}{}", lines.collect::<String>()).into_bytes()
}

fn binary(gap: &str) -> Vec<u8> {
    let mut bytes = b"4 2\n".to_vec();
    for (word, numbers) in WORDS {
        bytes.extend(word.as_bytes());
        bytes.push(b' ');
        numbers.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
        bytes.extend(gap.as_bytes());
    }
    bytes
}

fn npy(numbers: &[f32], shape: &str) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    numbers.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
    bytes
}

#[test]
fn all_formats_give_the_same_vectors() {
    let folder = TempDir::new().unwrap();
    let open = |name: &str, bytes: &[u8]| {
        let encoder = WordEncoder::new(WordVectors::open(&put(&folder, name, bytes)).unwrap());
        encoder.encode(&["film and sea", "电影"], &Silent).unwrap().vectors
    };
    let want = open("glove.txt", &text(""));
    assert_eq!(open("w2v.txt", &text("4 2\n")), want);
    assert_eq!(open("fast.vec", &text("4 2\n")), want);
    assert_eq!(open("w2v.bin", &binary("")), want);
    assert_eq!(open("lines.BIN", &binary("\n")), want);
    let flat: Vec<f32> = WORDS.iter().flat_map(|(_, numbers)| *numbers).collect();
    let words = WORDS.map(|(word, _)| word.to_owned()).to_vec();
    let path = put(&folder, "m.npy", &npy(&flat, "(4, 2)"));
    let encoder = WordEncoder::new(WordVectors::of_npy(words, &path).unwrap());
    assert_eq!(encoder.encode(&["film and sea", "电影"], &Silent).unwrap().vectors, want);
}

#[test]
fn a_text_is_the_weighted_sum_of_its_words_by_hand() {
    let folder = TempDir::new().unwrap();
    let path = put(&folder, "glove.txt", &text(""));
    let encoder = WordEncoder::new(WordVectors::open(&path).unwrap());
    // Stop words say nothing, unknown words are passed over; case does not count.
    let encoded =
        encoder.encode(&["The FILM, unknown film of the Sea", "the of", ""], &Silent).unwrap();
    // Shares are 1/n over 1 + 1/2 + 1/3 + 1/4 = 25/12: .24 for the second, .16 for the third; weights .001 / (.001 + p).
    let (film, sea) = (0.001 / 0.241, 0.001 / 0.161);
    let (x, y) = (2.0 * film, 2.0 * sea);
    let length = f32::hypot(x, y);
    let [a, b] = encoded.vectors.row(0) else { panic!("two numbers") };
    assert!((a - x / length).abs() < 1e-6 && (b - y / length).abs() < 1e-6, "{a} {b}");
    assert!((1..3).all(|row| encoded.vectors.row(row).iter().all(|x| x.abs() < f32::MIN_POSITIVE)));
    let tokens = encoder.tokens(&["sea film", "电影 sea"]).unwrap();
    let rows: [&[u32]; 2] = [&[1, 0], &[2, 1]];
    assert_eq!(tokens.rows(), rows);
    assert_eq!(tokens.vectors().unwrap().row(2), [-1.0, 0.5]);
    let other = put(&folder, "other.txt", b"film 1 0\n");
    assert_ne!(encoder.id(), WordEncoder::new(WordVectors::open(&other).unwrap()).id());
}

#[test]
fn a_word_may_hold_spaces() {
    let folder = TempDir::new().unwrap();
    let path = put(&folder, "glove.txt", b"film 1 0\n. . 0 1\n");
    assert_eq!(WordVectors::open(&path).unwrap().len(), 2);
}

#[test]
fn damaged_files_are_told_by_line_and_word() {
    let folder = TempDir::new().unwrap();
    let mut short = binary("");
    short.truncate(short.len() - 3);
    let long = format!("film 1 0\n{}", "x".repeat(200_000));
    let wide = format!("film{}", " 1".repeat(5000));
    for (name, bytes, told) in [
        ("a.txt", &b"film 1 0\nsea 1\n"[..], "line 2"),
        ("a.txt", b"film 1 0\nsea 1 x\n", "line 2"),
        ("a.txt", b"film 1 0\n\xff\xfe 1 0\n", "line 2 is not UTF-8"),
        ("a.txt", b"3 2\nfilm 1 0\n", "first line says 3"),
        ("a.txt", b"99999999999 2\nfilm 1 0\n", "at most"),
        ("a.txt", b"film 1 nan\n", "`film`"),
        ("a.txt", b"", "no word vectors"),
        ("a.txt", long.as_bytes(), "line 2 is longer"),
        ("a.txt", wide.as_bytes(), "at most"),
        ("a.bin", &short, "word 4 of 4"),
        ("a.bin", b"no head", "line 1"),
        ("a.bin", b"4000000 300\nfilm ", "too few"),
        ("a.bin", b"9999999999 3000\n", "at most"),
    ] {
        let error = WordVectors::open(&put(&folder, name, bytes)).unwrap_err().to_string();
        assert!(error.contains(told) && error.contains(name), "{error}");
    }
    for (bytes, told) in [
        (npy(&[1.0; 4], "(2, 3)"), "another number of bytes"),
        (npy(&[1.0; 6], "(3, 2)"), "3 vectors for 2 words"),
        (npy(&[], "(2, 0)"), "for 2 words"),
        (npy(&[1.0; 4], "(4,)"), "no NumPy file"),
        (npy(&[1.0; 4], "(99999999999999999999, 2)"), "no NumPy file"),
        (b"PK".to_vec(), "no NumPy file"),
    ] {
        let words = vec!["a".to_owned(), "b".to_owned()];
        let error = WordVectors::of_npy(words, &put(&folder, "m.npy", &bytes)).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_damage_is_a_panic(kind in 0..3usize, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let folder = TempDir::new().unwrap();
        let (name, mut bytes) = [("a.txt", text("4 2\n")), ("a.bin", binary("\n")), ("a.npy", npy(&[1.0; 8], "(4, 2)"))][kind].clone();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let path = put(&folder, name, &bytes);
        let opened = if kind == 2 {
            WordVectors::of_npy(WORDS.map(|(word, _)| word.to_owned()).to_vec(), &path)
        } else {
            WordVectors::open(&path)
        };
        if let Ok(vectors) = opened {
            let encoded = WordEncoder::new(vectors).encode(&["film sea"], &Silent).unwrap();
            prop_assert!(encoded.vectors.flat().iter().all(|x| x.is_finite()));
        }
    }
}
