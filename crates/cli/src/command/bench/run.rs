//! `tastemaker bench serve`.

use std::fmt::Write as _;

use serde_json::json;
use tastemaker_engine::artifact;
use tastemaker_engine::core::SystemClock;
use tastemaker_engine::data::Dataset;
use tastemaker_serve::load::{Latencies, Load, Report, load};

use super::args::{Bench, ServeBench, What};
use super::server::Server;
use crate::context::Context;
use crate::output;

/// Width of the longest bar.
const WIDTH: usize = 40;

pub(crate) fn run(args: &Bench, context: &Context) -> anyhow::Result<()> {
    match &args.what {
        What::Serve(args) => serve(args, context),
    }
}

fn serve(args: &ServeBench, context: &Context) -> anyhow::Result<()> {
    let manifest = artifact::manifest(&args.model)?;
    let data = Dataset::open(&args.model.join("data"))?;
    let users: Vec<String> = data.users.ids().iter().map(str::to_owned).collect();
    let items: Vec<String> = data.items.ids().iter().map(str::to_owned).collect();
    drop(data);
    let server = match &args.addr {
        Some(_) => None,
        None => Some(Server::start(&args.model, args.cache_mb)?),
    };
    let own = server.as_ref().map(|server| server.address.as_str());
    let address = args.addr.as_deref().or(own).unwrap_or_default();
    let asked = Load {
        address,
        key: args.key.as_deref(),
        users: &users,
        items: &items,
        n: args.n,
        question: &args.question,
        connections: args.connections.into(),
        seconds: args.seconds.into(),
        rate: args.rate.map(f64::from),
        events: args.events,
        seed: args.seed,
    };
    let before = server.as_ref().and_then(Server::memory);
    let report = load(&asked, &SystemClock::default(), context.progress.as_ref())?;
    let after = server.as_ref().and_then(Server::memory);
    drop(server);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let value = json!({
        "model": manifest.model, "items": items.len(), "users": users.len(), "connections": args.connections, "rate": args.rate,
        "cores": cores, "cache_mb": args.addr.is_none().then_some(args.cache_mb),
        "memory_mb": after.map(|after| [before.unwrap_or(after), after]), "report": report,
    });
    output::result(context.format, &value, || {
        let mut text = table(&report);
        let loop_ = args.rate.map_or("closed loop".into(), |rate| format!("open loop, {rate}/s"));
        _ = write!(
            text,
            "\n\n{} of {} items and {} users, {} connections, {loop_}, {cores} cores shared with the load",
            manifest.model,
            items.len(),
            users.len(),
            args.connections
        );
        if let Some(after) = after {
            _ = write!(
                text,
                "; the server holds {after:.0} MB, {:.0} before",
                before.unwrap_or(after)
            );
        }
        text
    })
}

fn table(report: &Report) -> String {
    let header = ["requests", "answers", "per second", "p50 ms", "p90", "p99", "p99.9", "most"];
    let row = |kind: &Latencies| {
        let times = [kind.p50, kind.p90, kind.p99, kind.p999, kind.most];
        let counts = [
            kind.kind.to_owned(),
            kind.n.to_string(),
            format!("{:.0}", kind.n as f64 / report.seconds),
        ];
        counts.into_iter().chain(times.map(|ms| format!("{ms:.2}"))).collect::<Vec<_>>()
    };
    let right: Vec<usize> = (1..header.len()).collect();
    let mut text = output::table(&header, report.kinds.iter().map(row), &right);
    for kind in &report.kinds {
        _ = write!(text, "\n\n{} that took up to ... ms", kind.kind);
        let largest = kind.histogram.iter().map(|(_, n)| *n).max().unwrap_or(1).max(1);
        for (end, n) in kind.histogram.iter().filter(|(_, n)| *n > 0) {
            let end = end.map_or("more".to_owned(), |end| end.to_string());
            let bar = "#".repeat((n * WIDTH).div_ceil(largest));
            _ = write!(text, "\n{end:>6} {n:>9} {bar}");
        }
    }
    if report.failed > 0 {
        _ = write!(text, "\n\n{} requests were not answered with 200", report.failed);
    }
    text
}
