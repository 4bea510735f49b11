//! Cached vectors: taken once, kept, shared, and made again when the disk lies.
#![expect(clippy::unwrap_used, reason = "a test that fails, fails loudly")]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use tastemaker_core::{Progress, Silent, Vectors};
use tastemaker_text::{Cached, Encoded, Encoder, Error};
use tempfile::TempDir;

/// Encodes a text as its length and first byte, and counts how many it was given.
#[derive(Default)]
struct Counting {
    name: &'static str,
    encoded: AtomicUsize,
}

impl Encoder for Counting {
    fn id(&self) -> String {
        self.name.to_owned()
    }

    fn dim(&self) -> usize {
        2
    }

    fn encode(&self, texts: &[&str], _progress: &dyn Progress) -> Result<Encoded, Error> {
        self.encoded.fetch_add(texts.len(), Ordering::SeqCst);
        let row =
            |text: &&str| [text.len() as f32, f32::from(*text.as_bytes().first().unwrap_or(&0))];
        let vectors = Vectors::from_flat(2, texts.iter().flat_map(row).collect()).unwrap();
        Ok(Encoded { vectors, truncated: 0, from_cache: 0 })
    }
}

/// Encodes in a process of its own, as it were; returns the vectors and how many texts were encoded and read.
fn run(dir: &Path, name: &'static str, texts: &[&str]) -> (Vectors, usize, usize) {
    let inner = Arc::new(Counting { name, ..Counting::default() });
    let encoded = Cached::new(Arc::clone(&inner), dir).encode(texts, &Silent).unwrap();
    (encoded.vectors, inner.encoded.load(Ordering::SeqCst), encoded.from_cache)
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let folders = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    folders
        .flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .collect()
}

#[test]
fn a_second_run_encodes_nothing_and_a_third_only_what_is_new() {
    let dir = TempDir::new().unwrap();
    let (first, encoded, _) = run(dir.path(), "m", &["one", "two", "one", ""]);
    assert_eq!(encoded, 3, "a text that occurs twice is encoded once");
    assert_eq!(first.flat(), [3.0, 111.0, 3.0, 116.0, 3.0, 111.0, 0.0, 0.0]);
    assert_eq!(run(dir.path(), "m", &["one", "two", "one", ""]), (first, 0, 4));
    let (_, encoded, read) = run(dir.path(), "m", &["two", "three"]);
    assert_eq!((encoded, read), (1, 1));
}

#[test]
fn encoders_of_different_names_share_a_folder_but_nothing_else() {
    let dir = TempDir::new().unwrap();
    run(dir.path(), "m", &["one"]);
    assert_eq!(run(dir.path(), "n", &["one"]).1, 1);
    assert_eq!(run(dir.path(), "m", &["one"]).1, 0);
}

#[test]
fn damaged_records_are_encoded_again() {
    let texts = ["one", "two", "three"];
    for damage in [0usize, 12, 20, 50, 60, 100] {
        let dir = TempDir::new().unwrap();
        let (want, ..) = run(dir.path(), "m", &texts);
        let path = segments(dir.path()).pop().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[damage] ^= 0x40;
        fs::write(&path, &bytes).unwrap();
        let (got, encoded, _) = run(dir.path(), "m", &texts);
        assert!(got == want && encoded > 0, "byte {damage}");
        assert_eq!(run(dir.path(), "m", &texts).1, 0, "byte {damage}: the damage is mended");
    }
}

#[test]
fn a_truncated_or_foreign_file_costs_only_what_it_held() {
    let dir = TempDir::new().unwrap();
    let (want, ..) = run(dir.path(), "m", &["one", "two"]);
    let path = segments(dir.path()).pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    fs::write(path.with_file_name("stray.vectors"), "x").unwrap();
    let (got, encoded, _) = run(dir.path(), "m", &["one", "two"]);
    assert!(got == want);
    assert_eq!(encoded, 1);
}

#[test]
fn many_small_runs_are_merged() {
    let dir = TempDir::new().unwrap();
    let texts: Vec<String> = (0..60).map(|n| format!("text {n}")).collect();
    let inner = Arc::new(Counting { name: "m", ..Counting::default() });
    let cached = Cached::new(Arc::clone(&inner), dir.path());
    for text in &texts {
        cached.encode(&[text], &Silent).unwrap();
    }
    assert!(segments(dir.path()).len() <= 17);
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(run(dir.path(), "m", &all).1, 0);
    assert_eq!(cached.encode(&all, &Silent).unwrap().from_cache, 60);
}

#[test]
fn many_writers_at_once_lose_nothing() {
    let dir = TempDir::new().unwrap();
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (dir, barrier) = (dir.path(), &barrier);
            scope.spawn(move || {
                barrier.wait();
                for round in 0..25 {
                    let own = format!("worker {worker} round {round}");
                    let shared = format!("round {round}");
                    let (vectors, ..) = run(dir, "m", &[&own, &shared]);
                    assert!((vectors.row(0)[0] - own.len() as f32).abs() < 0.5);
                }
            });
        }
    });
    for worker in 0..4 {
        let (vectors, ..) = run(dir.path(), "m", &[&format!("worker {worker} round 3")]);
        assert!((vectors.row(0)[0] - 16.0).abs() < 0.5);
    }
}

#[test]
fn boxed_encoders_are_cached_too_and_a_folder_that_cannot_be_made_loses_no_vectors() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let boxed: Box<dyn Encoder> = Box::new(Counting { name: "m", ..Counting::default() });
    let encoded = Cached::new(boxed, &file).encode(&["one"], &Silent).unwrap();
    assert_eq!((encoded.vectors.rows(), encoded.from_cache), (1, 0));
    assert_eq!(fs::read_to_string(&file).unwrap(), "in the way");
}

/// Hands over one text after the other, from the last to the first, and fails before `fails_at`.
struct InParts {
    fails_at: usize,
}

impl Encoder for InParts {
    fn id(&self) -> String {
        "parts".to_owned()
    }

    fn dim(&self) -> usize {
        1
    }

    fn encode(&self, _texts: &[&str], _progress: &dyn Progress) -> Result<Encoded, Error> {
        unreachable!("a cache asks for parts")
    }

    fn encode_parts(
        &self,
        texts: &[&str],
        _progress: &dyn Progress,
        keep: &mut dyn FnMut(&[usize], &Vectors),
    ) -> Result<usize, Error> {
        for (at, text) in texts.iter().enumerate().rev() {
            if at == self.fails_at {
                return Err(Error::Tokenise { index: at, why: "broken".into() });
            }
            keep(&[at], &Vectors::from_flat(1, vec![text.parse().unwrap()]).unwrap());
        }
        Ok(texts.len())
    }
}

#[test]
fn parts_that_came_before_a_failure_are_kept() {
    let dir = TempDir::new().unwrap();
    let texts: Vec<String> = (0..5000).map(|n| (n / 2).to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let encode = |fails_at| Cached::new(InParts { fails_at }, dir.path()).encode(&texts, &Silent);
    assert!(encode(100).is_err());
    // Of 2500 different texts those from 101 on were kept, and each has two rows.
    let encoded = encode(usize::MAX).unwrap();
    assert_eq!((encoded.from_cache, encoded.truncated), (2 * 2399, 101));
    let wanted: Vec<f32> = (0..5000).map(|n: i32| (n / 2) as f32).collect();
    assert_eq!(encoded.vectors.flat(), wanted);
}

#[test]
fn small_segments_are_merged_and_large_ones_left() {
    let dir = TempDir::new().unwrap();
    let large: Vec<String> = (0..4000).map(|n| n.to_string()).collect();
    let large: Vec<&str> = large.iter().map(String::as_str).collect();
    run(dir.path(), "m", &large);
    let first = segments(dir.path());
    for n in 0..60 {
        run(dir.path(), "m", &[&format!("small {n}")]);
    }
    let all = segments(dir.path());
    assert!(all.contains(&first[0]), "the large one was written over");
    assert!(all.len() <= 16, "{}", all.len());
    assert_eq!(run(dir.path(), "m", &large).1, 0);
    for n in 0..60 {
        assert_eq!(run(dir.path(), "m", &[&format!("small {n}")]).1, 0);
    }
}
