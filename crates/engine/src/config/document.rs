//! The default settings as a commented TOML file, and the JSON Schema of all settings. Both come from the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};
use tastemaker_core::Shape;

use super::Config;
use crate::registry::{Kind, Model, plain};

/// Returns the JSON Schema of the settings.
pub fn schema() -> Value {
    schemars::schema_for!(Config).to_value()
}

/// Returns every setting with its default and one line on what it does, as TOML.
///
/// Settings that are searched on validation stand as comments: a key that is present binds.
pub fn default_document() -> String {
    let defaults = plain(&Config::default());
    let schema = schema();
    let mut out = String::from(
        "# Every setting with its default. Layers: defaults < file < environment < flags\n\
         # (TASTEMAKER_SET__MODELS__IALS__FACTORS=128, --set models.ials.factors=128).\n\
         # A key that is present binds. Keys behind `#` are chosen on validation events as long as they stay absent.\n",
    );
    section(&mut out, &schema, &schema, &defaults, &mut Vec::new());
    out
}

/// Says what a section such as `["models", "ials"]` is for, and each of its keys; `None` where there is no such section.
pub fn about(path: &[&str]) -> Option<(String, BTreeMap<String, String>)> {
    let root = schema();
    let mut at = &root;
    for name in path {
        at = properties(&root, at)?.get(*name)?;
    }
    let keys = properties(&root, at)?.iter();
    Some((
        describe(&root, at),
        keys.map(|(key, schema)| (key.clone(), describe(&root, schema))).collect(),
    ))
}

fn section(out: &mut String, root: &Value, schema: &Value, values: &Value, path: &mut Vec<String>) {
    let Some(properties) = properties(root, schema) else { return };
    let of = |key: &str| values.get(key).unwrap_or(&Value::Null);
    let is_section = |schema: &Value| self::properties(root, schema).is_some();
    let searched = searched_keys(path, values);
    for (key, schema) in properties.iter().filter(|(_, schema)| !is_section(schema)) {
        let about = describe(root, schema);
        if !about.is_empty() {
            let _ = writeln!(out, "# {about}");
        }
        match toml_value(of(key)) {
            None => _ = writeln!(out, "# {key} ="),
            Some(text) if searched.contains(key) => _ = writeln!(out, "# {key} = {text}"),
            Some(text) => _ = writeln!(out, "{key} = {text}"),
        }
    }
    for (key, schema) in properties.iter().filter(|(_, schema)| is_section(schema)) {
        path.push(key.clone());
        let _ = writeln!(out, "\n# {}\n[{}]", describe(root, schema), path.join("."));
        section(out, root, schema, of(key), path);
        path.pop();
    }
}

/// The keys of a model whose values differ among the settings it tries.
fn searched_keys(path: &[String], values: &Value) -> Vec<String> {
    let [first, name] = path else { return Vec::new() };
    let (Some(kind), Some(keys)) =
        (Kind::named(name).filter(|_| first == "models"), values.as_object())
    else {
        return Vec::new();
    };
    let shapes = [(1_000, 2_000, 100_000), (6_000, 3_500, 1_000_000), (22_000, 12_000, 200_000)];
    let grids = shapes.iter().flat_map(|&(n_users, n_items, n_events)| {
        Model::grid(kind, values, &Shape { n_users, n_items, n_events }).unwrap_or_default()
    });
    let grids: Vec<Value> = grids.collect();
    keys.keys()
        .filter(|key| grids.iter().any(|g| g.get(*key) != values.get(*key)))
        .cloned()
        .collect()
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

/// Returns the keys of a section; `None` for a plain value.
pub(super) fn properties<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Map<String, Value>> {
    resolve(root, schema).get("properties").and_then(Value::as_object)
}

fn describe(root: &Value, schema: &Value) -> String {
    let own = schema.get("description").or_else(|| resolve(root, schema).get("description"));
    own.and_then(Value::as_str).unwrap_or_default().replace('\n', " ").replace("  ", " ")
}

fn toml_value(value: &Value) -> Option<String> {
    if value.is_null() {
        return None;
    }
    // `f32` defaults print as people write them: 0.7, not 0.699999988079071.
    let short = |value: &Value| match value.as_f64() {
        Some(x) if value.is_f64() => {
            serde_json::from_str(&format!("{:?}", x as f32)).unwrap_or_else(|_| value.clone())
        }
        _ => value.clone(),
    };
    let value = match value {
        Value::Array(list) => Value::Array(list.iter().map(short).collect()),
        other => short(other),
    };
    toml::Value::try_from(value).ok().map(|v| v.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_can_be_asked_what_it_is_for() {
        let (section, keys) = about(&["models", "ials"]).unwrap();
        assert!(!section.is_empty() && keys["factors"].len() > 5, "{section} {keys:?}");
        assert!(about(&["models", "nothing"]).is_none() && about(&["run", "seed"]).is_none());
    }
    use crate::config::{Sources, load};

    #[test]
    fn the_default_file_in_the_repository_equals_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/default.toml");
        let file = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(
            file,
            default_document(),
            "run: cargo run -- config default > config/default.toml"
        );
    }

    #[test]
    fn the_default_file_loads_and_gives_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("default.toml");
        std::fs::write(&path, default_document()).unwrap();
        let loaded = load(&Sources { file: Some(path), ..Sources::default() }).unwrap();
        assert_eq!(loaded.config, Config::default());
    }

    #[test]
    fn the_schema_names_every_model() {
        let text = schema().to_string();
        assert!(Kind::ALL.iter().all(|kind| text.contains(&format!("\"{}\"", kind.name()))));
    }
}
