//! Heads on the encoder: pairs of texts to scores, and folders with a head as others read them.

use safetensors::Dtype;
use serde_json::{Value, json};
use tastemaker_core::Silent;
use tastemaker_text::{
    BertEncoder, BertHead, BertSettings, BertTokens, CrossEncoder, Encoder, HeadUse, TunableBert,
    TuneBlock, TuneReading, TuneState,
};
use tempfile::TempDir;

use crate::tiny::{self, Tensors};
use crate::{TINY, folder};

const PAIRS: [(&str, &str); 4] = [
    ("a red film; the sea book", "a blue film"),
    ("books", "the seaside"),
    ("", "a film about the sea"),
    ("", " "),
];

/// Writes a folder whose tokenizer marks pairs as BERT's does.
fn paired() -> (TempDir, Tensors) {
    let (folder, tensors) = folder();
    let mark = |id: &str, kind: u32| json!({ "SpecialToken": { "id": id, "type_id": kind } });
    let text = |id: &str, kind: u32| json!({ "Sequence": { "id": id, "type_id": kind } });
    let mut tokenizer = tiny::tokenizer();
    tokenizer["post_processor"]["pair"] =
        json!([mark("[CLS]", 0), text("A", 0), mark("[SEP]", 0), text("B", 1), mark("[SEP]", 1)]);
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    (folder, tensors)
}

fn wave(n: usize, step: f32) -> Vec<f32> {
    (0..n).map(|i| 0.3 * (i as f32 * step).sin()).collect()
}

/// Writes the files of an encoder with a head to a folder of their own.
fn with_head(from: &TempDir, labels: usize, meaning: HeadUse<'_>) -> (TempDir, Vec<f32>) {
    let (bert, weights) = TunableBert::open(from.path(), &BertSettings::default()).unwrap();
    let head = BertHead::Labels(labels);
    let n = bert.head_tensors(head).iter().map(|tensor| tensor.len()).sum();
    let (numbers, out) = (wave(n, 0.7), TempDir::new().unwrap());
    let files = bert.files(&weights, None).unwrap();
    for (name, bytes) in bert.with_head(files, (head, &numbers), meaning).unwrap() {
        std::fs::write(out.path().join(name), bytes).unwrap();
    }
    (out, numbers)
}

#[test]
fn scores_of_pairs_are_those_of_the_first_token_and_batches_change_nothing() {
    let (from, _) = paired();
    let names = ["film", "book", "sea"].map(str::to_owned);
    let (folder, head) = with_head(&from, 3, HeadUse::Labels(&names));
    let cross = CrossEncoder::open(folder.path(), &BertSettings::default()).unwrap();
    assert_eq!(cross.n_labels(), 3);
    let scores = cross.score(&PAIRS, &Silent).unwrap();
    let (bert, weights) = TunableBert::open(from.path(), &BertSettings::default()).unwrap();
    let tokens = bert.tokenise_pairs(&PAIRS).unwrap();
    assert_eq!(tokens[1].ids(), [2, 8, 12, 3, 10, 11, 13, 3]);
    assert_eq!(tokens[1].types(), [0, 0, 0, 0, 1, 1, 1, 1]);
    assert!(tokens[3].is_empty());
    let dim = TINY.hidden;
    for (at, pair) in PAIRS.iter().enumerate() {
        let own = &scores[at * 3..][..3];
        assert_eq!(cross.score(&[*pair], &Silent).unwrap(), own, "alone and beside others");
        if at == 3 {
            assert_eq!(own, [0.0; 3], "nothing is known of nothing");
            continue;
        }
        let (texts, places): ([&BertTokens; 1], _) = ([&tokens[at]], [vec![0]]);
        let reading = TuneReading::Tokens(&places);
        let block = TuneBlock { texts: &texts, reading, ..TuneBlock::default() };
        let mut first = vec![0.0; dim];
        bert.forward(&weights, block, &mut TuneState::default(), &mut first);
        let sum = |row: &[f32], x: &[f32]| row.iter().zip(x).map(|(a, b)| a * b).sum::<f32>();
        let (dense, rest) = head.split_at(dim * dim);
        let (bias, rest) = rest.split_at(dim);
        let (last, last_bias) = rest.split_at(3 * dim);
        let inner: Vec<f32> =
            (0..dim).map(|i| (sum(&dense[i * dim..][..dim], &first) + bias[i]).tanh()).collect();
        for label in 0..3 {
            let want = sum(&last[label * dim..][..dim], &inner) + last_bias[label];
            assert!((own[label] - want).abs() < 1e-5, "{at} {label}: {} {want}", own[label]);
        }
    }
}

#[test]
fn a_folder_with_a_head_names_its_class_and_still_encodes_single_texts() {
    let (from, _) = paired();
    let names = ["film", "book"].map(str::to_owned);
    let (folder, _) = with_head(&from, 2, HeadUse::Labels(&names));
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    assert_eq!(config["architectures"], json!(["BertForSequenceClassification"]));
    assert_eq!(config["id2label"], json!({ "0": "film", "1": "book" }));
    let bytes = read("model.safetensors");
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for name in ["classifier.weight", "bert.pooler.dense.bias", "bert.embeddings.LayerNorm.bias"] {
        assert!(file.tensor(name).is_ok(), "{name}");
    }
    assert!(file.names().iter().all(|name| name.starts_with("bert.") || name.starts_with("clas")));
    let settings = BertSettings::default();
    let texts = ["a red film", "books"];
    let vectors = |folder: &TempDir| {
        let encoder = BertEncoder::open(folder.path(), &settings).unwrap();
        encoder.encode(&texts, &Silent).unwrap().vectors
    };
    assert!(vectors(&folder).flat() == vectors(&from).flat());
    // What was written is what tuning on starts from.
    let (bert, _) = TunableBert::open(folder.path(), &settings).unwrap();
    let again = bert.head_start(BertHead::Labels(2)).unwrap();
    assert!(again.iter().all(Option::is_some));
    assert_eq!(bert.head_start(BertHead::Labels(3)).unwrap()[2], None, "another number of labels");
}

#[test]
fn the_head_of_masked_words_lies_under_its_names() {
    let (from, _) = paired();
    let (bert, weights) = TunableBert::open(from.path(), &BertSettings::default()).unwrap();
    let head = BertHead::MaskedWords;
    assert!(bert.head_start(head).unwrap().iter().all(Option::is_none));
    let tensors = bert.head_tensors(head);
    let numbers = wave(tensors.iter().map(|tensor| tensor.len()).sum(), 0.9);
    let files = bert.files(&weights, None).unwrap();
    let out = TempDir::new().unwrap();
    for (name, bytes) in bert.with_head(files, (head, &numbers), HeadUse::Words).unwrap() {
        std::fs::write(out.path().join(name), bytes).unwrap();
    }
    let (again, same) = TunableBert::open(out.path(), &BertSettings::default()).unwrap();
    let found: Vec<f32> = again.head_start(head).unwrap().into_iter().flatten().flatten().collect();
    assert!(found == numbers && same == weights);
    let config = std::fs::read_to_string(out.path().join("config.json")).unwrap();
    assert!(config.contains("BertForMaskedLM"));
}

#[test]
fn without_a_head_or_with_a_broken_one_a_folder_is_refused() {
    let (from, mut tensors) = paired();
    let open = || CrossEncoder::open(from.path(), &BertSettings::default()).unwrap_err();
    let error = open().to_string();
    assert!(error.contains("classifier.bias") && error.contains("tune.task"), "{error}");
    tensors.insert("classifier.bias".into(), (vec![1], vec![0.0]));
    let write = |tensors: &Tensors| {
        let path = from.path().join("model.safetensors");
        tiny::write_tensors(&path, tensors, Dtype::F32, |x| x.to_le_bytes().to_vec());
    };
    write(&tensors);
    let error = open().to_string();
    assert!(error.contains("bert.pooler.dense.weight"), "{error}");
    let hidden = TINY.hidden;
    tensors.insert(
        "bert.pooler.dense.weight".into(),
        (vec![hidden, hidden], wave(hidden * hidden, 1.0)),
    );
    tensors.insert("bert.pooler.dense.bias".into(), (vec![hidden], wave(hidden, 1.0)));
    tensors.insert("classifier.weight".into(), (vec![2, hidden], wave(2 * hidden, 1.0)));
    write(&tensors);
    let error = open().to_string();
    assert!(error.contains("classifier.weight") && error.contains("shape"), "{error}");
}

#[test]
fn long_pairs_are_cut_to_what_the_model_reads() {
    let (from, _) = paired();
    let (bert, _) = TunableBert::open(from.path(), &BertSettings::default()).unwrap();
    let long = "a red film ".repeat(30);
    let tokens = bert.tokenise_pairs(&[(&long, "the sea"), (&long, &long)]).unwrap();
    for tokens in &tokens {
        assert_eq!(tokens.len(), TINY.positions);
        assert!(tokens.is_cut() && tokens.ids().ends_with(&[3]));
    }
    assert_eq!(tokens[0].ids()[TINY.positions - 4..], [3, 10, 11, 3], "the longer side is cut");
}
