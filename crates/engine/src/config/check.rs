//! All that is wrong with given settings, at once: unknown keys with the nearest valid one, wrong types, impossible values.

use std::fmt;

use serde_json::{Map, Value};

use super::{Config, document};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted name, as in `models.ials.factors`.
    pub key: String,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.key, self.what)
    }
}

/// Lists the problems of the keys given by hand.
pub(crate) fn problems(given: &Value) -> Vec<Problem> {
    let schema = document::schema();
    let mut found = Vec::new();
    Walk { root: &schema, path: Vec::new(), found: &mut found }.section(given, &schema);
    // What is well-formed is judged too, so that an unknown key hides no impossible value.
    let mut rest = given.clone();
    found.iter().for_each(|problem| remove(&mut rest, &problem.key));
    match serde_json::from_value::<Config>(rest) {
        Ok(config) => found.extend(config.faults().into_iter().map(|(section, fault)| Problem {
            key: format!("{section}.{}", fault.field),
            what: fault.problem,
        })),
        Err(error) if found.is_empty() => {
            found.push(Problem { key: "config".into(), what: error.to_string() });
        }
        Err(_) => {}
    }
    found
}

/// Takes the key of a dotted name out of a tree.
fn remove(tree: &mut Value, key: &str) {
    let (path, last) = key.rsplit_once('.').map_or(("", key), |(path, last)| (path, last));
    let mut section = path.split('.').filter(|part| !part.is_empty());
    let found = section.try_fold(tree, |at, part| at.get_mut(part));
    if let Some(keys) = found.and_then(Value::as_object_mut) {
        keys.remove(last);
    }
}

/// Goes through given keys beside the schema, which knows every section and key.
struct Walk<'a> {
    root: &'a Value,
    path: Vec<String>,
    found: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn section(&mut self, given: &Value, schema: &Value) {
        let (Some(given), Some(known)) =
            (given.as_object(), document::properties(self.root, schema))
        else {
            return;
        };
        for (key, value) in given {
            self.path.push(key.clone());
            match known.get(key) {
                None => self.add(unknown(key, known)),
                Some(child) if document::properties(self.root, child).is_none() => {
                    self.value(value);
                }
                Some(child) if value.is_object() => self.section(value, child),
                Some(_) => self.add(format!(
                    "is a section: write [{}] and keys below it",
                    self.path.join(".")
                )),
            }
            self.path.pop();
        }
    }

    fn value(&mut self, value: &Value) {
        if let Err(error) = serde_json::from_value::<Config>(alone(&self.path, value)) {
            self.add(format!("does not fit: {error}"));
        }
    }

    fn add(&mut self, what: String) {
        self.found.push(Problem { key: self.path.join("."), what });
    }
}

/// A tree with this one key, so that each key is judged by itself.
fn alone(path: &[String], value: &Value) -> Value {
    path.iter()
        .rev()
        .fold(value.clone(), |inner, key| Value::Object(Map::from_iter([(key.clone(), inner)])))
}

fn unknown(key: &str, known: &Map<String, Value>) -> String {
    let nearest = known.keys().max_by(|a, b| {
        let near = |name: &str| strsim::jaro_winkler(key, name);
        near(a).total_cmp(&near(b))
    });
    match nearest {
        Some(name) if strsim::jaro_winkler(key, name) > 0.7 => {
            format!("is not a setting: did you mean `{name}`?")
        }
        _ => {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            format!("is not a setting: choose among {}", names.join(", "))
        }
    }
}
