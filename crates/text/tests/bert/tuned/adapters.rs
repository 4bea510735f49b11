//! Adapters and prefixes: gradients, the encoder that reads them, PEFT's form of LoRA and of prefixes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tastemaker_core::Silent;
use tastemaker_text::{
    BertEncoder, BertSettings, BertTokens, DenseLayer, Dropout, Encoder, Lora, LoraPair,
    NamedTensor, Pooling, TunableBert, TuneBlock, TuneState, Wanted, merge_adapter,
};
use tempfile::TempDir;

use super::tune::{gradients, loss, pooled};
use crate::tiny::{self, Sizes};

const SMALL: Sizes = Sizes { hidden: 8, layers: 2, heads: 2, inner: 12, positions: 14 };
const TEXTS: [&str; 3] = ["a red film", "books", "the blue sea 电影"];

fn settings() -> BertSettings {
    BertSettings { normalise: false, max_tokens: Some(10), ..BertSettings::default() }
}

struct Opened {
    folder: TempDir,
    bert: TunableBert,
    weights: Vec<f32>,
}

fn open() -> Opened {
    let folder = TempDir::new().unwrap();
    tiny::write_folder(folder.path(), SMALL, &tiny::tensors(SMALL));
    let (bert, weights) = TunableBert::open(folder.path(), &settings()).unwrap();
    Opened { folder, bert, weights }
}

/// An encoder with adapters or a prefix that do something.
fn extended(is_prefix: bool) -> Opened {
    let Opened { folder, mut bert, mut weights } = open();
    let n = weights.len();
    if is_prefix {
        let texts = bert.tokenise(&TEXTS).unwrap();
        bert.add_prefix(&mut weights, 3, &texts).unwrap();
    } else {
        bert.add_adapters(&mut weights, 3, |values, _| values.fill(0.3)).unwrap();
    }
    weights[n..].iter_mut().enumerate().for_each(|(i, x)| *x += 0.4 * (i as f32 * 1.7).sin());
    Opened { folder, bert, weights }
}

fn write(folder: &Path, files: Vec<(String, Vec<u8>)>) {
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The vectors of the encoder that learns.
fn learns(bert: &TunableBert, weights: &[f32]) -> Vec<f32> {
    let tokens = bert.tokenise(&TEXTS).unwrap();
    let mut vectors = vec![0.0; tokens.len() * bert.dim()];
    let texts: Vec<&BertTokens> = tokens.iter().collect();
    bert.forward(weights, pooled(&texts), &mut TuneState::default(), &mut vectors);
    vectors
}

/// The vectors of the encoder that reads.
fn reads(folder: &Path) -> Vec<f32> {
    let encoder = BertEncoder::open(folder, &settings()).unwrap();
    encoder.encode(&TEXTS, &Silent).unwrap().vectors.flat().to_vec()
}

fn assert_same(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() < 1e-5, "{got} {want}");
    }
}

fn far(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-2)
}

#[test]
fn adapters_do_nothing_at_first_and_a_prefix_starts_as_what_texts_say() {
    let Opened { mut bert, mut weights, .. } = open();
    let before = learns(&bert, &weights);
    bert.add_adapters(&mut weights, 4, |values, inputs| values.fill(inputs as f32)).unwrap();
    assert_same(&learns(&bert, &weights), &before);
    let tensors = bert.tensors().iter();
    let n: usize = tensors.filter(|t| t.name.contains("adapter")).map(|t| t.range.len()).sum();
    assert_eq!(n, 2 * 2 * (4 * 8 + 4 + 8 * 4 + 8));
    let texts = bert.tokenise(&TEXTS).unwrap();
    let error = bert.add_prefix(&mut weights, 2, &texts).unwrap_err().to_string();
    assert!(error.contains("one of the two"), "{error}");
    let Opened { mut bert, mut weights, .. } = open();
    let error = bert.add_prefix(&mut weights, 5, &texts).unwrap_err().to_string();
    assert!(error.contains("at most 4 beside texts of 10 tokens"), "{error}");
    bert.add_prefix(&mut weights, 3, &texts).unwrap();
    assert!(far(&learns(&bert, &weights), &before));
}

#[test]
fn gradients_of_adapters_and_prefixes_equal_numeric_ones_and_reach_what_is_below() {
    for (is_prefix, rate) in [(false, 0.0), (true, 0.0), (false, 0.3)] {
        let Opened { bert, mut weights, .. } = extended(is_prefix);
        let tokens = bert.tokenise(&TEXTS).unwrap();
        let texts: Vec<&BertTokens> = tokens.iter().collect();
        let w: Vec<f32> = (0..texts.len() * bert.dim()).map(|i| (i as f32 * 1.3).cos()).collect();
        let wanted = Wanted::new(bert.tensors(), |_| true);
        let dropout = Dropout { rate, key: 3, first: 0 };
        let block = TuneBlock { dropout, ..pooled(&texts) };
        let got = gradients((&bert, &weights), (block, &w), &wanted);
        let step = 4e-3;
        for at in 0..weights.len() {
            let mut moved = |by: f32| {
                let old = weights[at];
                weights[at] += by;
                let loss = loss((&bert, &weights), block, &w);
                weights[at] = old;
                loss
            };
            let want = (moved(step) - moved(-step)) / f64::from(2.0 * step);
            let error = (f64::from(got[at]) - want).abs();
            let name =
                || bert.tensors().iter().find(|t| t.range.contains(&at)).unwrap().name.clone();
            assert!(error < 4e-3 + 2e-2 * want.abs(), "{} {at}: {} {want}", name(), got[at]);
        }
        // Alone they get what they get among all.
        let is_extra = |t: &NamedTensor| t.name.contains("adapter") || t.name.contains("prefix");
        let extra = Wanted::new(bert.tensors(), is_extra);
        let alone = gradients((&bert, &weights), (block, &w), &extra);
        assert_same(&alone, &got[got.len() - alone.len()..]);
    }
}

#[test]
fn the_encoder_that_reads_opens_what_was_written_and_so_does_the_one_that_learns() {
    for is_prefix in [false, true] {
        let Opened { folder: _kept, bert, weights } = extended(is_prefix);
        let want = learns(&bert, &weights);
        let out = TempDir::new().unwrap();
        write(out.path(), bert.files(&weights, None).unwrap());
        assert_same(&reads(out.path()), &want);
        let (again, read) = TunableBert::open(out.path(), &settings()).unwrap();
        assert!(read == weights, "to the bit");
        assert_same(&learns(&again, &read), &want);
        let plain = open();
        assert!(far(&want, &learns(&plain.bert, &plain.weights)));
        let id = |folder: &Path| BertEncoder::open(folder, &settings()).unwrap().id();
        assert_ne!(id(out.path()), id(plain.folder.path()), "the cache must not mix them up");
    }
}

#[test]
fn a_head_becomes_a_module_behind_the_pooling() {
    for pooling in [Pooling::Mean, Pooling::Cls] {
        let Opened { folder, .. } = open();
        let settings = BertSettings { pooling, ..settings() };
        let (bert, weights) = TunableBert::open(folder.path(), &settings).unwrap();
        let number = |i: usize| (i as f32 * 0.9).sin();
        let weight: Vec<f32> = (0..64).map(number).collect();
        let head = DenseLayer { weight, bias: (0..8).map(number).collect() };
        let out = TempDir::new().unwrap();
        write(out.path(), bert.files(&weights, Some(&head)).unwrap());
        let pooled = learns(&bert, &weights);
        let of = |row: &[f32], to: usize| {
            let weights = &head.weight[to * 8..to * 8 + 8];
            row.iter().zip(weights).map(|(x, w)| x * w).sum::<f32>() + head.bias[to]
        };
        let row = |row| (0..8).map(move |to| of(row, to));
        let want: Vec<f32> = pooled.chunks_exact(8).flat_map(row).collect();
        assert_same(&reads(out.path()), &want);
        let modules: Value =
            serde_json::from_slice(&fs::read(out.path().join("modules.json")).unwrap()).unwrap();
        let paths: Vec<&str> =
            modules.as_array().unwrap().iter().map(|m| m["path"].as_str().unwrap()).collect();
        assert_eq!(paths, ["", "1_Pooling", "2_Dense", "3_Normalize"]);
    }
}

fn lora() -> Lora {
    let pair = |(n, name): (usize, &str)| LoraPair {
        name: format!("encoder.layer.{n}.{name}"),
        a: (0..16).map(|i| (i as f32 * 0.7).sin()).collect(),
        b: (0..16).map(|i| 0.5 * (i as f32 * 1.1).cos()).collect(),
    };
    let names = [(0, "attention.self.query"), (1, "attention.output.dense")];
    Lora { rank: 2, scale: 1.5, pairs: names.map(pair).to_vec() }
}

#[test]
fn lora_merges_into_what_it_was_learnt_as() {
    let Opened { folder, bert, mut weights } = open();
    for pair in lora().pairs {
        let name = format!("{}.weight", pair.name);
        let tensor = bert.tensors().iter().find(|tensor| tensor.name == name).unwrap();
        for (at, x) in weights[tensor.range.clone()].iter_mut().enumerate() {
            let (row, column) = (at / 8, at % 8);
            let sum: f32 = (0..2).map(|r| pair.b[row * 2 + r] * pair.a[r * 8 + column]).sum();
            *x += 1.5 * sum;
        }
    }
    let out = TempDir::new().unwrap();
    write(out.path(), bert.lora_files(&lora()).unwrap());
    let merged = merge_adapter(folder.path(), &out.path().join("lora")).unwrap();
    assert_eq!((merged.kind, merged.parts), ("LORA", 2));
    write(out.path(), merged.files);
    assert_same(&reads(out.path()), &learns(&bert, &weights));
}

#[test]
fn a_prefix_merges_into_a_folder_beside_the_weights() {
    let Opened { folder, bert, weights } = extended(true);
    let out = TempDir::new().unwrap();
    write(out.path(), bert.files(&weights, None).unwrap());
    let merged = merge_adapter(folder.path(), &out.path().join("prefix")).unwrap();
    assert_eq!((merged.kind, merged.parts), ("PREFIX_TUNING", 3));
    let again = TempDir::new().unwrap();
    write(again.path(), merged.files);
    assert!(reads(again.path()) == reads(out.path()));
    let error = merge_adapter(again.path(), &out.path().join("prefix")).unwrap_err().to_string();
    assert!(error.contains("an encoder without one"), "{error}");
}

#[test]
fn adapters_that_mean_something_else_are_refused() {
    let Opened { folder, bert, .. } = open();
    let out = TempDir::new().unwrap();
    write(out.path(), bert.lora_files(&lora()).unwrap());
    let path = out.path().join("lora/adapter_config.json");
    let good: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (field, value) in [
        ("peft_type", json!("IA3")),
        ("use_dora", json!(true)),
        ("fan_in_fan_out", json!(true)),
        ("bias", json!("all")),
        ("modules_to_save", json!(["classifier"])),
        ("rank_pattern", json!({ "query": 4 })),
        ("r", json!(0)),
        ("r", json!(3)),
        ("lora_alpha", Value::Null),
    ] {
        let mut config = good.clone();
        config[field] = value.clone();
        fs::write(&path, config.to_string()).unwrap();
        let error = merge_adapter(folder.path(), &out.path().join("lora")).unwrap_err().to_string();
        let told = if value == json!(3) { "[3, 8]" } else { field };
        assert!(error.contains(told), "{field}: {error}");
    }
    fs::write(&path, good.to_string()).unwrap();
    let mut foreign = lora();
    foreign.pairs[0].name = "encoder.layer.7.attention.self.query".into();
    write(out.path(), bert.lora_files(&foreign).unwrap());
    let error = merge_adapter(folder.path(), &out.path().join("lora")).unwrap_err().to_string();
    assert!(error.contains("layer.7.attention.self.query"), "{error}");
}

#[test]
fn damaged_extras_are_refused_by_name() {
    let fault = |is_prefix: bool, name: &str, change: fn(&mut Value)| {
        let Opened { folder: _kept, bert, weights } = extended(is_prefix);
        let out = TempDir::new().unwrap();
        write(out.path(), bert.files(&weights, None).unwrap());
        let path = out.path().join(name);
        let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        fs::write(&path, value.to_string()).unwrap();
        BertEncoder::open(out.path(), &settings()).unwrap_err().to_string()
    };
    let prefix = "prefix/adapter_config.json";
    for (error, told) in [
        (fault(false, "adapters/config.json", |v| v["width"] = 9.into()), "[9, 8]"),
        (fault(false, "adapters/config.json", |v| v["width"] = 0.into()), "`width`"),
        (fault(false, "adapters/config.json", |v| v["activation"] = "relu".into()), "`relu`"),
        (fault(true, prefix, |v| v["num_virtual_tokens"] = 12.into()), "leaves no positions"),
        (fault(true, prefix, |v| v["num_virtual_tokens"] = 2.into()), "[2, 32]"),
        (fault(true, prefix, |v| v["num_layers"] = 3.into()), "`num_layers` is 3"),
        (fault(true, prefix, |v| v["peft_type"] = "LORA".into()), "`LORA`"),
    ] {
        assert!(error.contains(told), "{told}: {error}");
    }
}
