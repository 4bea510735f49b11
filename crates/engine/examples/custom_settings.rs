//! Settings in layers: a file, the environment, flags. What is given binds; what is not is searched; what is wrong is
//! told all at once.
//!
//! Run it with `cargo run -p tastemaker-engine --example custom_settings`; it works offline, on a made-up world.
#![expect(clippy::print_stdout, reason = "an example is read on a terminal")]

use tastemaker_engine::config::{Sources as Layers, load};
use tastemaker_engine::core::Silent;
use tastemaker_engine::data::{Dataset, ImportOptions, WorldSettings, generate, import};
use tastemaker_engine::{Places, fetch, train};

const FILE: &str = "\
[text]
encoder = \"tfidf\"
template = \"{title}. {text}\"

[models.ials]
factors = 8
iterations = 4
";

fn main() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let world =
        WorldSettings { n_users: 60, n_items: 48, n_topics: 4, events_per_user: 12, seed: 0 };
    let files = generate(&world, home.path())?;
    let folder = home.path().join("data");
    import(&files, &ImportOptions::default(), &folder, &Silent)?;
    let data = Dataset::open(&folder)?;

    let path = home.path().join("tastemaker.toml");
    std::fs::write(&path, FILE)?;
    let layers = Layers {
        file: Some(path),
        environment: vec![("TASTEMAKER_SET__MODELS__IALS__ITERATIONS".into(), "6".into())],
        flags: vec!["models.ials.factors=4".into()],
    };
    let settings = load(&layers)?;
    let places = Places::new(fetch::Places::new(home.path().join("cache")));
    let trained = train(data, &settings, "ials", &places, &Silent)?;
    for part in &trained.parts {
        println!("{} was fitted with\n{:#}", part.name, part.settings);
    }

    let flags = ["models.ials.factor=4", "fusion.cold_trust=7", "split.kind=monthly"];
    let wrong = Layers { flags: flags.map(String::from).to_vec(), ..Layers::default() };
    if let Err(error) = load(&wrong) {
        println!("\nAnd this is how faults are told:\n{error}");
    }
    Ok(())
}
