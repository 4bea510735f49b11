//! A new item, known by its text alone: taken in without training anew, and shown to those it suits.
//!
//! Run it with `cargo run -p tastemaker-engine --example cold_start`; it works offline, on a made-up world.
#![expect(clippy::print_stdout, reason = "an example is read on a terminal")]

use tastemaker_engine::config::{Sources as Layers, load};
use tastemaker_engine::core::Silent;
use tastemaker_engine::data::{Dataset, ImportOptions, WorldSettings, generate, import};
use tastemaker_engine::{Ask, Places, fetch, train};

fn main() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let world =
        WorldSettings { n_users: 60, n_items: 48, n_topics: 4, events_per_user: 12, seed: 0 };
    let files = generate(&world, home.path())?;
    let folder = home.path().join("data");
    import(&files, &ImportOptions::default(), &folder, &Silent)?;
    let data = Dataset::open(&folder)?;

    let flags = vec!["text.encoder=tfidf".into()];
    let settings = load(&Layers { flags, ..Layers::default() })?;
    let places = Places::new(fetch::Places::new(home.path().join("cache")));
    let mut engine = train(data, &settings, "text-knn", &places, &Silent)?.engine;

    // The fields are the columns of the items file; those left out stay empty.
    let fields = [
        ("title", "Drifting Past Saturn"),
        ("text", "A crew loses its starship in orbit and follows a signal to an unknown planet."),
        ("categories", "Space|New"),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    engine.add_item("new", &fields)?;

    println!("{} now stands in the first ten places of:", engine.title(engine.item("new")?));
    for (user, place, _) in engine.audience("new", 10, 5)? {
        let history = engine.known_history(engine.user(&user)?).last(3);
        let last: Vec<String> = history.items.iter().map(|&item| engine.title(item)).collect();
        println!("  {user}, at place {place}, who last took {}", last.join(", "));
    }

    // A new user needs no training either: what they took is enough.
    let history = ["new".to_owned()];
    for item in engine.recommend(&Ask { history: &history, n: 3, ..Ask::default() })? {
        println!("Who took it would get {}", item.title);
    }
    Ok(())
}
