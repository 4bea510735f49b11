//! Files damaged anywhere: an error that names the file and the place, or a model that works; never a panic, and no memory for what
//! a damaged header promises.

use proptest::prelude::*;
use tastemaker_text::{
    ChatModel, ChatRequest, GgufChat, GgufSettings, Likelihood, ReplyForm, ReplySettings, Role,
    Turn,
};

use crate::tiny::{self, Meta, Tensor, Tiny};

fn fault(tiny: &Tiny) -> String {
    let (_folder, path) = tiny.write();
    let error = GgufChat::open(&path, &GgufSettings::default()).unwrap_err().to_string();
    assert!(error.contains("tiny.gguf"), "{error}");
    error
}

/// Opens bytes; what opens must answer, or say why not.
fn try_all(bytes: &[u8]) {
    let (_folder, path) = tiny::written(bytes);
    if let Ok(model) = GgufChat::open(&path, &GgufSettings::default()) {
        let settings = ReplySettings { max_tokens: 3, ..ReplySettings::default() };
        let turns = vec![Turn::new(Role::User, "a film, 电影 <|im_end|>")];
        model.log_probs(&turns, &["the film"]).ok();
        model.reply(&ChatRequest { turns, form: ReplyForm::Free, settings }, &mut |_| true).ok();
    }
}

#[test]
fn a_file_cut_anywhere_names_the_file_and_the_place() {
    let bytes = tiny::model("qwen3", 12).bytes();
    // Every byte of the beginning, then every region of the header and of the numbers.
    let places = (0..200).chain((200..bytes.len()).step_by(bytes.len() / 150));
    for at in places.chain([bytes.len() - 1]) {
        let (_folder, path) = tiny::written(&bytes[..at]);
        let error = GgufChat::open(&path, &GgufSettings::default()).unwrap_err().to_string();
        let is_placed = error.contains("byte ") || error.contains("tensor `");
        assert!(error.contains("tiny.gguf") && is_placed, "{at}: {error}");
    }
}

#[test]
fn what_cannot_be_is_told_by_name() {
    let good = tiny::model("qwen2", 0);
    let with = |name: &str, value: Meta| {
        let mut tiny = good.clone();
        tiny.set(name, value);
        fault(&tiny)
    };
    let text = |text: &str| Meta::Text(text.into());
    for (name, value, words) in [
        ("general.architecture", text("mamba"), "llama, qwen2 and qwen3"),
        ("tokenizer.ggml.model", text("llama"), "byte-level"),
        ("tokenizer.ggml.pre", text("tekken"), "llama-bpe"),
        ("qwen2.rope.scaling.type", text("yarn"), "linear"),
        ("qwen2.block_count", Meta::U32(3), "blk.2."),
        ("qwen2.block_count", Meta::U32(u32::MAX), "block_count"),
        ("qwen2.embedding_length", Meta::U32(128), "token_embd.weight"),
        ("qwen2.embedding_length", text("wide"), "must be an integer"),
        ("qwen2.attention.head_count", Meta::U32(3), "head_count_kv"),
        ("qwen2.attention.head_count", Meta::U32(0), "must be 1 to"),
        ("qwen2.attention.key_length", Meta::U32(32), "attn_q.weight"),
        ("qwen2.feed_forward_length", Meta::U32(512), "ffn_gate.weight"),
        ("qwen2.rope.dimension_count", Meta::U32(3), "by twos"),
        ("qwen2.rope.freq_base", Meta::F32(-1.0), "above 0"),
        ("qwen2.context_length", Meta::Bool(true), "context_length"),
        ("tokenizer.ggml.tokens", Meta::Texts(Vec::new()), "tokenizer.ggml"),
        ("tokenizer.ggml.tokens", Meta::I32s(vec![1]), "list of texts"),
        ("tokenizer.ggml.token_type", Meta::I32s(vec![1]), "every token"),
        ("tokenizer.ggml.merges", Meta::Texts(vec!["ab".into()]), "no pair"),
        ("tokenizer.ggml.merges", Meta::Texts(vec!["a zz".into()]), "\"zz\""),
        ("tokenizer.ggml.eos_token_id", Meta::U32(9999), "eos_token_id"),
        ("general.alignment", Meta::U32(3), "power of two"),
    ] {
        let error = with(name, value);
        assert!(error.contains(words), "{name}: {error}");
    }
    let mut tiny = good.clone();
    tiny.meta.retain(|(name, _)| name != "tokenizer.chat_template");
    assert!(fault(&tiny).contains("instruction-tuned"));
    let mut tiny = good.clone();
    tiny.meta.push(("qwen2.block_count".into(), Meta::U32(1)));
    assert!(fault(&tiny).contains("`qwen2.block_count` is there twice"));
}

#[test]
fn tensors_that_cannot_be_are_told_by_name() {
    let good = tiny::model("llama", 0);
    let with = |change: &dyn Fn(&mut Tensor)| {
        let mut tiny = good.clone();
        change(tiny.tensor("blk.1.ffn_up.weight"));
        let error = fault(&tiny);
        assert!(error.contains("blk.1.ffn_up.weight"), "{error}");
        error
    };
    assert!(with(&|tensor| tensor.kind = 10).contains("type 10"));
    assert!(with(&|tensor| tensor.kind = 14).contains("ffn_up"));
    assert!(with(&|tensor| tensor.shape = vec![u64::MAX, 2]).contains("shape"));
    assert!(with(&|tensor| tensor.shape = vec![0, 2]).contains("shape"));
    assert!(with(&|tensor| tensor.shape = vec![1 << 40, 1 << 20]).contains("bytes"));
    assert!(with(&|tensor| tensor.shape = vec![65536]).contains("[65536]"));
    assert!(with(&|tensor| tensor.shape = vec![1; 5]).contains("5 dimensions"));
    let nan = |tensor: &mut Tensor| tensor.bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(with(&nan).contains("row 0 holds NaN"));
    let mut tiny = good.clone();
    let again = tiny.tensor("output_norm.weight").clone();
    tiny.tensors.push(again);
    assert!(fault(&tiny).contains("`output_norm.weight` is there twice"));
    let mut tiny = good.clone();
    tiny.tensors.retain(|tensor| tensor.name != "output_norm.weight");
    assert!(fault(&tiny).contains("output_norm.weight"));
}

#[test]
fn counts_that_no_file_holds_take_no_memory() {
    let good = tiny::model("qwen2", 0).bytes();
    // Tensors, entries, the length of the first name.
    for at in [8, 16, 24] {
        for number in [u64::MAX, 1 << 40, 1 << 20] {
            let mut bytes = good.clone();
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
            let (_folder, path) = tiny::written(&bytes);
            let error = GgufChat::open(&path, &GgufSettings::default()).unwrap_err().to_string();
            assert!(error.contains("tiny.gguf: byte "), "{error}");
        }
    }
    for (bytes, words) in [
        (&b"GGML"[..], "does not begin with"),
        (b"GGUF\x00\x00\x00\x03", "version"),
        (b"GGUF\x01\x00\x00\x00", "version 1"),
        (b"", "byte 0"),
    ] {
        let (_folder, path) = tiny::written(bytes);
        let error = GgufChat::open(&path, &GgufSettings::default()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// What is done to a file.
#[derive(Clone, Debug)]
enum Damage {
    Cut,
    Flip(u8),
    Eight(u64),
    Gone(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        Just(Damage::Cut),
        (0u8..8).prop_map(Damage::Flip),
        prop_oneof![any::<u64>(), Just(u64::MAX), Just(1 << 40), 0u64..100_000]
            .prop_map(Damage::Eight),
        (1usize..64).prop_map(Damage::Gone),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_damage_is_a_panic(
        family in prop::sample::select(vec!["llama", "qwen2", "qwen3"]),
        kind in prop::sample::select(vec![0u32, 1, 8, 12, 14]),
        (near_start, at) in (0..4, any::<prop::sample::Index>()),
        damage in damage(),
    ) {
        let mut bytes = tiny::model(family, kind).bytes();
        // Most hits go to the header.
        let at = at.index(match near_start { 0 => bytes.len(), 1 => 800, _ => 12_000 });
        let rest = bytes.len() - at;
        match damage {
            Damage::Cut => bytes.truncate(at),
            Damage::Flip(bit) => bytes[at] ^= 1 << bit,
            Damage::Eight(number) => {
                let n = rest.min(8);
                bytes[at..at + n].copy_from_slice(&number.to_le_bytes()[..n]);
            }
            Damage::Gone(n) => drop(bytes.drain(at..at + n.min(rest))),
        }
        try_all(&bytes);
    }
}
