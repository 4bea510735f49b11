//! Writes GGUF files of models with random weights and a handful of words.

use std::path::{Path, PathBuf};

use tastemaker_core::seed;
use tempfile::TempDir;

/// A value of the metadata.
#[derive(Clone, Debug)]
pub(crate) enum Meta {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
}

/// A tensor: its shape, the innermost dimension first, its type and its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) kind: u32,
    pub(crate) bytes: Vec<u8>,
}

/// A whole file, before it is written.
#[derive(Clone, Debug)]
pub(crate) struct Tiny {
    pub(crate) meta: Vec<(String, Meta)>,
    pub(crate) tensors: Vec<Tensor>,
}

/// Types of numbers by their number in a file: numbers and bytes of a block, and where its half-precision scales are.
pub(crate) const KINDS: [(u32, usize, usize, &[usize]); 11] = [
    (0, 1, 4, &[]),
    (1, 1, 2, &[]),
    (30, 1, 2, &[]),
    (2, 32, 18, &[0]),
    (3, 32, 20, &[0, 2]),
    (6, 32, 22, &[0]),
    (7, 32, 24, &[0, 2]),
    (8, 32, 34, &[0]),
    (12, 256, 144, &[0, 2]),
    (13, 256, 176, &[0, 2]),
    (14, 256, 210, &[208]),
];

/// Sizes of the model; the width is a whole block of every type.
pub(crate) const WIDTH: usize = 256;
pub(crate) const INNER: usize = 256;
pub(crate) const HEADS: usize = 4;
pub(crate) const GROUPS: usize = 2;
pub(crate) const DIM: usize = 16;
pub(crate) const LAYERS: usize = 2;
pub(crate) const CONTEXT: usize = 512;

const TEMPLATE: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}\
    {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// Letters that stand for the bytes, in their order.
fn letters() -> Vec<String> {
    let mut next = 0x100;
    let letter = |byte: u32| {
        let is_plain = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if is_plain { byte } else { next };
        next += u32::from(!is_plain);
        char::from_u32(code).unwrap().to_string()
    };
    (0..256).map(letter).collect()
}

/// Vocabulary, types of tokens and merges.
fn words() -> (Vec<String>, Vec<i32>, Vec<String>) {
    let mut tokens = letters();
    let merges = ["i n", "t h", "th e", "Ġ the", "f i", "fi l", "fil m", "Ġ a", "Ġ film"];
    tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    let mut types = vec![1; tokens.len()];
    for mark in ["<|im_start|>", "<|im_end|>", "<|endoftext|>"] {
        tokens.push(mark.into());
        types.push(3);
    }
    tokens.push("[PAD]".into());
    types.push(5);
    (tokens, types, merges.map(str::to_owned).to_vec())
}

/// Makes a model of a family: `llama`, `qwen2` or `qwen3`. Matrices have numbers of type `kind`.
pub(crate) fn model(family: &str, kind: u32) -> Tiny {
    let (tokens, types, merges) = words();
    let vocabulary = tokens.len();
    let end = tokens.iter().position(|token| token == "<|im_end|>").unwrap() as u32;
    let key = |name: &str| format!("{family}.{name}");
    let pre = if family == "llama" { "llama-bpe" } else { "qwen2" };
    let meta = vec![
        ("general.architecture".into(), Meta::Text(family.into())),
        (key("block_count"), Meta::U32(LAYERS as u32)),
        (key("context_length"), Meta::U32(CONTEXT as u32)),
        (key("embedding_length"), Meta::U32(WIDTH as u32)),
        (key("feed_forward_length"), Meta::U32(INNER as u32)),
        (key("attention.head_count"), Meta::U32(HEADS as u32)),
        (key("attention.head_count_kv"), Meta::U32(GROUPS as u32)),
        (key("attention.key_length"), Meta::U32(DIM as u32)),
        (key("rope.freq_base"), Meta::F32(1000.0)),
        (key("attention.layer_norm_rms_epsilon"), Meta::F32(1e-5)),
        ("tokenizer.ggml.model".into(), Meta::Text("gpt2".into())),
        ("tokenizer.ggml.pre".into(), Meta::Text(pre.into())),
        ("tokenizer.ggml.tokens".into(), Meta::Texts(tokens)),
        ("tokenizer.ggml.token_type".into(), Meta::I32s(types)),
        ("tokenizer.ggml.merges".into(), Meta::Texts(merges)),
        ("tokenizer.ggml.eos_token_id".into(), Meta::U32(end)),
        ("tokenizer.ggml.add_bos_token".into(), Meta::Bool(false)),
        ("tokenizer.chat_template".into(), Meta::Text(TEMPLATE.into())),
    ];
    let mut stream = seed::stream(11, family);
    let mut tensors = Vec::new();
    let mut put = |name: &str, outputs: Option<usize>, inputs: usize, kind: u32| {
        let shape: Vec<u64> =
            [Some(inputs), outputs].into_iter().flatten().map(|n| n as u64).collect();
        let bytes = bytes(&mut stream, kind, inputs * outputs.unwrap_or(1), outputs.is_none());
        tensors.push(Tensor { name: name.into(), shape, kind, bytes });
    };
    put("token_embd.weight", Some(vocabulary), WIDTH, kind);
    put("output_norm.weight", None, WIDTH, 0);
    if family == "llama" {
        put("output.weight", Some(vocabulary), WIDTH, kind);
        put("rope_freqs.weight", None, DIM / 2, 0);
    }
    for layer in 0..LAYERS {
        let name = |name: &str| format!("blk.{layer}.{name}");
        put(&name("attn_norm.weight"), None, WIDTH, 0);
        put(&name("ffn_norm.weight"), None, WIDTH, 0);
        for (part, outputs) in [("q", HEADS * DIM), ("k", GROUPS * DIM), ("v", GROUPS * DIM)] {
            put(&name(&format!("attn_{part}.weight")), Some(outputs), WIDTH, kind);
            if family == "qwen2" {
                put(&name(&format!("attn_{part}.bias")), None, outputs, 0);
            }
            if family == "qwen3" && part != "v" {
                put(&name(&format!("attn_{part}_norm.weight")), None, DIM, 0);
            }
        }
        // 64 inputs are no whole block of the large types.
        let of_mix = if KINDS.iter().any(|k| k.0 == kind && k.1 == 256) { 8 } else { kind };
        put(&name("attn_output.weight"), Some(WIDTH), HEADS * DIM, of_mix);
        put(&name("ffn_gate.weight"), Some(INNER), WIDTH, kind);
        put(&name("ffn_up.weight"), Some(INNER), WIDTH, kind);
        put(&name("ffn_down.weight"), Some(WIDTH), INNER, kind);
    }
    Tiny { meta, tensors }
}

/// Draws numbers of a type. Those of a vector, a norm or a bias, lie around 1, those of a matrix around 0.
fn bytes(stream: &mut impl rand::Rng, kind: u32, count: usize, is_vector: bool) -> Vec<u8> {
    let (_, numbers, size, scales) = *KINDS.iter().find(|k| k.0 == kind).unwrap();
    let mut all = Vec::new();
    for _ in 0..count / numbers {
        let share = stream.next_u32() as f32 / u32::MAX as f32 * 2.0 - 1.0;
        let number = if is_vector { 1.0 + 0.3 * share } else { 0.15 * share };
        match kind {
            0 => all.extend(number.to_le_bytes()),
            // 1 + 1/1024 .. with the exponent of 1/16, and a sign: enough of the kind.
            1 => all.extend((0x2c00 | (stream.next_u32() & 0x83ff) as u16).to_le_bytes()),
            30 => all.extend(((number.to_bits() >> 16) as u16).to_le_bytes()),
            _ => {
                let mut block: Vec<u8> = (0..size).map(|_| stream.next_u32() as u8).collect();
                // The numbers stay small: 2^-9; blocks with scales inside have less, 2^-13 with six bits and 2^-15 with a byte.
                let scale: u16 = match kind {
                    12 | 13 => 0x0800,
                    14 => 0x0200,
                    _ => 0x1800,
                };
                for at in scales {
                    block[*at..at + 2].copy_from_slice(&scale.to_le_bytes());
                }
                all.extend(block);
            }
        }
    }
    all
}

impl Tiny {
    /// Replaces a value of the metadata, or adds it.
    pub(crate) fn set(&mut self, name: &str, value: Meta) {
        self.meta.retain(|(known, _)| known != name);
        self.meta.push((name.into(), value));
    }

    /// Returns a tensor.
    pub(crate) fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).unwrap()
    }

    /// Returns the file's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3u32.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((self.meta.len() as u64).to_le_bytes());
        let text = |file: &mut Vec<u8>, text: &str| {
            file.extend((text.len() as u64).to_le_bytes());
            file.extend(text.as_bytes());
        };
        for (name, value) in &self.meta {
            text(&mut file, name);
            let kind: u32 = match value {
                Meta::U32(_) => 4,
                Meta::F32(_) => 6,
                Meta::Bool(_) => 7,
                Meta::Text(_) => 8,
                Meta::Texts(_) | Meta::I32s(_) => 9,
            };
            file.extend(kind.to_le_bytes());
            match value {
                Meta::U32(n) => file.extend(n.to_le_bytes()),
                Meta::F32(x) => file.extend(x.to_le_bytes()),
                Meta::Bool(yes) => file.push((*yes).into()),
                Meta::Text(value) => text(&mut file, value),
                Meta::Texts(all) => {
                    file.extend(8u32.to_le_bytes());
                    file.extend((all.len() as u64).to_le_bytes());
                    all.iter().for_each(|value| text(&mut file, value));
                }
                Meta::I32s(all) => {
                    file.extend(5u32.to_le_bytes());
                    file.extend((all.len() as u64).to_le_bytes());
                    all.iter().for_each(|n| file.extend(n.to_le_bytes()));
                }
            }
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            text(&mut file, &tensor.name);
            file.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().for_each(|n| file.extend(n.to_le_bytes()));
            file.extend(tensor.kind.to_le_bytes());
            file.extend(offset.to_le_bytes());
            offset += (tensor.bytes.len() as u64).next_multiple_of(32);
        }
        for tensor in &self.tensors {
            file.resize(file.len().next_multiple_of(32), 0);
            file.extend(&tensor.bytes);
        }
        file
    }

    /// Writes it into a folder of its own.
    pub(crate) fn write(&self) -> (TempDir, PathBuf) {
        written(&self.bytes())
    }
}

/// Writes bytes into a folder of their own.
pub(crate) fn written(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = Path::join(folder.path(), "tiny.gguf");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}
