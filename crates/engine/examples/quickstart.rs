//! Two files in, a list with reasons out: import, train, recommend.
//!
//! Run it with `cargo run -p tastemaker-engine --example quickstart`; it works offline, on a made-up world.
#![expect(clippy::print_stdout, reason = "an example is read on a terminal")]

use tastemaker_engine::config::{Sources as Layers, load};
use tastemaker_engine::core::Silent;
use tastemaker_engine::data::{Dataset, ImportOptions, WorldSettings, generate, import};
use tastemaker_engine::{Ask, Places, fetch, train};

fn main() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let world =
        WorldSettings { n_users: 60, n_items: 48, n_topics: 4, events_per_user: 12, seed: 0 };
    // Your own files go here: `Sources { interactions: "events.csv".into(), .. }`.
    let files = generate(&world, home.path())?;
    let folder = home.path().join("data");
    import(&files, &ImportOptions::default(), &folder, &Silent)?;
    let data = Dataset::open(&folder)?;

    // To be quick; leave both out, and settings are searched on validation events, and a language model reads the
    // items' texts where it can be had.
    let flags = ["text.encoder=tfidf", "search.enabled=false"].map(String::from).to_vec();
    let settings = load(&Layers { flags, ..Layers::default() })?;
    let places = Places::new(fetch::Places::new(home.path().join("cache")));
    let trained = train(data, &settings, "fused", &places, &Silent)?;

    let ask = Ask { user: Some("u7"), n: 5, explain: true, ..Ask::default() };
    for item in trained.engine.recommend(&ask)? {
        println!("{}. {}", item.rank, item.title);
        if let Some(reason) = item.reason {
            println!("   {}", reason.text);
        }
    }
    Ok(())
}
