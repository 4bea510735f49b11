//! `tastemaker serve`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum as _;
use tastemaker_serve::{App, Certificate, Error, Settings, TraceSettings, store::Store};
use tokio::runtime::Runtime;

use super::args::Serve;
use crate::command::Usage;
use crate::context::Context;
use crate::output;

/// Time for which a thread without work is kept.
const KEPT: Duration = Duration::from_secs(3600);
/// Where `tastemaker demo` puts its model when nothing else is said.
const DEMO: &str = "demo/model";

pub(crate) fn run(args: &Serve, context: &Context) -> anyhow::Result<()> {
    runtime()?.block_on(serve(args, context))
}

async fn serve(args: &Serve, context: &Context) -> anyhow::Result<()> {
    open_files();
    let usual = Settings::default();
    let settings = Settings {
        model: args.model.clone().or_else(|| of_demo(args)),
        models: args.models.clone(),
        open: args.open || args.addr.ip().is_loopback(),
        local: !args.open,
        tls: args
            .tls_cert
            .clone()
            .zip(args.tls_key.clone())
            .map(|(chain, key)| Certificate { chain, key }),
        workers: args.workers.map_or(usual.workers, usize::from),
        queue: args.queue,
        rate: args.rate,
        body: usize::from(args.body_mb) << 20,
        timeout: Duration::from_secs(args.timeout_s.into()),
        histories: (args.histories_mb as usize) << 20,
        cache: (args.cache_mb as usize) << 20,
        cached_for: Duration::from_secs(args.cache_s.into()),
        keep_days: args.keep_days,
        audit_days: args.audit_days,
        traces: traces(args)?,
        trainer: trainer(args, context)?,
        retrain_events: args.retrain_events,
        retrain_hours: args.retrain_hours,
        ..usual
    };
    let store = Store::open(&args.store.store).await?;
    let has_keys = !store.keys().await?.is_empty();
    if !has_keys && !settings.open {
        return Err(Error::Unguarded { address: args.addr.to_string() }.into());
    }
    let app = App::open(store.clone(), settings, context.places.clone()).await?;
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    let ready = |address| {
        let who = if has_keys { "with a key" } else { "without a key, as there are none" };
        output::note(format!(
            "listening at {scheme}://{address} {who}; Ctrl-C ends it when requests under way are done"
        ));
    };
    let outcome = tastemaker_serve::run(app, args.addr, ready, told_to_end()).await;
    let closed = store.close().await;
    outcome?;
    Ok(closed?)
}

/// Returns where traces go, and how many; nowhere unless an address is given.
fn traces(args: &Serve) -> anyhow::Result<Option<TraceSettings>> {
    let Some(endpoint) = &args.otlp else { return Ok(None) };
    let told = args.otlp_headers.as_deref().unwrap_or_default().split(',');
    let headers = told.filter(|header| !header.trim().is_empty()).map(header);
    let headers = headers.collect::<Option<Vec<_>>>();
    // What is wrong with a header is told without it: it may hold a secret.
    let wrong = || Usage("--otlp-headers: write name=value,name=value".into());
    Ok(Some(TraceSettings {
        sample: args.otlp_sample,
        headers: headers.ok_or_else(wrong)?,
        ..TraceSettings::new(endpoint)
    }))
}

fn header(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_fit = !name.is_empty()
        && name.bytes().all(is_token)
        && value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    is_fit.then(|| (name.to_owned(), value.to_owned()))
}

/// Returns the model that `tastemaker demo` made here, where nobody names another.
fn of_demo(args: &Serve) -> Option<PathBuf> {
    let made = Path::new(DEMO);
    let is_there = args.models.is_none() && made.join("manifest.json").is_file();
    is_there.then(|| {
        output::note(format!(
            "{DEMO} answers, which `tastemaker demo` made; --model DIR names another"
        ));
        made.to_owned()
    })
}

/// Returns the command line of the process that trains: this program again, giving way to everything else.
fn trainer(args: &Serve, context: &Context) -> anyhow::Result<Vec<OsString>> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let mut line: Vec<OsString> = Vec::new();
    if Path::new("/usr/bin/nice").is_file() {
        line.extend(["/usr/bin/nice", "-n", "10"].map(OsString::from));
    }
    line.extend([
        own.into(),
        "--no-progress".into(),
        "--cache".into(),
        context.places.fetch.cache.clone().into(),
    ]);
    line.extend(context.places.fetch.offline.then(|| "--offline".into()));
    line.push("retrain".into());
    let when = args.retrain_promote.to_possible_value().expect("no name is left out");
    let rule = [
        ("--promote", when.get_name().to_owned()),
        ("--tolerance", args.retrain_tolerance.to_string()),
        ("--holdout", args.retrain_holdout.to_string()),
    ];
    line.extend(rule.into_iter().flat_map(|(flag, value)| [flag.into(), value.into()]));
    Ok(line)
}

/// Makes what asynchronous work runs in. Threads that compute are kept: each new one begins a heap of its own, and those of threads that
/// ended are not given back.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    threads.enable_all().thread_keep_alive(KEPT).build().context("cannot start threads")
}

/// Allows this process as many open files, and so connections, as the system lets it: shells and service managers often allow 1024.
fn open_files() {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let raised = getrlimit(Resource::RLIMIT_NOFILE)
            .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
        if let Err(error) = raised {
            tracing::warn!("the limit on open files stays as it is: {error}");
        }
    }
}

/// Comes true with Ctrl-C, or with what `kill` and service managers send.
pub(crate) async fn told_to_end() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        let terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        if let Ok(mut terminated) = terminated {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    drop(interrupted.await);
}
