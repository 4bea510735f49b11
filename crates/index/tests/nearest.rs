//! Exact search against the plain definition, the graph against exact search.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use tastemaker_core::{ItemId, Scored, SystemClock, Vectors, seed};
use tastemaker_index::{
    Error, Flat, Hnsw, HnswSettings, Measure, Nearest, Rows, Storage, compare, recall,
};

/// Draws vectors around a few centres, of lengths that differ.
fn clustered(rows: usize, dim: usize, key: u64) -> Vectors {
    let mut rng = seed::stream(key, "around");
    let mut centres = seed::stream(1, "centres");
    let centres: Vec<f32> = (0..50 * dim).map(|_| centres.random_range(-1.0..1.0)).collect();
    let mut flat = Vec::with_capacity(rows * dim);
    for _ in 0..rows {
        let centre = rng.random_range(0..50);
        // Few are long.
        let length = 0.2 + 4.0 * rng.random_range(0.0f32..1.0).powi(4);
        let near = centres[centre * dim..][..dim].iter();
        flat.extend(near.map(|x| length * (x + rng.random_range(-0.4f32..0.4))));
    }
    Vectors::from_flat(dim, flat).unwrap()
}

fn rows(vectors: Vectors) -> Rows {
    let ids = (0..vectors.rows()).map(|row| format!("i{row}")).collect();
    Rows::new(ids, vectors).unwrap()
}

/// All scores in `f64`, sorted.
fn naive(vectors: &Vectors, query: &[f32], measure: Measure) -> Vec<(u32, f64)> {
    let product = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>() + 0.0
    };
    let score = |row: usize| {
        let vector = vectors.row(row);
        let lengths = (product(vector, vector) * product(query, query)).sqrt();
        match measure {
            Measure::Dot => product(query, vector),
            Measure::Cosine if lengths > 0.0 => product(query, vector) / lengths,
            Measure::Cosine => 0.0,
        }
    };
    let mut all: Vec<(u32, f64)> =
        (0..vectors.rows()).map(|row| (row as u32, score(row))).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Small whole numbers, so that products are exact and ties are many.
    #[test]
    fn exact_search_equals_the_plain_definition(
        dim in 1usize..9,
        numbers in prop::collection::vec(-3i8..4, 8..900),
        asked in prop::collection::vec(-3i8..4, 8..300),
        k in 0usize..60,
    ) {
        let whole = |numbers: &[i8]| {
            let n = numbers.len() / dim * dim;
            let flat = numbers[..n].iter().copied().map(f32::from).collect();
            Vectors::from_flat(dim, flat).unwrap()
        };
        let (vectors, queries) = (whole(&numbers), whole(&asked));
        prop_assume!(vectors.rows() > 0);
        let found = Flat::new(rows(vectors.clone()), Measure::Dot).search(&queries, k).unwrap();
        prop_assert_eq!(found.len(), queries.rows());
        for (row, found) in found.iter().enumerate() {
            let want = naive(&vectors, queries.row(row), Measure::Dot);
            let want: Vec<Scored> = want.iter().take(k)
                .map(|&(item, score)| Scored { item: ItemId(item), score: score as f32 }).collect();
            prop_assert_eq!(found, &want);
        }
        let cosines = Flat::new(rows(vectors.clone()), Measure::Cosine).search(&queries, k).unwrap();
        for (row, found) in cosines.iter().enumerate() {
            let want = naive(&vectors, queries.row(row), Measure::Cosine);
            prop_assert_eq!(found.len(), k.min(vectors.rows()));
            for (found, want) in found.iter().zip(want) {
                prop_assert!((f64::from(found.score) - want.1).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn tiles_and_threads_do_not_show() {
    let vectors = clustered(9000, 12, 3);
    let queries = clustered(70, 12, 4);
    let flat = Flat::new(rows(vectors.clone()), Measure::Dot);
    let on = |threads: usize| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| flat.search(&queries, 20).unwrap())
    };
    let found = on(1);
    assert_eq!(found, on(2));
    assert_eq!(found, on(5));
    for (row, found) in found.iter().enumerate() {
        for (found, want) in found.iter().zip(naive(&vectors, queries.row(row), Measure::Dot)) {
            assert!((f64::from(found.score) - want.1).abs() < 1e-4);
        }
    }
}

#[test]
fn the_graph_finds_nearly_all_whatever_the_measure_and_storage() {
    let vectors = clustered(4000, 24, 5);
    let queries = clustered(200, 24, 6);
    for (measure, storage, least) in [
        (Measure::Dot, Storage::F32, 0.95),
        (Measure::Cosine, Storage::F32, 0.95),
        (Measure::Dot, Storage::Bf16, 0.95),
        (Measure::Cosine, Storage::Bf16, 0.95),
        (Measure::Cosine, Storage::I8, 0.90),
    ] {
        let rows = rows(vectors.clone());
        let settings = HnswSettings { storage, ..HnswSettings::default() };
        let index = Hnsw::build(&rows, measure, settings).unwrap();
        let exact = Flat::new(rows, measure);
        let told = compare(&index, &exact, &queries, 10, &SystemClock::default()).unwrap();
        assert!(told.recall >= least, "{measure:?} {storage:?}: {told:?}");
        assert!(told.exact_per_second > 0.0 && told.index_per_second > 0.0);
        // Scores are those of exact search, as far as storage keeps them.
        let near = match storage {
            Storage::F32 => 1e-5,
            Storage::Bf16 => 0.01,
            Storage::I8 => 0.08,
        };
        for (row, found) in index.search(&queries, 10).unwrap().iter().enumerate() {
            assert!(found.is_sorted_by(|a, b| a.better_first(b).is_lt()));
            let want = naive(&vectors, queries.row(row), measure);
            for found in found {
                let want = want.iter().find(|want| want.0 == found.item.0).unwrap().1;
                let distance = (f64::from(found.score) - want).abs() / want.abs().max(1.0);
                assert!(distance < near, "{measure:?} {storage:?}: {found:?} {want}");
            }
        }
    }
}

#[test]
fn products_of_vectors_of_one_length_are_kept_in_a_byte() {
    let mut vectors = clustered(2000, 24, 5);
    vectors.normalise();
    vectors.flat_mut().iter_mut().for_each(|x| *x *= 3.0);
    let (queries, rows) = (clustered(50, 24, 6), rows(vectors.clone()));
    let settings = HnswSettings { storage: Storage::I8, ..HnswSettings::default() };
    let found = Hnsw::build(&rows, Measure::Dot, settings).unwrap().search(&queries, 10).unwrap();
    let want = Flat::new(rows, Measure::Dot).search(&queries, 10).unwrap();
    assert!(recall(&found, &want) >= 0.9, "{}", recall(&found, &want));
    for (found, want) in found.iter().zip(&want) {
        assert!((found[0].score / want[0].score - 1.0).abs() < 0.08, "{found:?} {want:?}");
    }
}

#[test]
fn vectors_however_small_or_large_are_told_apart() {
    for scale in [1e-30f32, 1e-5, 1e5, 1e15] {
        let mut vectors = clustered(1500, 16, 7);
        vectors.flat_mut().iter_mut().for_each(|x| *x *= scale);
        let queries = clustered(50, 16, 8);
        let rows = rows(vectors);
        let index = Hnsw::build(&rows, Measure::Dot, HnswSettings::default()).unwrap();
        let want = Flat::new(rows, Measure::Dot).search(&queries, 10).unwrap();
        let found = recall(&index.search(&queries, 10).unwrap(), &want);
        assert!(found >= 0.95, "{scale}: {found}");
    }
}

#[test]
fn the_same_vectors_make_the_same_graph_on_any_number_of_threads() {
    let home = std::env::temp_dir().join(format!("tastemaker-index-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    let write = |threads: usize| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let path = home.join(threads.to_string());
        pool.install(|| {
            let rows = rows(clustered(800, 8, 9));
            let index = Hnsw::build(&rows, Measure::Dot, HnswSettings::default()).unwrap();
            std::fs::write(&path, index.to_bytes().unwrap()).unwrap();
        });
        std::fs::read(path).unwrap()
    };
    let same = write(1) == write(3);
    std::fs::remove_dir_all(&home).unwrap();
    assert!(same);
}

#[test]
fn odd_sets_are_answered() {
    let zero = rows(Vectors::zeros(3, 2));
    let one = rows(Vectors::from_flat(2, vec![1.0, 2.0]).unwrap());
    let queries = Vectors::from_flat(2, vec![1.0, 1.0, 0.0, 0.0]).unwrap();
    for measure in [Measure::Dot, Measure::Cosine] {
        for set in [&zero, &one] {
            let index = Hnsw::build(set, measure, HnswSettings::default()).unwrap();
            let flat = Flat::new(set.clone(), measure);
            let (got, want) =
                (index.search(&queries, 10).unwrap(), flat.search(&queries, 10).unwrap());
            for (got, want) in got.iter().zip(&want) {
                assert_eq!(got.len(), want.len());
                let near = |(a, b): (&Scored, &Scored)| (a.score - b.score).abs() < 1e-6;
                assert!(got.iter().zip(want).all(near), "{got:?} {want:?}");
            }
            assert!(index.search(&queries, 0).unwrap().iter().all(Vec::is_empty));
            assert_eq!(index.ids(), set.ids());
        }
    }
}

#[test]
fn what_cannot_be_asked_or_built_is_told() {
    let set = rows(clustered(10, 4, 1));
    let flat = Flat::new(set.clone(), Measure::Dot);
    let index = Hnsw::build(&set, Measure::Dot, HnswSettings::default()).unwrap();
    for search in [&flat as &dyn Nearest, &index] {
        let wide = search.search(&Vectors::zeros(1, 5), 3);
        assert!(matches!(wide, Err(Error::Dim { got: 5, want: 4 })));
        let bad = Vectors::from_flat(4, vec![0.0, f32::INFINITY, 0.0, 0.0]).unwrap();
        assert!(matches!(search.search(&bad, 3), Err(Error::NotFinite { row: 0 })));
    }
    let wrong = HnswSettings { connectivity: 1, ef_search: 0, ..HnswSettings::default() };
    let told = Hnsw::build(&set, Measure::Dot, wrong).err().unwrap().to_string();
    assert!(told.contains("`connectivity` must be 2 to 256, is 1"), "{told}");
    assert!(told.contains("`ef_search`"), "{told}");
    let bytes = HnswSettings { storage: Storage::I8, ..HnswSettings::default() };
    let told = Hnsw::build(&set, Measure::Dot, bytes).err().unwrap().to_string();
    assert!(told.contains("`storage` must be `f32` or `bf16`"), "{told}");
}
