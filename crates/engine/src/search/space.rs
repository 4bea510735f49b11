//! From what the user wrote to a space of settings that can be tried, with all that is wrong at once.

use serde_json::{Map, Value};
use tastemaker_core::Shape;
use tastemaker_train::search::{Assignment, Domain, Space};

use crate::Error;
use crate::config::{self, Loaded, Problem, merge, nested};
use crate::registry::{Kind, Model};

/// How a flag is written.
const FLAG: &str =
    "is no `--space KEY=VALUES`: write it as in `--space models.ials.factors=32,64,128`";

/// A space and the settings it begins from: as they stand, unless the user's space excludes them.
pub(super) struct Ground {
    pub(super) space: Space,
    pub(super) start: Option<Assignment>,
}

/// Reads `--space` flags, else `search.space` of the settings, else what the model itself would try.
pub(super) fn ground(
    kind: Kind,
    loaded: &Loaded,
    flags: &[String],
    shape: &Shape,
) -> Result<Ground, Error> {
    let mut problems = Vec::new();
    let mut said: Vec<(String, Value)> = Vec::new();
    for flag in flags {
        match flag.split_once('=') {
            Some((key, text)) => said.push((key.trim().to_owned(), Value::from(text.trim()))),
            None => problems.push(Problem { key: flag.clone(), what: FLAG.into() }),
        }
    }
    let place = if flags.is_empty() { "search.space" } else { "--space" };
    if flags.is_empty() {
        flatten("", &loaded.config.search.space.clone().into_iter().collect(), &mut said);
        // A settings file may speak of several models.
        let prefix = prefix(kind);
        let of_another = |key: &str| {
            let another = |other: &Kind| *other != kind && key.starts_with(&self::prefix(*other));
            !key.starts_with(&prefix) && Kind::ALL.iter().any(another)
        };
        said.retain(|(key, _)| !of_another(key));
    }
    let is_by_hand = !said.is_empty() || !problems.is_empty();
    let mut domains = Vec::new();
    for (key, value) in &said {
        match Domain::from_value(value) {
            Ok(domain) => domains.push((key.clone(), domain)),
            Err(what) => problems.push(Problem { key: key.clone(), what }),
        }
    }
    problems.extend(check(kind, loaded, &domains));
    if !problems.is_empty() {
        return Err(Error::Config { place: place.into(), problems });
    }
    let space = Space::new(if is_by_hand { domains } else { usual(kind, loaded, shape)? });
    if space.is_empty() {
        return Err(Error::NothingToSearch {
            model: kind.name().into(),
            instead: format!("say what to try with --space {}KEY=VALUES", prefix(kind)),
        });
    }
    let settings = loaded.config.models.of(kind);
    let now = |key: &str| {
        let path = key.strip_prefix(&prefix(kind)).unwrap_or(key);
        path.split('.').try_fold(&settings, |at, part| at.get(part)).cloned().unwrap_or_default()
    };
    let start: Assignment =
        space.domains().iter().map(|(key, _)| (key.clone(), now(key))).collect();
    let start = (!is_by_hand || space.holds(&start)).then_some(start);
    Ok(Ground { space, start })
}

fn prefix(kind: Kind) -> String {
    format!("models.{}.", kind.name())
}

/// Turns tables within tables into dotted keys.
fn flatten(before: &str, tree: &Map<String, Value>, out: &mut Vec<(String, Value)>) {
    for (key, value) in tree {
        let key = if before.is_empty() { key.clone() } else { format!("{before}.{key}") };
        match value {
            Value::Object(inner) => flatten(&key, inner, out),
            value => out.push((key, value.clone())),
        }
    }
}

/// What the model itself would try: its own ranges, or the values its grid goes through; without keys set by hand.
fn usual(kind: Kind, loaded: &Loaded, shape: &Shape) -> Result<Vec<(String, Domain)>, Error> {
    let given = loaded.given.model(kind.name());
    let key = |name: &str| format!("{}{name}", prefix(kind));
    let own = kind.space().iter().filter(|(name, _)| !given.contains_key(*name));
    let own: Vec<(String, Domain)> =
        own.filter_map(|(name, text)| Some((key(name), Domain::parse(text).ok()?))).collect();
    if !kind.space().is_empty() {
        return Ok(own);
    }
    let grid = Model::grid(kind, &loaded.config.models.of(kind), shape)?;
    let names = grid.first().and_then(Value::as_object).map(|o| o.keys().cloned().collect());
    let names: Vec<String> = names.unwrap_or_default();
    let mut domains = Vec::new();
    for name in names.iter().filter(|name| !given.contains_key(*name)) {
        let mut values: Vec<Value> = Vec::new();
        for settings in &grid {
            let value = settings.get(name).cloned().unwrap_or_default();
            if !values.contains(&value) {
                values.push(value);
            }
        }
        if values.len() > 1 {
            domains.push((key(name), Domain::Choice(values)));
        }
    }
    Ok(domains)
}

/// Lists keys that are no settings of the model, keys set by hand, and values that cannot be.
fn check(kind: Kind, loaded: &Loaded, domains: &[(String, Domain)]) -> Vec<Problem> {
    let prefix = prefix(kind);
    let given = loaded.given.model(kind.name());
    let mut found: Vec<Problem> = Vec::new();
    for (key, domain) in domains {
        let Some(name) = key.strip_prefix(&prefix) else {
            let what = format!("is not searched here: keys begin with `{prefix}`");
            found.push(Problem { key: key.clone(), what });
            continue;
        };
        let set = name.split('.').try_fold(None, |at: Option<&Value>, part| {
            at.map_or_else(|| given.get(part), |at| at.get(part)).map(Some)
        });
        if set.is_some() {
            let what = "is both set by hand and searched: leave one of them out".into();
            found.push(Problem { key: key.clone(), what });
            continue;
        }
        for value in domain.extremes() {
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            let mut tree = models(kind, loaded);
            merge(&mut tree, nested(&path, value));
            found.extend(config::problems(&tree).into_iter().filter(|problem| {
                // What depends on another key that is searched too is found out by trying.
                let other = domains.iter().any(|(other, _)| {
                    other != key
                        && other
                            .rsplit('.')
                            .next()
                            .is_some_and(|name| problem.what.contains(&format!("`{name}`")))
                });
                problem.key.starts_with(key.as_str()) && !other
            }));
        }
    }
    found.dedup();
    found
}

/// The keys set by hand for a model, in their place.
fn models(kind: Kind, loaded: &Loaded) -> Value {
    let given = Value::Object(loaded.given.model(kind.name()));
    nested(&["models".into(), kind.name().into()], given)
}

/// Returns the model's settings with the values of a trial in their places.
pub(super) fn settings(kind: Kind, loaded: &Loaded, trial: &Assignment) -> Value {
    let mut settings = loaded.config.models.of(kind);
    let prefix = prefix(kind);
    for (key, value) in trial {
        let path = key.strip_prefix(&prefix).unwrap_or(key).split('.');
        let path: Vec<String> = path.map(str::to_owned).collect();
        merge(&mut settings, nested(&path, value.clone()));
    }
    settings
}

/// Returns all that was set by hand and what a trial adds to it, as a settings file; the space has been gone through.
pub(super) fn to_toml(loaded: &Loaded, trial: &Assignment) -> String {
    let mut tree = loaded.given.tree().clone();
    if let Some(search) = tree.get_mut("search").and_then(Value::as_object_mut) {
        search.remove("space");
    }
    // How many threads there are is the machine's affair, and changes no result.
    if let Some(run) = tree.get_mut("run").and_then(Value::as_object_mut) {
        run.remove("threads");
    }
    drop_empty(&mut tree);
    for (key, value) in trial.iter().filter(|(_, value)| !value.is_null()) {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        merge(&mut tree, nested(&path, value.clone()));
    }
    toml::to_string(&tree).unwrap_or_default()
}

/// Takes out what a settings file has no word for: what was left to the data, and tables without a key.
fn drop_empty(tree: &mut Value) {
    let Some(table) = tree.as_object_mut() else { return };
    table.values_mut().for_each(drop_empty);
    let is_empty = |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
    table.retain(|_, value| !is_empty(value));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{Sources, load};

    const SHAPE: Shape = Shape { n_users: 1_000, n_items: 2_000, n_events: 100_000 };

    fn loaded(flags: &[&str]) -> Loaded {
        let flags = flags.iter().map(ToString::to_string).collect();
        load(&Sources { flags, ..Sources::default() }).unwrap()
    }

    #[test]
    fn what_every_model_would_try_can_be_tried() {
        let loaded = loaded(&[]);
        for &kind in Kind::ALL {
            match ground(kind, &loaded, &[], &SHAPE) {
                Ok(ground) => {
                    let domains = ground.space.domains();
                    assert_eq!(check(kind, &loaded, domains), [], "{}", kind.name());
                    let now = settings(kind, &loaded, ground.start.as_ref().unwrap());
                    assert_eq!(now, loaded.config.models.of(kind), "begins with what is there");
                }
                Err(Error::NothingToSearch { .. }) => {
                    assert!(kind.space().is_empty(), "{}", kind.name());
                }
                Err(other) => panic!("{}: {other}", kind.name()),
            }
        }
    }

    #[test]
    fn keys_set_by_hand_are_left_out_and_stand_in_the_file() {
        let loaded = loaded(&["models.sasrec.dim=32", "models.sasrec.optimizer.clip=1.0"]);
        let ground = ground(Kind::Sasrec, &loaded, &[], &SHAPE).unwrap();
        let keys: Vec<&str> = ground.space.domains().iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            keys,
            ["layers", "dropout", "learning_rate"].map(|k| format!("models.sasrec.{k}"))
        );
        let trial = json!({
            "models.sasrec.layers": 3,
            "models.sasrec.dropout": null,
            "models.sasrec.optimizer.schedule": "cosine"
        });
        let Value::Object(trial) = trial else { panic!() };
        let tried = settings(Kind::Sasrec, &loaded, &trial);
        assert_eq!(tried["optimizer"]["clip"], json!(1.0));
        assert_eq!((&tried["layers"], &tried["dim"]), (&json!(3), &json!(32)));
        let file = to_toml(&loaded, &trial);
        let back: toml::Table = file.parse().unwrap();
        let sasrec = &back["models"]["sasrec"];
        assert_eq!(sasrec["optimizer"]["clip"].as_float(), Some(1.0), "{file}");
        assert_eq!(sasrec["optimizer"]["schedule"].as_str(), Some("cosine"), "{file}");
        assert!(!file.contains("dropout"), "what follows from the data is left out: {file}");
    }

    #[test]
    fn settings_as_they_stand_are_tried_unless_a_space_by_hand_excludes_them() {
        let begins = |space: &str| {
            let flags = [format!("models.sasrec.{space}")];
            ground(Kind::Sasrec, &loaded(&[]), &flags, &SHAPE).unwrap().start.is_some()
        };
        let config = loaded(&[]).config.models.sasrec;
        assert!(begins(&format!("learning_rate={},0.5", config.learning_rate)));
        assert!(begins("learning_rate=log(1e-6, 1)"));
        assert!(!begins("learning_rate=0.3,0.5"));
        assert!(!begins("dropout=0.1,0.2"), "what follows from the data is not listed");
    }

    #[test]
    fn the_file_holds_every_key_set_by_hand_and_no_space() {
        let loaded = loaded(&[
            "run.seed=7",
            "run.threads=1",
            "split.kind=time",
            "text.encoder=tfidf",
            "models.ials.factors=32",
            "search.users=100",
            "search.space.models.sasrec.dim=[32,64]",
        ]);
        let trial = Assignment::from_iter([("models.sasrec.dim".to_owned(), json!(64))]);
        let file = to_toml(&loaded, &trial);
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("best.toml");
        std::fs::write(&path, &file).unwrap();
        let back = load(&Sources { file: Some(path), ..Sources::default() }).unwrap().config;
        let mut wanted = loaded.config;
        wanted.search.space = Default::default();
        wanted.run.threads = 0;
        wanted.models.sasrec.dim = 64;
        assert_eq!(back, wanted, "{file}");
        assert_eq!(back.run.seed, 7);
    }

    #[test]
    fn a_nested_key_is_both_searched_and_set_only_if_it_is_that_key() {
        let loaded = loaded(&["models.sasrec.optimizer.clip=1.0"]);
        let of = |key: &str| {
            let flag = format!("models.sasrec.optimizer.{key}");
            ground(Kind::Sasrec, &loaded, &[flag], &SHAPE).err().map(|e| e.to_string())
        };
        assert_eq!(of("momentum=0.8,0.9"), None);
        assert!(of("clip=1,2").unwrap().contains("both set by hand and searched"));
        assert!(of("clip=0,2").unwrap().contains("both set by hand"));
        assert!(of("accumulate=0,2").unwrap().contains("must be 1 to 1024"));
    }
}
