//! `RoBERTa`, XLM-R and `DistilBERT`: tensors of other names, positions that begin elsewhere, weights in shards.

use std::fs;
use std::path::Path;

use safetensors::Dtype;
use serde_json::{Value, json};
use tastemaker_core::Silent;
use tastemaker_text::{
    BertEncoder, BertSettings, BertTokens, Encoder, Error, TunableBert, TuneState, inspect,
};
use tempfile::TempDir;

use crate::tiny::{self, Tensors};
use crate::tuned::pooled;
use crate::{TINY, naive};

/// Pieces of a `SentencePiece` unigram model as XLM-R's, by number.
const PIECES: [&str; 16] = [
    "<s>", "<pad>", "</s>", "<unk>", "▁", "▁red", "▁blue", "▁film", "▁book", "s", "▁the", "▁sea",
    "side", "电", "影", "e",
];

/// Describes a unigram tokenizer as XLM-R's `tokenizer.json` does.
fn unigram() -> Value {
    let mark = |id: usize| {
        json!({ "id": id, "content": PIECES[id], "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
    };
    let vocab: Vec<Value> =
        PIECES.iter().map(|piece| json!([piece, -(piece.len() as f64)])).collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [mark(0), mark(1), mark(2), mark(3)],
        "normalizer": { "type": "NFKC" },
        "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } },
                       { "SpecialToken": { "id": "</s>", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 0 } }],
            "special_tokens": { "<s>": { "id": "<s>", "ids": [0], "tokens": ["<s>"] },
                                "</s>": { "id": "</s>", "ids": [2], "tokens": ["</s>"] } }
        },
        "decoder": null,
        "model": { "type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": false }
    })
}

/// A model of another family than BERT's, in its own words.
struct Family {
    config: Value,
    tokenizer: Value,
    /// Turns BERT's names into the file's.
    name: fn(&str) -> String,
    types: usize,
    padding: Option<usize>,
}

fn roberta(model_type: &str) -> Family {
    let mut config = tiny::config(TINY);
    config["model_type"] = model_type.into();
    config["type_vocab_size"] = 1.into();
    config["pad_token_id"] = 1.into();
    let name = |name: &str| format!("roberta.{name}");
    Family { config, tokenizer: unigram(), name, types: 1, padding: Some(1) }
}

fn distil() -> Family {
    let config = json!({
        "model_type": "distilbert", "activation": "gelu", "vocab_size": tiny::WORDS.len(), "dim": TINY.hidden,
        "n_layers": TINY.layers, "n_heads": TINY.heads, "hidden_dim": TINY.inner, "max_position_embeddings": TINY.positions,
        "sinusoidal_pos_embds": false, "pad_token_id": 0
    });
    let name = |name: &str| {
        let name = name.replace("encoder.layer", "transformer.layer");
        let name = name.replace("attention.output.LayerNorm", "sa_layer_norm");
        let name = name.replace("attention.output.dense", "attention.out_lin");
        let name = name.replace("attention.self.query", "attention.q_lin");
        let name = name.replace("attention.self.key", "attention.k_lin");
        let name = name.replace("attention.self.value", "attention.v_lin");
        let name = name.replace("intermediate.dense", "ffn.lin1");
        let name = name.replace("output.dense", "ffn.lin2");
        format!("distilbert.{}", name.replace("output.LayerNorm", "output_layer_norm"))
    };
    Family { config, tokenizer: tiny::tokenizer(), name, types: 0, padding: None }
}

impl Family {
    fn tensors(&self) -> Tensors {
        let mut tensors = tiny::tensors(TINY);
        let types = "embeddings.token_type_embeddings.weight";
        let (_, numbers) = tensors.remove(types).unwrap();
        if self.types > 0 {
            let numbers = numbers[..self.types * TINY.hidden].to_vec();
            tensors.insert(types.into(), (vec![self.types, TINY.hidden], numbers));
        }
        tensors
    }

    fn write(&self, folder: &Path) {
        fs::write(folder.join("config.json"), self.config.to_string()).unwrap();
        fs::write(folder.join("tokenizer.json"), self.tokenizer.to_string()).unwrap();
        write(&folder.join("model.safetensors"), &self.named());
    }

    fn named(&self) -> Tensors {
        self.tensors().into_iter().map(|(name, tensor)| ((self.name)(&name), tensor)).collect()
    }

    fn folder(&self) -> TempDir {
        let folder = TempDir::new().unwrap();
        self.write(folder.path());
        folder
    }

    /// The mean of the naive vectors of these tokens, of length 1.
    fn naive(&self, ids: &[usize]) -> Vec<f64> {
        let mut next = self.padding.map_or(0, |padding| padding + 1);
        let place = |&id: &usize| {
            if Some(id) == self.padding {
                return (id, id);
            }
            next += 1;
            (id, next - 1)
        };
        let ids: Vec<(usize, usize)> = ids.iter().map(place).collect();
        let tokens = naive::forward_at(&self.tensors(), TINY, &ids);
        let sums: Vec<f64> =
            (0..TINY.hidden).map(|i| tokens.iter().map(|token| token[i]).sum()).collect();
        let length = sums.iter().map(|x| x * x).sum::<f64>().sqrt();
        sums.into_iter().map(|x| x / length).collect()
    }

    fn assert_naive(&self, texts: &[(&str, &[usize])]) {
        let folder = self.folder();
        let encoder = BertEncoder::open(folder.path(), &BertSettings::default()).unwrap();
        let words: Vec<&str> = texts.iter().map(|(text, _)| *text).collect();
        let encoded = encoder.encode(&words, &Silent).unwrap();
        for (row, (text, ids)) in texts.iter().enumerate() {
            for (x, want) in encoded.vectors.row(row).iter().zip(self.naive(ids)) {
                assert!((f64::from(*x) - want).abs() < 2e-6, "{text}: {x} {want}");
            }
        }
    }
}

fn write(path: &Path, tensors: &Tensors) {
    tiny::write_tensors(path, tensors, Dtype::F32, |x| x.to_le_bytes().to_vec());
}

#[test]
fn xlm_r_reads_unigram_pieces_at_positions_behind_the_padding_token() {
    // A padding token that a text spells out stands at its own position, as in Python.
    let texts: [(&str, &[usize]); 4] = [
        ("red films", &[0, 5, 7, 9, 2]),
        ("the seaside 电影", &[0, 10, 11, 12, 4, 13, 14, 2]),
        ("book", &[0, 8, 2]),
        ("red<pad> sea", &[0, 5, 1, 11, 2]),
    ];
    for model_type in ["xlm-roberta", "roberta"] {
        roberta(model_type).assert_naive(&texts);
    }
}

#[test]
fn a_bert_with_a_unigram_tokenizer_counts_positions_from_zero() {
    let mut family = roberta("bert");
    family.padding = None;
    family.assert_naive(&[("red films", &[0, 5, 7, 9, 2]), ("book", &[0, 8, 2])]);
}

#[test]
fn distilbert_has_no_types_and_names_of_its_own() {
    distil().assert_naive(&[("a red film", &[2, 4, 5, 7, 3]), ("books", &[2, 8, 12, 3])]);
}

#[test]
fn texts_are_cut_to_the_positions_that_are_left() {
    let folder = roberta("xlm-roberta").folder();
    let encoder = BertEncoder::open(folder.path(), &BertSettings::default()).unwrap();
    let encoded =
        encoder.encode(&["red ".repeat(50).as_str(), &"red ".repeat(20)], &Silent).unwrap();
    assert_eq!(encoded.truncated, 1, "24 positions less 2, with two marks");
    let mut family = roberta("xlm-roberta");
    family.config["pad_token_id"] = 22.into();
    let error = BertEncoder::open(family.folder().path(), &BertSettings::default()).unwrap_err();
    assert!(error.to_string().contains("`pad_token_id` 22"), "{error}");
}

#[test]
fn names_are_read_behind_any_prefix_and_as_old_files_have_them() {
    let prefixes: [fn(&str) -> String; 4] = [
        |name| name.to_owned(),
        |name| format!("model.{name}"),
        |name| format!("bert.{name}"),
        |name| {
            name.replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta")
        },
    ];
    for name in prefixes {
        let mut family = roberta("roberta");
        family.name = name;
        family.assert_naive(&[("red films", &[0, 5, 7, 9, 2])]);
    }
}

#[test]
fn weights_in_shards_give_the_same_vectors_and_bad_lists_are_refused() {
    let family = roberta("xlm-roberta");
    let folder = family.folder();
    let open = || BertEncoder::open(folder.path(), &BertSettings::default());
    let texts = ["red films", "the sea"];
    let whole = open().unwrap().encode(&texts, &Silent).unwrap();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let (mut parts, mut map) = ([Tensors::new(), Tensors::new()], serde_json::Map::new());
    for (at, (name, tensor)) in family.named().into_iter().enumerate() {
        map.insert(name.clone(), names[at % 2].into());
        parts[at % 2].insert(name, tensor);
    }
    for (name, part) in names.iter().zip(&parts) {
        write(&folder.path().join(name), part);
    }
    let index = folder.path().join("model.safetensors.index.json");
    fs::write(&index, json!({ "metadata": {}, "weight_map": map }).to_string()).unwrap();
    assert_eq!(open().unwrap().encode(&texts, &Silent).unwrap(), whole);
    assert_eq!(inspect(folder.path()).unwrap().tensors.len(), map.len());
    for (list, told) in [
        (json!({}), "0 files"),
        (json!({ "a": "../model.safetensors" }), "no name of a file"),
        (json!({ "a": "/model.safetensors" }), "no name of a file"),
        (json!({ "a": "gone.safetensors" }), "gone.safetensors"),
    ] {
        fs::write(&index, json!({ "weight_map": list }).to_string()).unwrap();
        let error = open().unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn every_family_can_be_tuned_and_is_written_in_its_own_words() {
    for family in [roberta("xlm-roberta"), distil()] {
        let folder = family.folder();
        let settings = BertSettings { normalise: false, ..BertSettings::default() };
        let reads = BertEncoder::open(folder.path(), &settings).unwrap();
        let (bert, weights) = TunableBert::open(folder.path(), &settings).unwrap();
        let texts = ["red film", "the blue sea", "book"];
        let want = reads.encode(&texts, &Silent).unwrap().vectors;
        let tokens = bert.tokenise(&texts).unwrap();
        let tokens: Vec<&BertTokens> = tokens.iter().collect();
        let mut got = vec![0.0; want.flat().len()];
        bert.forward(&weights, pooled(&tokens), &mut TuneState::default(), &mut got);
        for (got, want) in got.iter().zip(want.flat()) {
            assert!((got - want).abs() < 1e-5, "{got} {want}");
        }
        let out = TempDir::new().unwrap();
        let moved: Vec<f32> = weights.iter().map(|x| x + 0.125).collect();
        for (name, bytes) in bert.files(&moved, None).unwrap() {
            fs::write(out.path().join(name), bytes).unwrap();
        }
        let (_, again) = TunableBert::open(out.path(), &settings).unwrap();
        assert_eq!(again, moved);
        let bytes = fs::read(out.path().join("model.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut names: Vec<String> = file.names().iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        assert_eq!(names, family.named().into_keys().collect::<Vec<_>>());
    }
}

#[test]
fn inspecting_knows_every_family() {
    for (family, sizes) in [(roberta("xlm-roberta"), "hidden_size"), (distil(), "dim")] {
        let facts = inspect(family.folder().path()).unwrap();
        assert_eq!((facts.problem, facts.dim), (None, Some(TINY.hidden)));
        assert_eq!(facts.sizes[sizes], TINY.hidden as u64);
        assert_eq!(facts.activation.as_deref(), Some("gelu"));
    }
}

#[test]
fn a_family_that_is_not_computed_is_told_with_those_that_are() {
    // Its `config.json` has none of BERT's fields.
    let mut family = roberta("roberta");
    family.config = json!({ "model_type": "modernbert", "hidden_activation": "gelu" });
    let error = BertEncoder::open(family.folder().path(), &BertSettings::default()).unwrap_err();
    assert!(matches!(error, Error::Unsupported { field: "model_type", .. }), "{error}");
    let told = error.to_string();
    for name in ["modernbert", "`bert`", "`roberta`", "`xlm-roberta`", "`distilbert`"] {
        assert!(told.contains(name), "{told}");
    }
}
