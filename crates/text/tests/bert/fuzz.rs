//! Files damaged anywhere: an error or an encoder that works, never a panic, and no memory for what a damaged header promises.

use std::fs;

use proptest::prelude::*;
use tastemaker_core::Silent;
use tastemaker_text::{BertEncoder, BertSettings, Encoder, StaticEncoder, TunableBert, inspect};
use tempfile::TempDir;

use crate::tiny::{self, Sizes};

const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];
/// As small as it gets, so that damage hits what counts.
const SMALL: Sizes = Sizes { hidden: 4, layers: 1, heads: 2, inner: 4, positions: 8 };

/// What is done to a file.
#[derive(Clone, Debug)]
enum Damage {
    Cut,
    Flip(u8),
    Byte(u8),
    Eight(u64),
    Gone(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        Just(Damage::Cut),
        (0u8..8).prop_map(Damage::Flip),
        any::<u8>().prop_map(Damage::Byte),
        prop_oneof![any::<u64>(), Just(u64::MAX), Just(1 << 40), 0u64..100_000]
            .prop_map(Damage::Eight),
        (1usize..64).prop_map(Damage::Gone),
    ]
}

fn spoil(bytes: &mut Vec<u8>, at: usize, damage: &Damage) {
    let rest = bytes.len() - at;
    match *damage {
        Damage::Cut => bytes.truncate(at),
        Damage::Flip(bit) => bytes[at] ^= 1 << bit,
        Damage::Byte(byte) => bytes[at] = byte,
        Damage::Eight(number) => {
            let n = rest.min(8);
            bytes[at..at + n].copy_from_slice(&number.to_le_bytes()[..n]);
        }
        Damage::Gone(n) => drop(bytes.drain(at..at + n.min(rest))),
    }
}

/// Opens a folder in every way; whatever opens must encode.
fn try_all(folder: &TempDir) {
    let settings = BertSettings::default();
    let texts = ["a red film about the seaside", "", "电影 books <pad>"];
    if let Ok(encoder) = BertEncoder::open(folder.path(), &settings)
        && let Ok(encoded) = encoder.encode(&texts, &Silent)
    {
        assert_eq!(encoded.vectors.rows(), texts.len());
    }
    if let Ok((bert, _)) = TunableBert::open(folder.path(), &settings) {
        bert.tokenise(&texts).ok();
    }
    if let Ok(encoder) = StaticEncoder::open(folder.path(), &settings) {
        encoder.encode(&texts, &Silent).ok();
    }
    inspect(folder.path()).ok();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_damage_is_a_panic(
        file in 0..FILES.len(),
        (near_start, at) in (any::<bool>(), any::<prop::sample::Index>()),
        damage in damage(),
    ) {
        let folder = TempDir::new().unwrap();
        tiny::write_folder(folder.path(), SMALL, &tiny::tensors(SMALL));
        let path = folder.path().join(FILES[file]);
        let mut bytes = fs::read(&path).unwrap();
        // Half of all hits go to the length of the header and what follows it.
        let at = at.index(if near_start { bytes.len().min(64) } else { bytes.len() });
        spoil(&mut bytes, at, &damage);
        fs::write(&path, &bytes).unwrap();
        try_all(&folder);
    }

    #[test]
    fn no_number_in_a_description_is_a_panic(
        field in prop::sample::select(vec![
            "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
            "max_position_embeddings", "type_vocab_size", "layer_norm_eps", "pad_token_id",
        ]),
        value in prop_oneof![0i64..20, any::<i64>(), Just(u32::MAX.into()), Just(-1)],
        family in prop::sample::select(vec!["bert", "roberta", "xlm-roberta", "distilbert", "model2vec", ""]),
    ) {
        let folder = TempDir::new().unwrap();
        tiny::write_folder(folder.path(), SMALL, &tiny::tensors(SMALL));
        let mut config = tiny::config(SMALL);
        config["model_type"] = family.into();
        config[field] = value.into();
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        try_all(&folder);
    }
}

#[test]
fn marks_that_the_model_does_not_know_are_told() {
    let folder = TempDir::new().unwrap();
    tiny::write_folder(folder.path(), SMALL, &tiny::tensors(SMALL));
    let mut tokenizer = tiny::tokenizer();
    tokenizer["post_processor"]["special_tokens"]["[SEP]"]["ids"][0] = 99.into();
    fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let fault = |tokenizer: &serde_json::Value| {
        fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
        BertEncoder::open(folder.path(), &BertSettings::default()).unwrap_err().to_string()
    };
    let told = fault(&tokenizer);
    assert!(told.contains("token 99"), "{told}");
    tokenizer["post_processor"]["special_tokens"].as_object_mut().unwrap().remove("[SEP]");
    let told = fault(&tokenizer);
    assert!(told.contains("`[SEP]`"), "{told}");
}
