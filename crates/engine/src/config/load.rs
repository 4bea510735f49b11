//! Layers of settings: defaults < file < environment < flags. Remembers which keys were given by hand.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Config, Problem, check};
use crate::Error;

/// Prefix of environment variables that set a key: `TASTEMAKER_SET__MODELS__IALS__FACTORS=128`.
const ENV_PREFIX: &str = "TASTEMAKER_SET__";
/// What is wrong with a flag that only names a key.
const NO_VALUE: &str =
    "has no value: write `--set key=value`, as in `--set models.ials.factors=128`";
/// Settings for a purpose, laid below all that is given.
const PRESETS: [(&str, &str); 4] = [
    ("fast", include_str!("../../../../config/presets/fast.toml")),
    ("balanced", include_str!("../../../../config/presets/balanced.toml")),
    ("best", include_str!("../../../../config/presets/best.toml")),
    ("cold", include_str!("../../../../config/presets/cold.toml")),
];
/// Larger configuration files are refused.
const MAX_BYTES: u64 = 1 << 20;

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables; pass `std::env::vars()` or what a test wants.
    pub environment: Vec<(String, String)>,
    /// `key=value` pairs of the command line, as in `models.ials.factors=128`.
    pub flags: Vec<String>,
}

/// The keys that were given by hand, as a JSON tree. They bind: the search on validation never changes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given(Value);

impl Given {
    /// Returns the keys given for one model.
    pub fn model(&self, name: &str) -> Map<String, Value> {
        self.0
            .get("models")
            .and_then(|m| m.get(name))
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    }

    /// Returns all keys.
    pub(crate) const fn tree(&self) -> &Value {
        &self.0
    }

    /// Tells whether a key of a section was given.
    pub fn has(&self, section: &str, key: &str) -> bool {
        self.0.get(section).and_then(|s| s.get(key)).is_some()
    }
}

/// Settings and which of them were given by hand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// All settings.
    pub config: Config,
    /// The keys given by hand.
    pub given: Given,
}

impl Loaded {
    /// Gives keys to a model, unless they were given by hand.
    pub(crate) fn with_model(
        &self,
        name: &str,
        keys: impl Iterator<Item = (&'static str, Value)>,
    ) -> Self {
        let given = self.given.model(name);
        let keys = keys.filter(|(key, _)| !given.contains_key(*key));
        let keys: Map<String, Value> = keys.map(|(key, value)| (key.to_owned(), value)).collect();
        self.over(nested(&["models".to_owned(), name.to_owned()], Value::Object(keys)))
    }

    /// Lays keys over these, as if they had been given by hand; what does not fit is passed over.
    pub(crate) fn over(&self, over: Value) -> Self {
        let mut loaded = self.clone();
        merge(&mut loaded.given.0, over.clone());
        let mut tree = serde_json::to_value(&loaded.config).unwrap_or_default();
        merge(&mut tree, over);
        if let Ok(config) = serde_json::from_value(tree) {
            loaded.config = config;
        }
        loaded
    }
}

/// Reads, layers and checks settings; reports all faults at once.
pub fn load(sources: &Sources) -> Result<Loaded, Error> {
    let mut given = Value::Object(Map::new());
    let (mut places, mut problems) = (Vec::new(), Vec::new());
    if let Some(path) = &sources.file {
        merge(&mut given, read(path)?);
        places.push(path.display().to_string());
    }
    for (name, value) in &sources.environment {
        if let Some(key) = name.strip_prefix(ENV_PREFIX) {
            let path: Vec<String> = key.split("__").map(env_key).collect();
            merge(&mut given, nested(&path, scalar(value)));
            places.push(name.clone());
        }
    }
    for flag in &sources.flags {
        places.push(format!("--set {flag}"));
        let Some((key, value)) = flag.split_once('=') else {
            problems.push(Problem { key: format!("--set {flag}"), what: NO_VALUE.into() });
            continue;
        };
        let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
        merge(&mut given, nested(&path, scalar(value.trim())));
    }
    if let Some(preset) = preset(&given) {
        let mut below = preset?;
        merge(&mut below, given);
        given = below;
    }
    problems.extend(check::problems(&given));
    if !problems.is_empty() {
        return Err(Error::Config { place: places.join(", "), problems });
    }
    let mut config: Config = serde_json::from_value(given.clone())
        .map_err(|e| Error::ConfigSyntax { place: places.join(", "), why: e.to_string() })?;
    config.eval.cutoffs = distinct(&config.eval.cutoffs);
    Ok(Loaded { config, given: Given(given) })
}

/// Returns the settings of the preset that was named, if one was that there is.
fn preset(given: &Value) -> Option<Result<Value, Error>> {
    let name = given.get("pipeline")?.get("preset")?.as_str()?;
    let (_, text) = PRESETS.iter().find(|(known, _)| *known == name)?;
    Some(parse(text, name))
}

fn parse(text: &str, place: &str) -> Result<Value, Error> {
    let syntax = |why: String| Error::ConfigSyntax { place: place.into(), why };
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| syntax(e.to_string()))?;
    serde_json::to_value(table).map_err(|e| syntax(e.to_string()))
}

/// Reads a TOML file as a tree.
pub(crate) fn read(path: &Path) -> Result<Value, Error> {
    let syntax = |why: String| Error::ConfigSyntax { place: path.display().to_string(), why };
    let unread = |e: std::io::Error| syntax(e.to_string());
    let size = std::fs::metadata(path).map_err(unread)?.len();
    if size > MAX_BYTES {
        return Err(syntax(format!("{size} bytes, more than the limit of {MAX_BYTES}")));
    }
    let text = std::fs::read_to_string(path).map_err(unread)?;
    parse(&text, &path.display().to_string())
}

/// `ITEM_KNN` and `ITEM-KNN` both mean the model `item-knn`; all other keys have underscores.
fn env_key(part: &str) -> String {
    let lower = part.to_ascii_lowercase();
    let dashed = lower.replace('_', "-");
    if crate::registry::Kind::named(&dashed).is_some() { dashed } else { lower }
}

/// Reads a value as TOML would, and as a plain string when it is none.
fn scalar(text: &str) -> Value {
    let parsed = format!("x = {text}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("x"));
    parsed
        .and_then(|v| serde_json::to_value(v).ok())
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

pub(crate) fn nested(path: &[String], value: Value) -> Value {
    path.iter()
        .rev()
        .fold(value, |inner, key| Value::Object(Map::from_iter([(key.clone(), inner)])))
}

/// Keeps the first of equals: the first cutoff is the one that tests look at.
fn distinct(cutoffs: &[usize]) -> Vec<usize> {
    let is_first = |(place, k): &(usize, &usize)| !cutoffs[..*place].contains(k);
    cutoffs.iter().enumerate().filter(is_first).map(|(_, k)| *k).collect()
}

/// Lays one tree over another: what is deeper is merged, what is a value is replaced.
pub(crate) fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(flags: &[&str]) -> Result<Loaded, Error> {
        load(&Sources {
            flags: flags.iter().map(ToString::to_string).collect(),
            ..Sources::default()
        })
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        std::fs::write(&file, "[models.ials]\nfactors = 8\niterations = 3\n[run]\nseed = 1\n")
            .unwrap();
        let loaded = load(&Sources {
            file: Some(file),
            environment: vec![
                ("TASTEMAKER_SET__MODELS__IALS__FACTORS".into(), "16".into()),
                ("HOME".into(), "/".into()),
            ],
            flags: vec!["run.seed=7".into()],
        })
        .unwrap();
        let ials = loaded.config.models.of(crate::registry::Kind::Ials);
        assert_eq!((ials["factors"].as_u64(), ials["iterations"].as_u64()), (Some(16), Some(3)));
        assert_eq!(loaded.config.run.seed, 7);
        assert_eq!(loaded.given.model("ials").len(), 2);
        assert!(loaded.given.model("ease").is_empty());
    }

    #[test]
    fn a_preset_lies_below_what_is_given() {
        let loaded = flags(&["pipeline.preset=cold", "fusion.cold_trust=0.5"]).unwrap();
        assert_eq!(loaded.config.fusion.parts, ["text-knn", "markov", "ials"]);
        assert!((loaded.config.fusion.cold_trust - 0.5).abs() < 1e-6);
        for (name, _) in PRESETS {
            flags(&[&format!("pipeline.preset={name}")]).unwrap();
        }
        let error = flags(&["pipeline.preset=quick"]).unwrap_err().to_string();
        assert!(error.contains("balanced"), "{error}");
    }

    #[test]
    fn all_faults_are_reported_at_once_with_the_nearest_name() {
        let error = flags(&[
            "modles.ials.factors=8",
            "models.ials.factor=8",
            "run.seed=\"x\"",
            "fusion.cold_trust=7",
        ])
        .unwrap_err();
        let text = error.to_string();
        for part in ["modles", "did you mean `models`", "did you mean `factors`", "run.seed"] {
            assert!(text.contains(part), "{part} missing in:\n{text}");
        }
        let text = flags(&["fusion.cold_trust=7", "search.users=0"]).unwrap_err().to_string();
        assert!(text.contains("fusion.cold_trust") && text.contains("search.users"), "{text}");
    }

    #[test]
    fn a_section_given_as_a_value_is_named() {
        assert!(flags(&["models=3"]).unwrap_err().to_string().contains("is a section"));
    }

    #[test]
    fn a_flag_without_a_value_hides_no_other_fault() {
        let text = flags(&["nonsense", "models.ials.nope=1"]).unwrap_err().to_string();
        for part in ["2 problems", "`--set nonsense` has no value", "models.ials.nope"] {
            assert!(text.contains(part), "{part} missing in:\n{text}");
        }
    }
}
