//! TF-IDF on texts whose likeness is known.
#![expect(clippy::unwrap_used, reason = "a test that fails, fails loudly")]

use proptest::prelude::*;
use tastemaker_core::{Persist, Silent, Vectors};
use tastemaker_text::{Encoder, Error, TfIdf, TfIdfSettings};

/// Six topics with words of their own, many texts each.
fn corpus() -> Vec<String> {
    let topics = [
        "space rocket alien planet star galaxy",
        "murder detective police clue suspect alibi",
        "love wedding romance kiss heart couple",
        "sword dragon wizard castle magic quest",
        "football coach stadium match goal referee",
        "电影 科幻 太空 机器人 外星人 宇宙飞船",
    ];
    let pick = |topic: &str, n: usize| {
        let words: Vec<&str> = topic.split(' ').collect();
        (0..4).map(|i| words[(n * 5 + i * (1 + n % 5)) % 6]).collect::<Vec<_>>().join(" ")
    };
    (0..120).map(|n| format!("The {} of number{n}", pick(topics[n % 6], n / 6))).collect()
}

fn fit(texts: &[String], settings: &TfIdfSettings) -> TfIdf {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    TfIdf::fit(&texts, settings, 1).unwrap()
}

fn settings() -> TfIdfSettings {
    TfIdfSettings { dim: 6, ngrams: 1, ..TfIdfSettings::default() }
}

fn cosine(vectors: &Vectors, a: usize, b: usize) -> f32 {
    vectors.row(a).iter().zip(vectors.row(b)).map(|(x, y)| x * y).sum()
}

#[test]
fn texts_on_one_topic_are_close_even_without_a_word_in_common() {
    let model = fit(&corpus(), &settings());
    let texts =
        ["a rocket", "some planets", "the detective", "宇宙飞船", "外星人", "", "zzz unheard"];
    let encoded = model.encode(&texts, &Silent).unwrap();
    assert_eq!(model.dim(), 6);
    assert!(cosine(&encoded.vectors, 0, 1) > 0.9, "space and space");
    assert!(cosine(&encoded.vectors, 3, 4) > 0.9, "Chinese words of one topic");
    assert!(cosine(&encoded.vectors, 0, 2).abs() < 0.2, "space and crime");
    assert!(
        encoded
            .vectors
            .row(5)
            .iter()
            .chain(encoded.vectors.row(6))
            .all(|x| x.abs() < f32::MIN_POSITIVE)
    );
}

#[test]
fn enough_dimensions_keep_the_plain_cosine() {
    // Two texts share one of two terms each. All idf are equal by symmetry, so cos = 1/2.
    let texts = ["apple banana", "banana cherry", "cherry apple"].map(str::to_owned);
    let model =
        fit(&texts, &TfIdfSettings { dim: 3, min_df: 1, ngrams: 1, max_df: 1.0, ..settings() });
    let encoded = model.encode(&["apple banana", "banana cherry"], &Silent).unwrap();
    assert!((cosine(&encoded.vectors, 0, 1) - 0.5).abs() < 1e-4);
}

#[test]
fn terms_are_named_as_they_were_written_heaviest_first() {
    let texts =
        ["rare Galaxies shine", "stars shine", "stars shine", "galaxies shine"].map(str::to_owned);
    let model = fit(&texts, &TfIdfSettings { min_df: 1, ngrams: 1, ..settings() });
    let terms = model.terms("galaxy, shining stars galaxies and nothing else");
    let names: Vec<&str> = terms.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["galaxies", "stars", "shine"]);
    // galaxi: (1 + ln 2) * (ln(5/3) + 1) = 2.5581; star: ln(5/3) + 1 = 1.5108; shine: ln(5/5) + 1 = 1.
    let length = (2.5581f32.powi(2) + 1.5108f32.powi(2) + 1.0).sqrt();
    for ((_, weight), want) in terms.iter().zip([2.5581, 1.5108, 1.0]) {
        assert!((weight - want / length).abs() < 1e-4, "{terms:?}");
    }
}

#[test]
fn a_saved_model_gives_the_same_vectors_under_the_same_name() {
    let model = fit(&corpus(), &settings());
    let again = TfIdf::load(model.save()).unwrap();
    assert_eq!(model.id(), again.id());
    let encode = |m: &TfIdf| m.encode(&["dragon and rocket"], &Silent).unwrap();
    assert_eq!(encode(&model), encode(&again));
}

#[test]
fn saved_parts_that_do_not_fit_are_refused() {
    let saved = fit(&corpus(), &settings()).save();
    let mut short = saved.clone();
    short.put_f32("idf", &[1], vec![1.0]);
    let mut nan = saved.clone();
    let (shape, mut components) = nan.take_f32("components").unwrap();
    components[0] = f32::NAN;
    nan.put_f32("components", &shape, components);
    let mut missing = saved.clone();
    missing.tensors.remove("components");
    let mut doubled = saved;
    doubled.meta["terms"][1] = doubled.meta["terms"][0].clone();
    for broken in [short, nan, missing, doubled] {
        assert!(TfIdf::load(broken).is_err());
    }
}

#[test]
fn one_and_two_threads_agree_to_the_bit_and_seeds_differ() {
    let texts = corpus();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| fit(&texts, &settings()).id())
    };
    assert_eq!(with(1), with(2));
    assert_ne!(fit(&texts, &settings()).id(), fit(&texts[1..], &settings()).id());
}

#[test]
fn nothing_to_count_and_impossible_settings_are_errors() {
    for texts in [&["", "the of"][..], &[]] {
        assert!(matches!(TfIdf::fit(texts, &settings(), 1), Err(Error::NoWords { .. })));
    }
    for bad in [
        TfIdfSettings { dim: 0, ..settings() },
        TfIdfSettings { ngrams: 9, ..settings() },
        TfIdfSettings { max_df: f32::NAN, ..settings() },
    ] {
        assert!(matches!(TfIdf::fit(&["a word"], &bad, 1), Err(Error::Setting { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_texts_give_rows_of_length_one_or_zero(texts in prop::collection::vec(".{0,40}", 1..20)) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        if let Ok(model) = TfIdf::fit(&texts, &TfIdfSettings::default(), 1) {
            let encoded = model.encode(&texts, &Silent).unwrap();
            for row in 0..texts.len() {
                let length: f32 = encoded.vectors.row(row).iter().map(|x| x * x).sum();
                prop_assert!(length.abs() < 1e-6 || (length - 1.0).abs() < 1e-3, "{length}");
            }
        }
    }
}
