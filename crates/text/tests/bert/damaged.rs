//! Every damaged or foreign file is told by name, and none is a panic.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tastemaker_text::{BertEncoder, BertSettings, Error};
use tempfile::TempDir;

use crate::{TINY, tiny};

/// Makes a good folder, spoils it and returns the error with its message.
fn fault(spoil: impl FnOnce(&Path)) -> (Error, String) {
    let folder = TempDir::new().unwrap();
    tiny::write_folder(folder.path(), TINY, &tiny::tensors(TINY));
    spoil(folder.path());
    let error = BertEncoder::open(folder.path(), &BertSettings::default()).unwrap_err();
    let message = error.to_string();
    (error, message)
}

fn with_config(field: &str, value: Value) -> (Error, String) {
    fault(|folder| {
        let mut config = tiny::config(TINY);
        config[field] = value;
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
    })
}

#[test]
fn a_missing_file_is_named() {
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let (error, message) = fault(|folder| fs::remove_file(folder.join(name)).unwrap());
        assert!(matches!(error, Error::Read { .. }) && message.contains(name), "{message}");
    }
}

#[test]
fn truncated_weights_are_refused() {
    for keep in [0, 4, 100, 20_000] {
        let (error, message) = fault(|folder| {
            let path = folder.join("model.safetensors");
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..keep]).unwrap();
        });
        assert!(
            matches!(error, Error::Weights { .. }) && message.contains("model.safetensors"),
            "{message}"
        );
    }
}

#[test]
fn a_missing_tensor_and_a_wrong_shape_are_named() {
    let name = "encoder.layer.1.output.dense.weight";
    let change = |change: fn(&mut tiny::Tensors, &str)| {
        fault(|folder| {
            let mut tensors = tiny::tensors(TINY);
            change(&mut tensors, name);
            tiny::write_folder(folder, TINY, &tensors);
        })
    };
    let (error, message) = change(|tensors, name| {
        tensors.remove(name);
    });
    assert!(matches!(error, Error::MissingTensor { .. }) && message.contains(name), "{message}");
    let (error, message) = change(|tensors, name| tensors.get_mut(name).unwrap().0.reverse());
    assert!(matches!(error, Error::Shape { .. }) && message.contains("[64, 32]"), "{message}");
    let (error, message) = change(|tensors, name| tensors.get_mut(name).unwrap().1[3] = f32::NAN);
    assert!(matches!(error, Error::Weights { .. }) && message.contains(name), "{message}");
}

#[test]
fn numbers_of_another_kind_are_refused() {
    let (error, message) = fault(|folder| {
        let path = folder.join("model.safetensors");
        tiny::write_tensors(&path, &tiny::tensors(TINY), safetensors::Dtype::I32, |x| {
            x.to_le_bytes().to_vec()
        });
    });
    assert!(matches!(error, Error::Numbers { .. }) && message.contains("I32"), "{message}");
}

#[test]
fn another_architecture_is_refused() {
    for (field, value) in [
        ("model_type", json!("t5")),
        ("hidden_act", json!("relu")),
        ("position_embedding_type", json!("relative_key")),
    ] {
        let (error, message) = with_config(field, value);
        assert!(matches!(error, Error::Unsupported { .. }) && message.contains(field), "{message}");
    }
}

#[test]
fn impossible_sizes_are_refused() {
    for (field, value) in [
        ("hidden_size", json!(0)),
        ("num_attention_heads", json!(5)),
        ("num_hidden_layers", json!(100_000)),
        ("layer_norm_eps", json!(-1.0)),
        ("vocab_size", json!("many")),
        ("intermediate_size", json!(-3)),
    ] {
        let (error, message) = with_config(field, value);
        assert!(
            matches!(error, Error::Config { .. }) && message.contains("config.json"),
            "{field}: {message}"
        );
    }
    let (error, message) = with_config("vocab_size", json!(8));
    assert!(
        matches!(error, Error::Tokenizer { .. }) && message.contains("vocab_size"),
        "{message}"
    );
}

#[test]
fn files_that_are_not_what_their_name_says_are_refused() {
    let garbage =
        |name: &'static str| fault(|folder| fs::write(folder.join(name), b"\xff\0 {").unwrap());
    assert!(matches!(garbage("config.json").0, Error::Config { .. }));
    assert!(matches!(garbage("tokenizer.json").0, Error::Tokenizer { .. }));
    assert!(matches!(garbage("model.safetensors").0, Error::Weights { .. }));
    let (error, _) =
        fault(|folder| fs::write(folder.join("sentence_bert_config.json"), "[]").unwrap());
    assert!(matches!(error, Error::Config { .. }), "{error}");
}

#[test]
fn a_limit_too_small_for_a_word_is_refused() {
    let folder = TempDir::new().unwrap();
    tiny::write_folder(folder.path(), TINY, &tiny::tensors(TINY));
    let settings = BertSettings { max_tokens: Some(2), ..BertSettings::default() };
    let error = BertEncoder::open(folder.path(), &settings).unwrap_err();
    assert!(matches!(error, Error::Setting { field: "max_tokens", .. }));
}
