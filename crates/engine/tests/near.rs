//! Lists read off a graph of near neighbours are those that scoring everything gives.
#![expect(clippy::unwrap_used, reason = "tests")]

use tastemaker_core::Silent;
use tastemaker_data::{Dataset, ImportOptions, WorldSettings, generate, import};
use tastemaker_engine::config::{Sources, load};
use tastemaker_engine::{Ask, Engine, Listed, Places, Trained, artifact, fetch, train};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let world =
            WorldSettings { n_users: 60, n_items: 300, n_topics: 6, events_per_user: 12, seed: 3 };
        let raw = home.0.path().join("raw");
        std::fs::create_dir_all(&raw).unwrap();
        let files = generate(&world, &raw).unwrap();
        import(&files, &ImportOptions::default(), &home.0.path().join("data"), &Silent).unwrap();
        home
    }

    fn places(&self) -> Places {
        let fetch = fetch::Places::new(self.0.path().join("cache"));
        Places::new(fetch::Places { offline: true, ..fetch })
    }

    fn train(&self, model: &str, flags: &[&str]) -> Trained {
        let flags = flags.iter().chain(&["search.enabled=false", "models.ials.factors=8"]);
        let flags = flags.map(|flag| (*flag).to_owned()).collect();
        let settings = load(&Sources { flags, ..Sources::default() }).unwrap();
        let data = Dataset::open(&self.0.path().join("data")).unwrap();
        train(data, &settings, model, &self.places(), &Silent).unwrap()
    }
}

fn lists(engine: &Engine) -> Vec<Vec<Listed>> {
    let users: Vec<String> = engine.data().users.ids().iter().map(str::to_owned).collect();
    let exclude = ["i1".to_owned(), "i2".to_owned()];
    let ask = |user| Ask { user: Some(user), n: 10, exclude: &exclude, ..Ask::default() };
    users.iter().map(|user| engine.recommend(&ask(user)).unwrap()).collect()
}

/// Compares ids and, as sums may run in another order, nearly equal scores.
fn assert_same(got: &[Vec<Listed>], want: &[Vec<Listed>]) {
    for (got, want) in got.iter().zip(want) {
        let ids = |list: &[Listed]| list.iter().map(|l| l.item_id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(got), ids(want));
        for (got, want) in got.iter().zip(want) {
            assert!((got.score - want.score).abs() < 1e-5, "{got:?} {want:?}");
        }
    }
}

#[test]
fn a_graph_finds_what_scoring_everything_finds_also_once_saved() {
    let home = Home::new();
    let exact = lists(&home.train("ials", &["graph.from=0"]).engine);
    // Candidates enough to see the whole of so small a catalogue.
    let with = home.train("ials", &["graph.from=1", "graph.ef_search=400"]);
    assert_same(&lists(&with.engine), &exact);
    let out = home.0.path().join("model");
    let saved = artifact::save(&with, &home.0.path().join("data"), &out, 5).unwrap();
    assert!(saved.files.contains_key("graph.index"));
    let (opened, _) = artifact::open(&out, &home.places()).unwrap();
    assert_same(&lists(&opened), &exact);
}

#[test]
fn small_catalogues_and_models_without_vectors_have_no_graph() {
    let home = Home::new();
    for (model, flags) in [("ials", &[][..]), ("item-knn", &["graph.from=1"][..])] {
        let trained = home.train(model, flags);
        let out = home.0.path().join(model);
        let saved = artifact::save(&trained, &home.0.path().join("data"), &out, 5).unwrap();
        assert!(!saved.files.contains_key("graph.index"), "{model}");
    }
}

#[test]
fn a_damaged_graph_is_refused() {
    let home = Home::new();
    let trained = home.train("ials", &["graph.from=1"]);
    let out = home.0.path().join("model");
    artifact::save(&trained, &home.0.path().join("data"), &out, 5).unwrap();
    let path = out.join("graph.index");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = artifact::open(&out, &home.places()).err().unwrap().to_string();
    assert!(error.contains("graph.index"), "{error}");
}
