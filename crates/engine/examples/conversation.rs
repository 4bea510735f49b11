//! A talk about what to take: every turn is understood, answered with items of the engine, and remembered.
//!
//! Run it with `cargo run -p tastemaker-engine --example conversation`; it works offline, on a made-up world.
#![expect(clippy::print_stdout, reason = "an example is read on a terminal")]

use tastemaker_engine::config::{self, load};
use tastemaker_engine::core::Silent;
use tastemaker_engine::data::{Dataset, ImportOptions, WorldSettings, generate, import};
use tastemaker_engine::talk::{Conversation, ConversationSettings};
use tastemaker_engine::{Places, fetch, train};

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let world = WorldSettings { n_users: 80, n_items: 48, n_topics: 4, ..WorldSettings::default() };
    let sources = generate(&world, dir.path())?;
    let data = dir.path().join("data");
    import(&sources, &ImportOptions::default(), &data, &Silent)?;
    let flags = vec!["text.encoder=tfidf".to_owned(), "search.enabled=false".to_owned()];
    let settings = load(&config::Sources { flags, ..config::Sources::default() })?;
    let places = Places::new(fetch::Places::new(dir.path().join("cache")));
    let engine = train(Dataset::open(&data)?, &settings, "fused", &places, &Silent)?.engine;

    // `writer` takes a language model: `chat::open(..)?.writer()` with the seconds it may take for a turn.
    let user = Some("u7".to_owned());
    let settings = ConversationSettings { user, n: 3, language: None, writer: None };
    let mut talk = Conversation::new(&engine, settings)?;
    for said in ["recommend something", "why the second?", "not the first", "换一批"] {
        let answer = talk.turn(said)?;
        println!("> {said}\n{}\n", answer.reply);
    }

    // What the talk has settled can be kept, and gone on with.
    let kept = serde_json::to_string(talk.memory())?;
    println!("{kept}");
    Ok(())
}
