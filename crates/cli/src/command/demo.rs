//! `tastemaker demo`: the main job from two files to reasons, on real data.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tastemaker_engine::config::Loaded;
use tastemaker_engine::core::{Clock as _, SystemClock};
use tastemaker_engine::data::{
    Dataset, ImportOptions, SplitKind, SplitSettings, Values, WorldSettings,
};
use tastemaker_engine::data::{Sources, generate, import};
use tastemaker_engine::{Ask, Engine, Error, Evaluated, Listed, artifact, eval, fetch, train};

use super::{evaluate, recommend, train as train_command};
use crate::args::{Demo, Format};
use crate::context::Context;
use crate::output::{self, note, thousands};

const COLD_MODELS: [&str; 4] = ["popularity", "ials", "text-knn", "fused"];
const LIST: usize = 5;

pub(crate) fn run(args: &Demo, context: &Context) -> anyhow::Result<()> {
    let clock = SystemClock::default();
    let step = |text: &str| note(format!("[{:5.1} s] {text}", clock.seconds()));
    let (sources, is_real) = files(&args.out, context)?;
    let took = if is_real { "watched" } else { "picked" };
    let flags = [format!("reasons.took=\"{took}\"")];
    let loaded = context.settings(&args.settings, &flags)?;

    step("importing");
    let data_dir = args.out.join("data");
    let options = ImportOptions {
        name: Some(if is_real { "ml-100k" } else { "made-up" }.into()),
        ..ImportOptions::default()
    };
    import(&sources, &options, &data_dir, context.progress.as_ref())?;
    let data = Dataset::open(&data_dir)?;
    let (users, items, events) = (data.n_users(), data.n_items(), data.histories.n_events());
    step(&format!(
        "{} events of {} users with {} items",
        thousands(events),
        thousands(users),
        thousands(items)
    ));

    step(
        "evaluating: encode the texts, search settings on validation events, fit, rank every item for every user",
    );
    let warm = evaluate_models(&data, &loaded, &evaluate::DEFAULT_MODELS, context)?;
    let mut report = warm.report;
    step("evaluating again with 15 % of the items withheld from training");
    let cold = Loaded { config: cold_split(&loaded), ..loaded.clone() };
    let cold = evaluate_models(&data, &cold, &COLD_MODELS, context)?;
    report.cold = cold.report.cold;
    report.title = format!("Tastemaker on {}", data.manifest.name);
    let html = args.out.join("report.html");
    eval::write_html(&html, &report)?;

    step("training the fused model on everything");
    let trained = train(data, &loaded, "fused", &context.places, context.progress.as_ref())?;
    let model_dir = args.out.join("model");
    artifact::save(&trained, &data_dir, &model_dir, clock.unix_seconds())?;
    let weights = train_command::weights(&trained);
    let mut engine = trained.engine;
    let lists = sample_lists(&engine)?;
    step("adding a new item from its text alone");
    let newcomer = add_newcomer(&mut engine, is_real)?;
    step("done");

    let value = json!({
        "report": report,
        "lists": lists.iter().map(|(user, list)| json!({ "user": user, "items": list })).collect::<Vec<_>>(),
        "new_item": newcomer.as_json(),
        "model": model_dir, "data": data_dir, "html": html, "seconds": clock.seconds(),
    });
    if context.format == Format::Json {
        return output::line(serde_json::to_string_pretty(&value)?);
    }
    output::text(eval::to_table(&report).trim_end())?;
    output::text(format!(
        "\nWhat the fused model trusts, by length of the user's history:\n\n{weights}"
    ))?;
    for (user, list) in &lists {
        let history = recent_titles(&engine, user)?;
        output::text(format!(
            "\nUser {user}, who last {} {history}:\n\n{}",
            took,
            recommend::table(list)
        ))?;
    }
    output::text(format!("\n{}", newcomer.text(&engine)))?;
    output::text(next(&html, &model_dir, &data_dir, &lists))
}

fn evaluate_models(
    data: &Dataset,
    loaded: &Loaded,
    models: &[&str],
    context: &Context,
) -> anyhow::Result<Evaluated> {
    let models: Vec<String> = models.iter().copied().map(String::from).collect();
    let wanted = evaluate::Wanted {
        models: &models,
        pipelines: &[],
        skip_unfit: true,
        refit: true,
        ablate: false,
        writer: None,
    };
    evaluate::evaluate(data, loaded, &wanted, context)
}

/// Gets MovieLens-100K, or makes a small world up when nothing is reachable.
fn files(out: &Path, context: &Context) -> anyhow::Result<(Sources, bool)> {
    let asset = fetch::find(fetch::Kind::Data, "ml-100k")?;
    match fetch::get(asset, &context.places.fetch, context.progress.as_ref()) {
        Ok(folder) => {
            let file = |end: &str| folder.join(format!("ml-100k.{end}"));
            let sources = Sources {
                interactions: file("inter"),
                items: Some(file("item")),
                users: Some(file("user")),
                ..Sources::default()
            };
            Ok((sources, true))
        }
        Err(error) => {
            note(format!("MovieLens-100K cannot be had, so here is a made-up data set. {error}"));
            Ok((
                generate(&WorldSettings::default(), &out.join("made-up")).map_err(Error::from)?,
                false,
            ))
        }
    }
}

fn cold_split(loaded: &Loaded) -> tastemaker_engine::config::Config {
    let mut config = loaded.config.clone();
    config.split =
        SplitSettings { seed: config.run.seed, ..SplitSettings::new(SplitKind::ColdItems) };
    config
}

/// Lists for three users: with a short, a middling and a long history.
fn sample_lists(engine: &Engine) -> anyhow::Result<Vec<(String, Vec<Listed>)>> {
    let histories = &engine.data().histories;
    let mut by_length: Vec<usize> =
        (0..histories.n_users()).filter(|&u| !histories.row(u).is_empty()).collect();
    by_length.sort_by_key(|&user| (histories.row(user).len(), user));
    let mut lists = Vec::new();
    for share in [0.1, 0.5, 0.9] {
        let Some(&user) = by_length.get((by_length.len() as f64 * share) as usize) else {
            continue;
        };
        let id = engine.data().users.ids().name(user as u32).to_owned();
        let ask = Ask { user: Some(&id), n: LIST, explain: true, ..Ask::default() };
        let list = engine.recommend(&ask)?;
        lists.push((id, list));
    }
    Ok(lists)
}

fn recent_titles(engine: &Engine, user: &str) -> anyhow::Result<String> {
    let history = engine.known_history(engine.user(user)?).last(3);
    let titles: Vec<String> =
        history.items.iter().rev().map(|&item| format!("“{}”", engine.title(item))).collect();
    Ok(titles.join(", "))
}

/// An item that did not exist a moment ago.
struct Newcomer {
    title: String,
    fields: Vec<(String, String)>,
    audience: Vec<(String, usize, f32)>,
}

/// Takes a new item in, told in the words of the catalogue's own columns, and asks who would get it.
fn add_newcomer(engine: &mut Engine, is_real: bool) -> anyhow::Result<Newcomer> {
    const ID: &str = "new-item";
    let title = "Stranded on the Moons of Saturn".to_owned();
    let kind = if is_real { "Sci-Fi|Adventure|Thriller" } else { "" };
    let told = "A starship crew stranded on an alien planet fights to repair its ship and return to Earth.";
    let mut fields = Vec::new();
    for column in engine.data().items.columns() {
        let name = column.name.to_lowercase();
        let value = match &column.values {
            Values::Text(_) if name.contains("title") || name == "name" => title.clone(),
            Values::Text(texts) if !is_real => texts.first().cloned().unwrap_or_default(),
            Values::Text(_) => told.to_owned(),
            Values::Categories(lists) if !is_real => {
                lists.first().map(|list| list.join("|")).unwrap_or_default()
            }
            Values::Categories(_) => kind.to_owned(),
            Values::Number(_) => continue,
        };
        fields.push((column.name.clone(), value));
    }
    engine.add_item(ID, &fields)?;
    let audience = engine.audience(ID, 20, 5)?;
    Ok(Newcomer { title, fields, audience })
}

impl Newcomer {
    fn as_json(&self) -> Value {
        let row = |(user, rank, score): &(String, usize, f32)| json!({ "user": user, "rank": rank, "score": score });
        json!({ "title": self.title, "fields": self.fields, "audience": self.audience.iter().map(row).collect::<Vec<_>>() })
    }

    fn text(&self, engine: &Engine) -> String {
        let mut out = format!(
            "A new item, “{}”, known by its text alone, now stands in the first 20 places of:\n\n",
            self.title
        );
        let row = |(user, rank, _): &(String, usize, f32)| {
            let last = recent_titles(engine, user).unwrap_or_default();
            vec![user.clone(), rank.to_string(), last]
        };
        out.push_str(&output::table(
            &["user", "place", "their last three"],
            self.audience.iter().map(row),
            &[1],
        ));
        out
    }
}

fn next(html: &Path, model: &Path, data: &Path, lists: &[(String, Vec<Listed>)]) -> String {
    let user = lists.first().map_or("1", |(user, _)| user.as_str());
    let item =
        lists.first().and_then(|(_, list)| list.first()).map_or("1", |item| item.item_id.as_str());
    let show = |path: &Path| PathBuf::from(path).display().to_string();
    format!(
        "\nReport: {}\n\nNext:\n  tastemaker recommend --model {model} --user {user} --explain\n  \
         tastemaker similar --model {model} --item {item}\n  tastemaker serve --model {model}      and open http://127.0.0.1:8080/\n  tastemaker evaluate --data {data} --models fused,bpr,user-knn --split time\n  \
         tastemaker import --interactions YOUR.csv --items YOUR-ITEMS.csv --out mine",
        show(html),
        model = show(model),
        data = show(data)
    )
}
