//! A trained model as a folder: saved all or nothing, checked when it is opened, the same lists before and after.
//!
//! Run it with `cargo run -p tastemaker-engine --example save_and_load`; it works offline, on a made-up world.
#![expect(clippy::print_stdout, reason = "an example is read on a terminal")]

use anyhow::ensure;
use tastemaker_engine::config::{Sources as Layers, load};
use tastemaker_engine::core::{Clock as _, Silent, SystemClock};
use tastemaker_engine::data::{Dataset, ImportOptions, WorldSettings, generate, import};
use tastemaker_engine::{Ask, Places, artifact, fetch, train};

fn main() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let world =
        WorldSettings { n_users: 60, n_items: 48, n_topics: 4, events_per_user: 12, seed: 0 };
    let files = generate(&world, home.path())?;
    let folder = home.path().join("data");
    import(&files, &ImportOptions::default(), &folder, &Silent)?;
    let data = Dataset::open(&folder)?;

    // To be quick: left out, settings are searched on validation events.
    let flags = ["text.encoder=tfidf", "search.enabled=false"].map(String::from).to_vec();
    let settings = load(&Layers { flags, ..Layers::default() })?;
    let places = Places::new(fetch::Places::new(home.path().join("cache")));
    let trained = train(data, &settings, "fused", &places, &Silent)?;
    let ask = Ask { user: Some("u7"), n: 10, explain: true, ..Ask::default() };
    let before = trained.engine.recommend(&ask)?;

    // The folder carries the data the model speaks about; the original may go.
    let saved = home.path().join("model");
    let now = SystemClock::default().unix_seconds();
    let manifest = artifact::save(&trained, &folder, &saved, now)?;
    for (name, file) in &manifest.files {
        println!("{:>8} bytes  {name}", file.bytes);
    }
    std::fs::remove_dir_all(&folder)?;
    let (engine, _) = artifact::open(&saved, &places)?;
    ensure!(engine.recommend(&ask)? == before, "a loaded model gives the lists it gave before");
    println!("{} items for u7, the same before and after", before.len());

    // A file that is not the one that was written is noticed.
    std::fs::write(saved.join("vectors.safetensors"), "something else")?;
    if let Err(error) = artifact::open(&saved, &places) {
        println!("{error}");
    }
    Ok(())
}
