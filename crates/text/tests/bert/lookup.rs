//! Static encoders: what a table holds, how texts are read with it, and damaged folders.

use std::fs;
use std::path::Path;

use safetensors::Dtype;
use tastemaker_core::{Silent, Vectors};
use tastemaker_text::{
    BertEncoder, BertSettings, DistillSettings, Encoder, Error, StaticEncoder, distill, open,
};
use tempfile::TempDir;

use crate::tiny::{Tensors, WORDS};
use crate::{TINY, tiny};

/// Distills the tiny model into a folder beside it.
fn distilled(settings: DistillSettings) -> Result<TempDir, Error> {
    let place = TempDir::new().unwrap();
    let from = place.path().join("bert");
    fs::create_dir(&from).unwrap();
    tiny::write_folder(&from, TINY, &tiny::tensors(TINY));
    let encoder = BertEncoder::open(&from, &BertSettings::default())?;
    let table = distill((&from, &encoder), settings, &Silent)?;
    assert_eq!(table.shape(), (WORDS.len(), settings.dim));
    table.save(&place.path().join("static"))?;
    let again = table.save(&place.path().join("static")).unwrap_err().to_string();
    assert!(again.contains("static"), "a folder that is there is not written over: {again}");
    Ok(place)
}

/// Writes a table whose vectors can be told apart by hand.
fn table(folder: &Path, rows: usize) {
    let numbers: Vec<f32> = (0..rows * 2).map(|i| i as f32).collect();
    let tensors = Tensors::from([("embeddings".to_owned(), (vec![rows, 2], numbers))]);
    let path = folder.join("model.safetensors");
    tiny::write_tensors(&path, &tensors, Dtype::F32, |x| x.to_le_bytes().to_vec());
    fs::write(folder.join("config.json"), r#"{"model_type": "model2vec"}"#).unwrap();
    fs::write(folder.join("tokenizer.json"), tiny::tokenizer().to_string()).unwrap();
}

#[test]
fn a_text_is_the_mean_of_its_tokens_by_hand() {
    let folder = TempDir::new().unwrap();
    table(folder.path(), WORDS.len());
    let settings = BertSettings { normalise: false, ..BertSettings::default() };
    let encoder = StaticEncoder::open(folder.path(), &settings).unwrap();
    // Tokens 5 and 7 have the vectors (10, 11) and (14, 15).
    let texts = ["red film", "  ", "film unknown", "red film about the sea"];
    let encoded = encoder.encode(&texts, &Silent).unwrap();
    assert_eq!((encoder.dim(), encoded.truncated), (2, 0));
    assert_eq!(encoded.vectors.flat()[..6], [12.0, 13.0, 0.0, 0.0, 14.0, 15.0]);
    let short = BertSettings { max_tokens: Some(3), ..settings };
    let short = StaticEncoder::open(folder.path(), &short).unwrap();
    let encoded = short.encode(&texts, &Silent).unwrap();
    let [x, y] = encoded.vectors.row(3) else { panic!("two numbers") };
    assert!(encoded.truncated == 1 && (x - 14.0).abs() < 1e-5 && (y - 15.0).abs() < 1e-5);
    assert!(short.id() != encoder.id());
}

#[test]
fn likeness_of_tokens_survives_distilling_to_all_dimensions() {
    // As many components as there are numbers, and all tokens of one weight: distances are kept.
    let settings = DistillSettings { dim: TINY.hidden, smoothing: 1e12 };
    let place = distilled(settings).unwrap();
    let plain = BertSettings { normalise: false, ..BertSettings::default() };
    let full = open(&place.path().join("bert"), &plain).unwrap();
    let fast = open(&place.path().join("static"), &plain).unwrap();
    let texts = ["red", "blue", "film", "sea"];
    let [full, fast] = [full, fast].map(|e| e.encode(&texts, &Silent).unwrap().vectors);
    let distance = |v: &Vectors, a, b| -> f32 {
        v.row(a).iter().zip(v.row(b)).map(|(x, y)| (x - y) * (x - y)).sum()
    };
    for (a, b) in [(0, 1), (0, 2), (1, 3), (2, 3)] {
        let (want, got) = (distance(&full, a, b), distance(&fast, a, b));
        assert!((want - got).abs() < 1e-3 * want, "{want} {got}");
    }
}

#[test]
fn settings_out_of_range_are_told() {
    for settings in [
        DistillSettings { dim: 0, ..DistillSettings::default() },
        DistillSettings { dim: TINY.hidden + 1, ..DistillSettings::default() },
        DistillSettings { dim: 4, smoothing: 0.0 },
        DistillSettings { dim: 4, smoothing: f64::NAN },
    ] {
        assert!(matches!(distilled(settings), Err(Error::Setting { .. })), "{settings:?}");
    }
}

#[test]
fn damaged_tables_are_told_by_file() {
    let fault = |spoil: fn(&Path)| {
        let folder = TempDir::new().unwrap();
        table(folder.path(), WORDS.len());
        spoil(folder.path());
        open(folder.path(), &BertSettings::default()).err().unwrap().to_string()
    };
    let cut = fault(|folder| {
        let path = folder.join("model.safetensors");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    });
    let fewer = fault(|folder| table(folder, 4));
    let other = fault(|folder| {
        let tensors = Tensors::from([("words".to_owned(), (vec![1], vec![0.0]))]);
        let path = folder.join("model.safetensors");
        tiny::write_tensors(&path, &tensors, Dtype::F32, |x| x.to_le_bytes().to_vec());
    });
    let flat = fault(|folder| {
        let tensors = Tensors::from([("embeddings".to_owned(), (vec![16], vec![0.0; 16]))]);
        let path = folder.join("model.safetensors");
        tiny::write_tensors(&path, &tensors, Dtype::F32, |x| x.to_le_bytes().to_vec());
    });
    let no_words = fault(|folder| fs::remove_file(folder.join("tokenizer.json")).unwrap());
    assert!(cut.contains("model.safetensors") && cut.contains("damaged"), "{cut}");
    assert!(fewer.contains("tokenizer.json") && fewer.contains("of 4"), "{fewer}");
    assert!(other.contains("no tensor `embeddings`"), "{other}");
    assert!(flat.contains("shape [16]"), "{flat}");
    assert!(no_words.contains("tokenizer.json"), "{no_words}");
}
