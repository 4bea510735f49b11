//! Fits iALS and item-kNN on a file of events, each twice, and tells how long that took and how good iALS is: the side of
//! Tastemaker beside `bench/implicit_fit.py` in docs/benchmarks.md:
//!
//!     cargo run --release -p tastemaker-models --example fit_speed -- interactions.csv.gz
//!         [factors 64] [iterations 15] [alpha 0] [regularisation 10]
//!
//! Columns `user_id`, `item_id`, `timestamp`. Leave-one-out: the last event of every user with three or more is the
//! target, all before it are known and learnt from, every item that is not known is a candidate. The penalty does not
//! grow with the row and all events of a history weigh the same, as in `implicit`, whose alpha is one more than ours.
#![expect(clippy::print_stdout, reason = "an example tells its result")]

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::str::FromStr;

use flate2::read::MultiGzDecoder;
use rayon::prelude::*;
use tastemaker_core::{
    Checked, Clock, Fit, Histories, HistoriesBuilder, ItemId, Recommender, Request, SystemClock,
    TrainData,
};
use tastemaker_models::{Ials, IalsSettings, ItemKnnSettings, Measure};

type Failure = Box<dyn std::error::Error>;

/// Known events, and the target of each user who has one.
struct LeaveOneOut {
    known: Histories,
    targets: Vec<Option<ItemId>>,
    n_items: usize,
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let path = args
        .first()
        .ok_or("usage: fit_speed FILE [factors] [iterations] [alpha] [regularisation]")?;
    let ials = IalsSettings {
        factors: number(&args, 1, 64)?,
        iterations: number(&args, 2, 15)?,
        alpha: number(&args, 3, 0.0)?,
        regularisation: number(&args, 4, 10.0)?,
        exponent: 0.0,
        recency: 0.0,
        ..IalsSettings::default()
    };
    let knn =
        |measure, neighbours| ItemKnnSettings { measure, neighbours, ..ItemKnnSettings::default() };
    let data = read(path)?;
    let model = fit_twice("ials", ials, &data)?;
    fit_twice("item-knn cosine K 20", knn(Measure::Cosine, 20), &data)?;
    fit_twice("item-knn BM25 K 500", knn(Measure::Bm25, 500), &data)?;
    let (hit, ndcg) = quality(&model, &data);
    println!("ials: HR@10 {hit:.4}  NDCG@10 {ndcg:.4}");
    Ok(())
}

/// Fits twice, as a process that is up would: the first fit also pays for fresh memory.
fn fit_twice<S: Fit + Clone>(
    name: &str,
    settings: S,
    data: &LeaveOneOut,
) -> Result<S::Model, Failure> {
    let checked = Checked::new(settings).map_err(|faults| format!("{faults:?}"))?;
    let fit = || -> Result<S::Model, Failure> {
        let clock = SystemClock::default();
        let model = checked.fit(&TrainData::new(&data.known, data.n_items))?;
        println!("{name}: fit {:.3} s", clock.seconds());
        Ok(model)
    };
    fit()?;
    fit()
}

fn number<T: FromStr>(args: &[String], at: usize, usual: T) -> Result<T, T::Err> {
    args.get(at).map_or(Ok(usual), |arg| arg.parse())
}

fn read(path: &str) -> Result<LeaveOneOut, Failure> {
    let file = File::open(path)?;
    let source: Box<dyn Read> =
        if path.ends_with(".gz") { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut rows = csv::Reader::from_reader(source);
    let headers = rows.headers()?.clone();
    let column = |name: &str| {
        headers.iter().position(|header| header == name).ok_or(format!("no column `{name}`"))
    };
    let (user, item, time) = (column("user_id")?, column("item_id")?, column("timestamp")?);
    let (mut users, mut items) = (HashMap::new(), HashMap::new());
    let mut events: Vec<Vec<(f64, usize)>> = Vec::new();
    for row in rows.records() {
        let row = row?;
        let next = users.len();
        let user = *users.entry(row[user].to_owned()).or_insert(next);
        let next = items.len();
        let item = *items.entry(row[item].to_owned()).or_insert(next);
        events.resize(users.len(), Vec::new());
        events[user].push((row[time].parse()?, item));
    }
    let mut known = HistoriesBuilder::default();
    let mut targets = Vec::new();
    for mut events in events {
        events.sort_by(|a, b| a.0.total_cmp(&b.0));
        let target = if events.len() < 3 { None } else { events.pop() };
        targets.push(target.map(|(_, item)| ItemId::from_index(item)));
        for (at, (_, item)) in (0..).zip(events) {
            known.push(ItemId::from_index(item), 1.0, at);
        }
        known.end_user();
    }
    Ok(LeaveOneOut { known: known.build(), targets, n_items: items.len() })
}

/// Returns HR@10 and NDCG@10.
fn quality(model: &Ials, data: &LeaveOneOut) -> (f64, f64) {
    let gains: Vec<f64> = data
        .targets
        .par_iter()
        .enumerate()
        .filter_map(|(user, target)| {
            let best = model.recommend(&Request::new(None, data.known.row(user)), 10);
            let rank = best.iter().position(|scored| Some(scored.item) == *target);
            target.map(|_| rank.map_or(0.0, |rank| 1.0 / (rank as f64 + 2.0).log2()))
        })
        .collect();
    let n = gains.len().max(1) as f64;
    (gains.iter().filter(|gain| **gain > 0.0).count() as f64 / n, gains.iter().sum::<f64>() / n)
}
