//! Writes a BERT with random weights and a handful of words into a folder.

use std::collections::BTreeMap;
use std::path::Path;

use rand::Rng;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use tastemaker_core::seed;

/// Words the tokenizer knows, by number.
pub(crate) const WORDS: [&str; 16] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "blue", "film", "book", "about", "the", "sea",
    "##s", "##side", "电", "影",
];

/// Sizes of a model.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) inner: usize,
    pub(crate) positions: usize,
}

pub(crate) type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Makes the tensors of a model, by name.
pub(crate) fn tensors(sizes: Sizes) -> Tensors {
    let mut stream = seed::stream(7, "tiny-bert");
    let mut tensors = Tensors::new();
    let mut put = |name: String, shape: &[usize], centre: f32, spread: f32| {
        let mut number =
            || (stream.next_u32() as f32 / u32::MAX as f32 * 2.0 - 1.0) * spread + centre;
        let data = (0..shape.iter().product()).map(|_| number()).collect();
        tensors.insert(name, (shape.to_vec(), data));
    };
    let Sizes { hidden, layers, inner, positions, .. } = sizes;
    let reach = 2.0 / (hidden as f32).sqrt();
    for (name, rows) in [("word", WORDS.len()), ("position", positions), ("token_type", 2)] {
        put(format!("embeddings.{name}_embeddings.weight"), &[rows, hidden], 0.0, 1.0);
    }
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for n in 0..layers {
        let layer = |name: &str| format!("encoder.layer.{n}.{name}");
        for (name, to, from) in [
            ("attention.self.query", hidden, hidden),
            ("attention.self.key", hidden, hidden),
            ("attention.self.value", hidden, hidden),
            ("attention.output.dense", hidden, hidden),
            ("intermediate.dense", inner, hidden),
            ("output.dense", hidden, inner),
        ] {
            put(layer(&format!("{name}.weight")), &[to, from], 0.0, reach);
            put(layer(&format!("{name}.bias")), &[to], 0.0, 0.2);
        }
        norms.extend([layer("attention.output.LayerNorm"), layer("output.LayerNorm")]);
    }
    for name in norms {
        put(format!("{name}.weight"), &[hidden], 1.0, 0.3);
        put(format!("{name}.bias"), &[hidden], 0.0, 0.3);
    }
    tensors
}

/// Describes the model as `config.json` does.
pub(crate) fn config(sizes: Sizes) -> Value {
    json!({
        "model_type": "bert", "hidden_act": "gelu", "vocab_size": WORDS.len(), "hidden_size": sizes.hidden,
        "num_hidden_layers": sizes.layers, "num_attention_heads": sizes.heads, "intermediate_size": sizes.inner,
        "max_position_embeddings": sizes.positions, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
        "position_embedding_type": "absolute"
    })
}

/// Describes a word-piece tokenizer as `tokenizer.json` does, with a padding and a cut that must be overruled.
pub(crate) fn tokenizer() -> Value {
    let vocab: serde_json::Map<String, Value> =
        (0..).zip(WORDS).map(|(id, word): (u32, _)| (word.to_owned(), id.into())).collect();
    let mark = |name: &str, id: u32| {
        json!({ "id": id, "content": name, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
    };
    json!({
        "version": "1.0",
        "truncation": { "max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right" },
        "padding": { "strategy": { "Fixed": 8 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                     "pad_type_id": 0, "pad_token": "[PAD]" },
        "added_tokens": [mark("[PAD]", 0), mark("[UNK]", 1), mark("[CLS]", 2), mark("[SEP]", 3)],
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                        "strip_accents": null, "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": "[CLS]", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } },
                       { "SpecialToken": { "id": "[SEP]", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "[CLS]": { "id": "[CLS]", "ids": [2], "tokens": ["[CLS]"] },
                                "[SEP]": { "id": "[SEP]", "ids": [3], "tokens": ["[SEP]"] } }
        },
        "decoder": null,
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                   "max_input_chars_per_word": 100, "vocab": vocab }
    })
}

/// Writes tensors as a safetensors file; `encode` turns a number into bytes of type `kind`.
pub(crate) fn write_tensors(
    path: &Path,
    tensors: &Tensors,
    kind: Dtype,
    encode: fn(f32) -> Vec<u8>,
) {
    let bytes: Vec<Vec<u8>> =
        tensors.values().map(|(_, data)| data.iter().flat_map(|x| encode(*x)).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, (shape, _)), bytes)| {
        (name, TensorView::new(kind, shape.clone(), bytes).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Writes a whole model folder.
pub(crate) fn write_folder(folder: &Path, sizes: Sizes, tensors: &Tensors) {
    std::fs::write(folder.join("config.json"), config(sizes).to_string()).unwrap();
    std::fs::write(folder.join("tokenizer.json"), tokenizer().to_string()).unwrap();
    write_tensors(&folder.join("model.safetensors"), tensors, Dtype::F32, |x| {
        x.to_le_bytes().to_vec()
    });
}
