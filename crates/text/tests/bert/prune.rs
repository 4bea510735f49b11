//! Models that have lost heads or layers: what is read, what is taken, and what is refused.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use safetensors::Dtype;
use serde_json::{Value, json};
use tastemaker_core::{Silent, Vectors};
use tastemaker_text::{
    Aside, BertEncoder, BertSettings, Cut, Encoder, Pooling, Pruned, TunableBert, inspect, prune,
};
use tempfile::TempDir;

use crate::tiny::{self, Sizes, Tensors};
use crate::{TEXTS, TINY, assert_naive};

const WIDTH: usize = TINY.hidden / TINY.heads;

fn put(tensors: &Tensors, config: &Value) -> TempDir {
    let folder = TempDir::new().unwrap();
    tiny::write_folder(folder.path(), TINY, tensors);
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

/// Takes heads from a layer, in the plainest way.
fn without_heads(tensors: &mut Tensors, layer: usize, heads: &[usize]) {
    let stays = |at: usize| !heads.contains(&(at / WIDTH));
    let name = |part: &str| format!("encoder.layer.{layer}.attention.{part}");
    for part in ["self.query", "self.key", "self.value"] {
        for (kind, row) in [("weight", TINY.hidden), ("bias", 1)] {
            let (shape, data) = tensors.get_mut(&name(&format!("{part}.{kind}"))).unwrap();
            let rows = data.chunks(row).enumerate().filter(|(at, _)| stays(*at));
            *data = rows.flat_map(|(_, row)| row.to_vec()).collect();
            shape[0] = data.len() / row;
        }
    }
    let (shape, data) = tensors.get_mut(&name("output.dense.weight")).unwrap();
    let columns = data.iter().enumerate().filter(|(at, _)| stays(at % TINY.hidden));
    *data = columns.map(|(_, x)| *x).collect();
    shape[1] = data.len() / TINY.hidden;
}

/// Lets heads give the same for every text: zeros, or the biases of their values.
fn silence(tensors: &mut Tensors, layer: usize, heads: &[usize], keep_bias: bool) {
    for head in heads {
        let name = |kind| format!("encoder.layer.{layer}.attention.self.value.{kind}");
        let rows = head * WIDTH * TINY.hidden..(head + 1) * WIDTH * TINY.hidden;
        tensors.get_mut(&name("weight")).unwrap().1[rows].fill(0.0);
        if !keep_bias {
            let rows = head * WIDTH..(head + 1) * WIDTH;
            tensors.get_mut(&name("bias")).unwrap().1[rows].fill(0.0);
        }
    }
}

fn vectors(folder: &Path) -> Vectors {
    let encoder = BertEncoder::open(folder, &BertSettings::default()).unwrap();
    encoder.encode(&TEXTS.map(|(text, _)| text), &Silent).unwrap().vectors
}

fn assert_near(a: &Vectors, b: &Vectors) {
    assert_eq!(a.flat().len(), b.flat().len());
    for (a, b) in a.flat().iter().zip(b.flat()) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

fn pruned(folder: &Path, cut: Cut) -> Pruned {
    let texts = TEXTS.map(|(text, _)| text);
    prune(folder, &BertSettings::default(), cut, &texts, &Silent).unwrap()
}

/// Prunes a folder and writes what comes out beside it.
fn write(folder: &TempDir, cut: Cut) -> std::path::PathBuf {
    let out = folder.path().join("pruned");
    let aside = Aside::new(&out).unwrap();
    pruned(folder.path(), cut).write(&aside).unwrap();
    aside.keep().unwrap();
    out
}

#[test]
fn pruned_heads_of_a_folder_are_as_if_they_were_silent() {
    let mut tensors = tiny::tensors(TINY);
    let mut config = tiny::config(TINY);
    config["pruned_heads"] = json!({"0": [2], "1": [0, 3]});
    let mut fewer = tensors.clone();
    without_heads(&mut fewer, 0, &[2]);
    without_heads(&mut fewer, 1, &[3, 0]);
    let got = vectors(put(&fewer, &config).path());
    silence(&mut tensors, 0, &[2], false);
    silence(&mut tensors, 1, &[0, 3], false);
    for (row, (_, ids)) in TEXTS.iter().enumerate() {
        assert_naive(&tensors, Pooling::Mean, ids, got.row(row));
    }
}

#[test]
fn heads_that_always_say_the_same_go_first_and_leave_it_in_the_bias() {
    let mut tensors = tiny::tensors(TINY);
    silence(&mut tensors, 0, &[1], true);
    silence(&mut tensors, 1, &[0, 2], true);
    let folder = put(&tensors, &tiny::config(TINY));
    let cut = pruned(folder.path(), Cut::Heads(3));
    let taken: Vec<&[usize]> = cut.layers().iter().map(|layer| &layer.taken[..]).collect();
    assert_eq!(taken, [&[1][..], &[0, 2]]);
    assert_eq!(cut.layers().iter().map(|layer| layer.heads).collect::<Vec<_>>(), [3, 2]);
    let out = write(&folder, Cut::Heads(3));
    assert_near(&vectors(folder.path()), &vectors(&out));
    let config: Value =
        serde_json::from_slice(&fs::read(out.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["pruned_heads"], json!({"0": [1], "1": [0, 2]}));
    // 3 heads of 8 numbers: 3 x 32 weights and 3 biases each before, 32 weights behind.
    let (whole, part) = (inspect(folder.path()).unwrap(), inspect(&out).unwrap());
    assert_eq!(whole.parameters - part.parameters, 3 * 8 * (3 * 33 + 32));
    assert!(part.problem.is_none() && part.bytes < whole.bytes);
}

#[test]
fn a_pruned_model_is_pruned_again_by_the_numbers_of_the_whole_one() {
    let mut tensors = tiny::tensors(TINY);
    silence(&mut tensors, 1, &[3], true);
    without_heads(&mut tensors, 1, &[0]);
    let mut config = tiny::config(TINY);
    config["pruned_heads"] = json!({"1": [0]});
    // What was head 3 is the third of those that are left.
    let folder = put(&tensors, &config);
    let out = write(&folder, Cut::Heads(1));
    let config: Value =
        serde_json::from_slice(&fs::read(out.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["pruned_heads"], json!({"1": [0, 3]}));
    assert_near(&vectors(folder.path()), &vectors(&out));
}

#[test]
fn a_layer_that_changes_nothing_goes_first_and_the_others_close_up() {
    let sizes = Sizes { layers: 3, ..TINY };
    let mut tensors = tiny::tensors(sizes);
    let mut fill = |name: &str, x: f32| tensors.get_mut(name).unwrap().1.fill(x);
    // Layer 0 ends with length 1 in every direction, and layer 1 adds nothing to it.
    for norm in ["0.output", "1.attention.output", "1.output"] {
        fill(&format!("encoder.layer.{norm}.LayerNorm.weight"), 1.0);
        fill(&format!("encoder.layer.{norm}.LayerNorm.bias"), 0.0);
    }
    for part in ["attention.output.dense", "output.dense"] {
        fill(&format!("encoder.layer.1.{part}.weight"), 0.0);
        fill(&format!("encoder.layer.1.{part}.bias"), 0.0);
    }
    let named = tensors.into_iter().map(|(name, tensor)| (format!("bert.{name}"), tensor));
    let folder = put(&named.collect(), &tiny::config(sizes));
    let out = write(&folder, Cut::Layers(1));
    let config: Value =
        serde_json::from_slice(&fs::read(out.join("config.json")).unwrap()).unwrap();
    assert_eq!((&config["num_hidden_layers"], &config["pruned_heads"]), (&json!(2), &json!({})));
    assert_near(&vectors(folder.path()), &vectors(&out));
    let names: Vec<String> =
        inspect(&out).unwrap().tensors.into_iter().map(|tensor| tensor.name).collect();
    assert!(names.contains(&"bert.encoder.layer.1.output.dense.bias".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("layer.2")), "{names:?}");
}

#[test]
fn the_same_goes_on_any_number_of_threads() {
    let folder = put(&tiny::tensors(TINY), &tiny::config(TINY));
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| pruned(folder.path(), Cut::Share(0.5)).layers().to_vec())
    };
    let (one, three) = (with(1), with(3));
    assert_eq!(one, three);
    assert_eq!(one.iter().map(|layer| layer.heads).sum::<usize>(), 4);
}

#[test]
fn more_than_there_is_cannot_go() {
    let folder = put(&tiny::tensors(TINY), &tiny::config(TINY));
    let fault = |cut, texts: &[&str]| {
        let settings = BertSettings::default();
        prune(folder.path(), &settings, cut, texts, &Silent).unwrap_err().to_string()
    };
    for (cut, part) in [
        (Cut::Heads(0), "`heads` must be between 1 and 6, is 0"),
        (Cut::Heads(7), "`heads` must be between 1 and 6, is 7"),
        (Cut::Layers(0), "`layers` must be between 1 and 1, is 0"),
        (Cut::Layers(2), "`layers` must be between 1 and 1, is 2"),
        (Cut::Share(0.0), "`share` must be above 0 and below 1, is 0"),
        (Cut::Share(f64::NAN), "`share` must be above 0 and below 1, is NaN"),
        (Cut::Share(0.01), "`share` must be between 1 and 6, is 0: 0.01"),
        (Cut::Share(0.99), "`share` must be between 1 and 6, is 8: 0.99"),
    ] {
        let told = fault(cut, &["red film"]);
        assert!(told.contains(part), "{told}");
    }
    let told = fault(Cut::Heads(1), &["", " "]);
    assert!(told.contains("`texts` hold no words"), "{told}");
}

#[test]
fn a_pruned_model_is_not_tuned() {
    let mut config = tiny::config(TINY);
    config["pruned_heads"] = json!({"0": [2]});
    let mut tensors = tiny::tensors(TINY);
    without_heads(&mut tensors, 0, &[2]);
    let folder = put(&tensors, &config);
    let told = TunableBert::open(folder.path(), &BertSettings::default()).unwrap_err().to_string();
    assert!(told.contains("`pruned_heads`") && told.contains("tuning"), "{told}");
}

#[test]
fn a_prefix_and_a_loss_of_heads_do_not_go_together() {
    let folder = put(&tiny::tensors(TINY), &tiny::config(TINY));
    let (width, tokens) = (2 * TINY.layers * TINY.hidden, 2);
    let prompt = (vec![tokens, width], vec![0.5; tokens * width]);
    let prefix = folder.path().join("prefix");
    fs::create_dir(&prefix).unwrap();
    let config = json!({ "peft_type": "PREFIX_TUNING", "num_virtual_tokens": tokens });
    fs::write(prefix.join("adapter_config.json"), config.to_string()).unwrap();
    let named: Tensors = [("prompt_embeddings".to_owned(), prompt)].into();
    let path = prefix.join("adapter_model.safetensors");
    tiny::write_tensors(&path, &named, Dtype::F32, |x| x.to_le_bytes().to_vec());
    assert_eq!(vectors(folder.path()).rows(), TEXTS.len());
    let settings = BertSettings::default();
    let told = prune(folder.path(), &settings, Cut::Heads(1), &["a"], &Silent).unwrap_err();
    assert!(told.to_string().contains("`prefix` is 2"), "{told}");

    let mut config = tiny::config(TINY);
    config["pruned_heads"] = json!({"0": [2]});
    let mut tensors = tiny::tensors(TINY);
    without_heads(&mut tensors, 0, &[2]);
    tiny::write_folder(folder.path(), TINY, &tensors);
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let told = BertEncoder::open(folder.path(), &settings).unwrap_err().to_string();
    assert!(told.contains("adapter_config.json") && told.contains("`pruned_heads`"), "{told}");
}

#[test]
fn pruned_heads_that_do_not_fit_are_told_with_their_file() {
    for (field, parts) in [
        (json!({"2": [0]}), ["config.json", "layer `2`"]),
        (json!({"0": [4]}), ["layer 0", "head 4"]),
        (json!({"0": [0, 1, 2, 3]}), ["all 4 heads", "layer 0"]),
        (json!("0"), ["config.json", "`pruned_heads`"]),
        // The tensors still have all their heads.
        (json!({"0": [1]}), ["attention.self.query.weight", "[24, 32]"]),
    ] {
        let mut config = tiny::config(TINY);
        config["pruned_heads"] = field;
        let folder = put(&tiny::tensors(TINY), &config);
        let error = BertEncoder::open(folder.path(), &BertSettings::default()).unwrap_err();
        let told = error.to_string();
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_pruned_heads_are_a_panic(
        layer in prop_oneof![(0usize..3).prop_map(|n| n.to_string()), "[-+ .0-9a-z]{0,6}"],
        heads in prop::collection::vec(prop_oneof![0i64..5, any::<i64>()], 0..6),
    ) {
        let mut config = tiny::config(TINY);
        config["pruned_heads"] = json!({ (layer): heads });
        let folder = put(&tiny::tensors(TINY), &config);
        let opened = BertEncoder::open(folder.path(), &BertSettings::default());
        if let Ok(encoder) = opened {
            prop_assert!(heads.is_empty());
            encoder.encode(&["red film"], &Silent).unwrap();
        }
        inspect(folder.path()).unwrap();
    }
}
