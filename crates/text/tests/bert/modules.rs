//! What a folder says follows the transformer: pooling, dense layers, prefixes; and what is refused.

use std::fs;
use std::path::Path;

use safetensors::Dtype;
use serde_json::{Value, json};
use tastemaker_core::Silent;
use tastemaker_text::{
    BertEncoder, BertSettings, Encoder, Error, Narrowed, Pooling, Prefixed, Prompts, TunableBert,
};
use tempfile::TempDir;

use crate::tiny::Tensors;
use crate::{TINY, folder, naive, open, tiny};

/// The naive vectors of the tokens of "red film".
fn tokens(tensors: &Tensors) -> Vec<Vec<f64>> {
    naive::forward(tensors, TINY, &[2, 5, 7, 3])
}

fn unit(vector: Vec<f64>) -> Vec<f64> {
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    vector.into_iter().map(|x| x / length).collect()
}

fn assert_near(got: &[f32], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (x, want) in got.iter().zip(want) {
        assert!((f64::from(*x) - want).abs() < 3e-6, "{x} {want}");
    }
}

fn put(folder: &Path, name: &str, value: &Value) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, value.to_string()).unwrap();
}

fn modules(kinds: &[(&str, &str)]) -> Value {
    let one = |(path, kind): &(&str, &str)| json!({ "path": path, "type": format!("sentence_transformers.models.{kind}") });
    kinds.iter().map(one).collect()
}

#[test]
fn the_greatest_and_the_last_token_are_taken_where_the_folder_says_so() {
    let (folder, tensors) = folder();
    let all = tokens(&tensors);
    let greatest = (0..TINY.hidden).map(|i| all.iter().map(|t| t[i]).fold(f64::MIN, f64::max));
    let cases = [
        (json!({ "pooling_mode_max_tokens": true }), unit(greatest.clone().collect())),
        (json!({ "pooling_mode_lasttoken": true }), unit(all[3].clone())),
        (json!({ "pooling_mode": "max" }), unit(greatest.collect())),
        (
            json!({ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false }),
            unit(all[0].clone()),
        ),
    ];
    for (config, want) in cases {
        put(folder.path(), "1_Pooling/config.json", &config);
        let encoded = open(&folder, &BertSettings::default()).encode(&["red film"], &Silent);
        assert_near(encoded.unwrap().vectors.row(0), &want);
    }
}

#[test]
fn dense_layers_follow_the_pooling_in_their_order() {
    let (folder, tensors) = folder();
    let kinds = [
        ("", "Transformer"),
        ("1_Pooling", "Pooling"),
        ("2_Dense", "Dense"),
        ("3_Dense", "Dense"),
        ("4_Normalize", "Normalize"),
    ];
    put(folder.path(), "modules.json", &modules(&kinds));
    put(folder.path(), "1_Pooling/config.json", &json!({ "pooling_mode_cls_token": true }));
    let weight = |at: usize| ((at * 37 % 11) as f32 - 5.0) / 20.0;
    let (wide, narrow): (Vec<f32>, Vec<f32>) =
        ((0..6 * TINY.hidden).map(weight).collect(), (0..4 * 6).map(weight).collect());
    let bias: Vec<f32> = (0..6).map(weight).collect();
    for (name, from, to, function) in
        [("2_Dense", TINY.hidden, 6, "Tanh"), ("3_Dense", 6, 4, "Identity")]
    {
        let has_bias = name == "2_Dense";
        let function = format!("torch.nn.modules.activation.{function}");
        let config = json!({ "in_features": from, "out_features": to, "bias": has_bias, "activation_function": function });
        put(folder.path(), &format!("{name}/config.json"), &config);
        let numbers = if has_bias { &wide } else { &narrow };
        let mut layer =
            Tensors::from([("linear.weight".to_owned(), (vec![to, from], numbers.clone()))]);
        if has_bias {
            layer.insert("linear.bias".to_owned(), (vec![to], bias.clone()));
        }
        let path = folder.path().join(name).join("model.safetensors");
        tiny::write_tensors(&path, &layer, Dtype::F32, |x| x.to_le_bytes().to_vec());
    }
    let times = |weight: &[f32], x: &[f64]| -> Vec<f64> {
        let dot = |row: &[f32]| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum();
        weight.chunks(x.len()).map(dot).collect()
    };
    let hidden = times(&wide, &tokens(&tensors)[0]);
    let hidden: Vec<f64> =
        hidden.iter().zip(&bias).map(|(x, b)| (x + f64::from(*b)).tanh()).collect();
    let want = unit(times(&narrow, &hidden));
    let encoder = open(&folder, &BertSettings::default());
    assert_eq!(encoder.dim(), 4);
    let encoded = encoder.encode(&["", "red film", "a blue book"], &Silent).unwrap();
    assert_near(encoded.vectors.row(1), &want);
    assert!(encoded.vectors.row(0).iter().all(|x| x.abs() < f32::MIN_POSITIVE));
    // What stands behind the transformer is not learnt.
    let error = TunableBert::open(folder.path(), &BertSettings::default()).err().unwrap();
    assert!(error.to_string().contains("dense"), "{error}");
    // A layer that does not fit is told by its file.
    let config = json!({ "in_features": 5, "out_features": 4, "activation_function": "Tanh" });
    put(folder.path(), "3_Dense/config.json", &config);
    let error = BertEncoder::open(folder.path(), &BertSettings::default()).unwrap_err();
    assert!(
        error.to_string().contains("3_Dense") && error.to_string().contains("5 to 4"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_computed_is_refused_by_name() {
    let (transformer, pooling) = (("", "Transformer"), ("1_Pooling", "Pooling"));
    let fault = |name: &str, value: &Value| {
        let (folder, _) = folder();
        put(folder.path(), name, value);
        let error = BertEncoder::open(folder.path(), &BertSettings::default()).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        error.to_string()
    };
    for (kinds, told) in [
        (vec![transformer, pooling, ("2", "LayerNorm")], "`LayerNorm`"),
        (vec![transformer, ("1", "WeightedLayerPooling")], "`WeightedLayerPooling`"),
        (
            vec![transformer, pooling, ("2", "Normalize"), ("3", "Dense")],
            "`Dense` after `Normalize`",
        ),
        (vec![("", "WordEmbeddings")], "`WordEmbeddings`"),
        (vec![("0_Transformer", "Transformer"), pooling], "`0_Transformer`"),
        (vec![transformer, ("../1_Pooling", "Pooling")], "`../1_Pooling`"),
    ] {
        let message = fault("modules.json", &modules(&kinds));
        assert!(message.contains(told) && message.contains("modules.json"), "{message}");
    }
    for (config, told) in [
        (json!({ "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true }), "max"),
        (json!({ "pooling_mode_weightedmean_tokens": true }), "weightedmean"),
        (json!({ "pooling_mode_mean_sqrt_len_tokens": true }), "mean_sqrt_len"),
        (json!({ "pooling_mode_mean_tokens": true, "include_prompt": false }), "include_prompt"),
        (json!({}), "missing"),
    ] {
        let message = fault("1_Pooling/config.json", &config);
        assert!(message.contains(told), "{message}");
    }
}

#[test]
fn tuning_takes_no_pooling_that_it_cannot_go_back_through() {
    let (folder, _) = folder();
    for pooling in [Pooling::Max, Pooling::Last] {
        let settings = BertSettings { pooling, ..BertSettings::default() };
        let error = TunableBert::open(folder.path(), &settings).err().unwrap();
        assert!(matches!(error, Error::Unsupported { field: "pooling", .. }), "{error}");
    }
}

#[test]
fn prefixes_are_those_the_folder_states_else_those_of_its_name() {
    let place = TempDir::new().unwrap();
    let of = |name: &str, file: &str, value: &Value| {
        let folder = place.path().join(name);
        put(&folder, file, value);
        let Prompts { query, item } = Prompts::of(&folder).unwrap();
        (query, item)
    };
    let said = |query: &str, item: &str| (query.to_owned(), item.to_owned());
    let st = "config_sentence_transformers.json";
    let own = json!({ "prompts": { "query": "q: ", "document": "d: " } });
    assert_eq!(of("a-e5", st, &own), said("q: ", "d: "));
    let empty = json!({ "prompts": { "query": "", "document": "" }, "default_prompt_name": null });
    assert_eq!(of("b-e5", st, &empty), said("query: ", "passage: "));
    let common = json!({ "prompts": { "all": "x " }, "default_prompt_name": "all" });
    assert_eq!(of("c", st, &common), said("x ", "x "));
    assert_eq!(
        of("d", "config.json", &json!({ "_name_or_path": "intfloat/e5-base" })),
        said("query: ", "passage: ")
    );
    assert_eq!(
        of("models--intfloat--e5-small/snapshots/0a1b", "config.json", &json!({})),
        said("query: ", "passage: ")
    );
    assert_eq!(of("minilm", "config.json", &json!({})), said("", ""));
    fs::write(place.path().join("minilm").join(st), "[").unwrap();
    assert!(Prompts::of(&place.path().join("minilm")).is_err());
}

#[test]
fn a_prefix_is_read_before_every_text_that_has_content() {
    let (folder, _) = folder();
    let plain = open(&folder, &BertSettings::default());
    let id = plain.id();
    let want = plain.encode(&["the red film", "", "the book"], &Silent).unwrap();
    let prefixed = Prefixed::new(plain, "the ");
    assert_eq!(prefixed.encode(&[" red film", "  ", "book\n"], &Silent).unwrap(), want);
    assert_ne!(prefixed.id(), id);
    assert_ne!(prefixed.id(), Prefixed::new(open(&folder, &BertSettings::default()), "a ").id());
}

#[test]
fn the_first_numbers_alone_have_length_one_again() {
    let (folder, _) = folder();
    let open = || open(&folder, &BertSettings::default());
    let whole = open().encode(&["red film", ""], &Silent).unwrap().vectors;
    let narrow = Narrowed::new(open(), 8).unwrap();
    let got = narrow.encode(&["red film", ""], &Silent).unwrap().vectors;
    let first = whole.row(0)[..8].iter().map(|x| f64::from(*x)).collect();
    assert_near(got.row(0), &unit(first));
    assert!(got.row(1).iter().all(|x| x.abs() < f32::MIN_POSITIVE));
    assert_eq!(narrow.dim(), 8);
    assert_ne!(narrow.id(), Narrowed::new(open(), 9).unwrap().id());
    for dim in [0, TINY.hidden + 1] {
        assert!(matches!(Narrowed::new(open(), dim), Err(Error::Setting { field: "dim", .. })));
    }
}
