//! `tastemaker inspect`.

use tastemaker_engine::data::{Dataset, Inspection, Spread, inspect};

use crate::args::Inspect;
use crate::context::Context;
use crate::output::{self, thousands};

pub(crate) fn run(args: &Inspect, context: &Context) -> anyhow::Result<()> {
    let found = inspect(&Dataset::open(&args.data)?);
    output::result(context.format, &found, || text(&found))
}

fn text(found: &Inspection) -> String {
    let time = match (&found.time.first, &found.time.last, found.time.days) {
        (Some(first), Some(last), Some(days)) => format!("{first} to {last} ({days:.0} days)"),
        _ => found.time.kind.into(),
    };
    let ratings = match found.ratings.constant {
        true => format!("all {}", found.ratings.min),
        false => format!(
            "{} to {}, mean {:.2}",
            found.ratings.min, found.ratings.max, found.ratings.mean
        ),
    };
    let active =
        |n: usize, all: usize| format!("{} ({} with events)", thousands(all), thousands(n));
    let facts = [
        ("users", active(found.active_users, found.n_users)),
        ("items", active(found.active_items, found.n_items)),
        ("events", thousands(found.n_events)),
        ("density", format!("{:.3} %", found.density * 100.0)),
        ("repeated events", format!("{:.2} %", found.repeats * 100.0)),
        ("time", time),
        ("ratings or weights", ratings),
    ];
    let mut out = format!("{}\n\n", found.name);
    out.push_str(&output::table(&["what", "value"], facts.map(|(k, v)| vec![k.into(), v]), &[]));
    out.push_str("\n\n");
    let header = ["events per", "mean", "min", "25 %", "median", "75 %", "95 %", "max"];
    let spreads = [("user", &found.per_user), ("item", &found.per_item)].map(spread);
    out.push_str(&output::table(&header, spreads, &[1, 2, 3, 4, 5, 6, 7]));
    out.push_str("\n\n");
    let of = |table: &'static str, fields: &[_]| {
        fields.iter().map(|f| coverage(table, f)).collect::<Vec<_>>()
    };
    let rows = of("items", &found.item_fields).into_iter().chain(of("users", &found.user_fields));
    out.push_str(&output::table(
        &["table", "field", "kind", "filled", "mean length"],
        rows,
        &[3, 4],
    ));
    for problem in &found.problems {
        out.push_str(&format!("\nnote: {problem}"));
    }
    out
}

fn spread((what, s): (&str, &Spread)) -> Vec<String> {
    let counts = [s.min, s.q25, s.median, s.q75, s.q95, s.max].map(thousands);
    [what.to_owned(), format!("{:.1}", s.mean)].into_iter().chain(counts).collect()
}

fn coverage(table: &str, field: &tastemaker_engine::data::Coverage) -> Vec<String> {
    let length = field.mean_len.map(|n| format!("{n:.1}")).unwrap_or_default();
    vec![
        table.into(),
        field.name.clone(),
        field.kind.into(),
        format!("{:.1} %", field.share * 100.0),
        length,
    ]
}
