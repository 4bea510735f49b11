//! What is told of a model's folder, and of damaged ones.

use std::fs;
use std::path::Path;

use tastemaker_text::{Pooling, inspect};
use tempfile::TempDir;

use crate::tiny::WORDS;
use crate::{TINY, tiny};

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    tiny::write_folder(folder.path(), TINY, &tiny::tensors(TINY));
    folder
}

#[test]
fn a_folder_is_told_with_sizes_types_and_tokenizer() {
    let folder = folder();
    let facts = inspect(folder.path()).unwrap();
    let tensors = tiny::tensors(TINY);
    let numbers: usize = tensors.values().map(|(_, numbers)| numbers.len()).sum();
    assert_eq!((facts.parameters, facts.tensors.len()), (numbers as u64, tensors.len()));
    assert_eq!(facts.types.into_iter().collect::<Vec<_>>(), [("F32".to_owned(), numbers as u64)]);
    assert_eq!((facts.model_type.as_deref(), facts.sizes["hidden_size"]), (Some("bert"), 32));
    assert_eq!((facts.pooling, facts.max_tokens), (Some(Pooling::Mean), Some(TINY.positions)));
    assert_eq!((facts.dim, facts.problem), (Some(TINY.hidden), None));
    assert_eq!(facts.tokenizer.tokens, WORDS.len());
    assert_eq!(facts.tokenizer.model.as_deref(), Some("WordPiece"));
}

#[test]
fn a_sound_folder_of_another_kind_is_told_with_what_does_not_fit() {
    let folder = folder();
    let mut config = tiny::config(TINY);
    config["model_type"] = "qwen3".into();
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let facts = inspect(folder.path()).unwrap();
    let problem = facts.problem.unwrap();
    let told = ["`qwen3`", "`bert`", "`roberta`", "`xlm-roberta`", "`distilbert`"];
    assert!(told.iter().all(|name| problem.contains(name)), "{problem}");
    assert_eq!((facts.dim, facts.pooling, facts.max_tokens), (None, None, None));
}

#[test]
fn damaged_folders_are_told_by_file() {
    let fault = |spoil: &dyn Fn(&Path)| {
        let folder = folder();
        spoil(folder.path());
        inspect(folder.path()).unwrap_err().to_string()
    };
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let gone = fault(&|folder| fs::remove_file(folder.join(name)).unwrap());
        let odd = fault(&|folder| fs::write(folder.join(name), "[").unwrap());
        assert!(gone.contains(name) && odd.contains(name), "{gone} | {odd}");
    }
    let weights = |change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        fault(&|folder| {
            let path = folder.join("model.safetensors");
            fs::write(&path, change(fs::read(&path).unwrap())).unwrap();
        })
    };
    let cut = weights(&|bytes| bytes[..bytes.len() - 1].to_vec());
    assert!(cut.contains("its header asks for"), "{cut}");
    // A header of more bytes than there are is refused before any memory is taken for it.
    let vast = weights(&|bytes| [&u64::MAX.to_le_bytes(), &bytes[8..]].concat());
    assert!(vast.contains("would be the header"), "{vast}");
    for end in [0, 7, 8, 9, 100] {
        assert!(weights(&|bytes| bytes[..end].to_vec()).contains("model.safetensors"));
    }
}
