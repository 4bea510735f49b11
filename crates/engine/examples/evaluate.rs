//! Models side by side on one split, with intervals and paired tests, and every user's numbers for your own analysis.
//!
//! Run it with `cargo run -p tastemaker-engine --example evaluate`; it works offline, on a made-up world.
#![expect(clippy::print_stdout, reason = "an example is read on a terminal")]

use tastemaker_engine::config::{Sources as Layers, load};
use tastemaker_engine::core::{Silent, SystemClock};
use tastemaker_engine::data::{Dataset, ImportOptions, WorldSettings, generate, import};
use tastemaker_engine::texts::Reader;
use tastemaker_engine::{Evaluation, Places, eval, fetch};

fn main() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let world =
        WorldSettings { n_users: 60, n_items: 48, n_topics: 4, events_per_user: 12, seed: 0 };
    let files = generate(&world, home.path())?;
    let folder = home.path().join("data");
    import(&files, &ImportOptions::default(), &folder, &Silent)?;
    let data = Dataset::open(&folder)?;

    let flags = [
        "text.encoder=tfidf",
        "eval.bootstrap=200",
        "search.enabled=false",
        "split.kind=leave-one-out",
    ];
    let flags = flags.map(String::from).to_vec();
    let settings = load(&Layers { flags, ..Layers::default() })?;
    let places = Places::new(fetch::Places::new(home.path().join("cache")));
    let text = &settings.config.text;
    let reader = Reader::open(&data.items, text, settings.config.run.seed, &places, &Silent)?;
    let encoded = reader.as_ref().map(|reader| reader.encode(&data, &Silent)).transpose()?;

    let evaluated = Evaluation {
        pipelines: &[],
        data: &data,
        loaded: &settings,
        models: &["popularity", "markov", "text-knn", "fused"].map(String::from),
        vectors: encoded.as_ref().map(|encoded| (&encoded.vectors, "tfidf")),
        tokens: None,
        skip_unfit: true,
        refit: true,
        ablate: false,
        writer: None,
        clock: &SystemClock::default(),
        progress: &Silent,
    }
    .run()?;
    println!("{}", eval::to_table(&evaluated.report));

    for (name, run) in &evaluated.runs {
        let ndcg = run.per_user("ndcg@10")?;
        let found = ndcg.iter().filter(|&&value| value > 0.0).count();
        println!("{name} finds the next item of {found} of {} users", ndcg.len());
    }
    Ok(())
}
