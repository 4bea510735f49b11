//! Saving and loading changes no list, no reason and no likeness, for any model; a new item is taken in after loading
//! as it is before.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use tastemaker_engine::config::{Sources as Layers, load};
use tastemaker_engine::core::Silent;
use tastemaker_engine::data::{Dataset, ImportOptions, WorldSettings, generate, import};
use tastemaker_engine::registry::{FUSED, Kind};
use tastemaker_engine::{Ask, Engine, Explained, Listed, Places, Trained, artifact, fetch, train};

/// A temporary folder with a data set in `data`.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self::of(60)
    }

    fn of(n_users: usize) -> Self {
        let home = tempfile::tempdir().unwrap();
        let world =
            WorldSettings { n_users, n_items: 40, n_topics: 4, events_per_user: 10, seed: 7 };
        let files = generate(&world, home.path()).unwrap();
        import(&files, &ImportOptions::default(), &home.path().join("data"), &Silent).unwrap();
        Self(home)
    }

    fn places(&self) -> Places {
        let fetch = fetch::Places::new(self.0.path().join("cache"));
        Places::new(fetch::Places { offline: true, ..fetch })
    }

    fn train(&self, model: &str) -> Trained {
        self.train_with(model, &[])
    }

    fn train_with(&self, model: &str, more: &[&str]) -> Trained {
        let flags = ["text.encoder=tfidf", "search.enabled=false", "models.bpr.epochs=5"];
        let flags = flags.iter().chain(more).map(ToString::to_string).collect();
        let settings = load(&Layers { flags, ..Layers::default() }).unwrap();
        let data = Dataset::open(&self.0.path().join("data")).unwrap();
        train(data, &settings, model, &self.places(), &Silent).unwrap()
    }

    /// Saves a model and opens what was saved.
    fn through_disk(&self, trained: &Trained) -> Engine {
        let out = self.0.path().join("model");
        let saved = artifact::save(trained, &self.0.path().join("data"), &out, 5).unwrap();
        let (engine, manifest) = artifact::open(&out, &self.places()).unwrap();
        assert_eq!(manifest.created, 5);
        assert_eq!(manifest.files, saved.files);
        engine
    }
}

type Answers = (Vec<Vec<Listed>>, Vec<Explained>, Vec<Option<Vec<Listed>>>);

/// Everything one can ask.
fn answers(engine: &Engine) -> Answers {
    let users: Vec<String> = engine.data().users.ids().iter().map(str::to_owned).collect();
    let ask = |user| Ask { user: Some(user), n: 10, explain: true, ..Ask::default() };
    let lists = users.iter().map(|user| engine.recommend(&ask(user)).unwrap()).collect();
    let why = users.iter().take(5).map(|user| engine.explain(&ask(user), "i3").unwrap()).collect();
    let items = ["i0", "i3", "i17"];
    (lists, why, items.map(|item| engine.similar(item, 10).ok()).to_vec())
}

#[test]
fn a_loaded_model_answers_as_the_one_that_was_saved() {
    let home = Home::new();
    for model in Kind::ALL.iter().map(|kind| kind.name()).chain([FUSED]) {
        let trained = home.train(model);
        let before = answers(&trained.engine);
        assert!(before.0.iter().all(|list| list.len() == 10), "{model}");
        let loaded = home.through_disk(&trained);
        assert_eq!(loaded.name(), model);
        assert_eq!(answers(&loaded), before, "{model}");
    }
}

#[test]
fn trees_that_order_a_fused_list_come_back_from_disk() {
    let home = Home::of(900);
    let parts = r#"fusion.parts=["ials","text-knn"]"#;
    let trained = home.train_with(FUSED, &[parts, "fusion.boost.trees=60"]);
    let grown = trained.learned.as_ref().and_then(|learned| learned.trees.clone()).unwrap();
    assert!(grown.trees > 0, "{grown:?}");
    let before = answers(&trained.engine);
    assert_eq!(answers(&home.through_disk(&trained)), before);
    let trees = home.0.path().join("model/trees.json");
    let changed = std::fs::read_to_string(&trees).unwrap().replacen("popularity", "popularitx", 1);
    std::fs::write(&trees, changed).unwrap();
    let error = artifact::open(&home.0.path().join("model"), &home.places()).map(|_| ());
    assert!(error.unwrap_err().to_string().contains("trees.json"));
}

#[test]
fn a_new_item_reaches_the_same_users_after_loading_as_before() {
    let home = Home::new();
    for model in ["text-knn", FUSED] {
        let mut trained = home.train(model);
        let mut loaded = home.through_disk(&trained);
        let text = trained.engine.data().items.field(0, "text").unwrap();
        let fields = [("title".to_owned(), "Something new".to_owned()), ("text".to_owned(), text)];
        let reached = |engine: &mut Engine| {
            engine.add_item("new", &fields).unwrap();
            engine.audience("new", 20, 60).unwrap()
        };
        let before = reached(&mut trained.engine);
        assert!(!before.is_empty(), "{model} recommends an item nobody has touched");
        assert_eq!(reached(&mut loaded), before, "{model}");
        assert!(trained.engine.add_item("new", &fields).is_err(), "an id is given once");
    }
}

#[test]
fn a_model_that_reads_no_texts_says_how_to_take_in_a_new_item() {
    let home = Home::new();
    let mut engine = home.train("markov").engine;
    let error = engine.add_item("new", &[]).unwrap_err().to_string();
    assert!(error.contains("`markov` cannot take in a new item: train text-knn"), "{error}");
}
