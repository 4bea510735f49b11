//! Why an item is recommended: the sentence, the evidence behind each clause, and what each part of the model adds.
//!
//! Run it with `cargo run -p tastemaker-engine --example explain`; it works offline, on a made-up world.
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

    // Reasons speak of what your users do, and of what your items are told in.
    let flags =
        ["text.encoder=tfidf", "search.enabled=false", "reasons.took=watched", "reasons.text=plot"];
    let flags = flags.map(String::from).to_vec();
    let settings = load(&Layers { flags, ..Layers::default() })?;
    let places = Places::new(fetch::Places::new(home.path().join("cache")));
    let engine = train(data, &settings, "fused", &places, &Silent)?.engine;

    let ask = Ask { user: Some("u7"), n: 1, ..Ask::default() };
    let list = engine.recommend(&ask)?;
    for item in &list {
        let why = engine.explain(&ask, &item.item_id)?;
        println!("{} (place {:?})\n{}\n", why.title, why.rank, why.reason.text);
        for fact in &why.reason.evidence {
            println!("  evidence: {fact:?}");
        }
        for part in &why.parts {
            println!("  {:<12} weight {:.2} adds {:+.3}", part.name, part.weight, part.share);
        }
    }
    Ok(())
}
