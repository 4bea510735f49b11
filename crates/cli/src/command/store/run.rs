//! `tastemaker store export|import|backup|restore`.

use std::path::Path;

use serde_json::{Value, json};
use tastemaker_engine::core::{Clock as _, SystemClock};
use tastemaker_serve::bulk::{Export, ExportReport, FileKind, ImportReport, Imported};
use tastemaker_serve::store::{self, Act, Backup, Change, Error, Store, is_tenant};

use super::args::{FileKindName, Import, StoreAction, StoreCommand};
use crate::command::serve::{COMMAND_LINE, runtime, told_to_end};
use crate::context::Context;
use crate::output::{self, thousands};

pub(crate) fn run(args: &StoreCommand, context: &Context) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        tokio::select! {
            outcome = act(args, context) => outcome,
            // What is not done yet is taken away; what was written to the store stays.
            () = told_to_end() => Err(anyhow::anyhow!("it was told to end before it was done")),
        }
    })
}

async fn act(args: &StoreCommand, context: &Context) -> anyhow::Result<()> {
    let address = &args.store.store;
    match &args.action {
        StoreAction::Export { tenant, out, kind } => {
            let kind = match kind {
                FileKindName::Jsonl => FileKind::Jsonl,
                FileKindName::Parquet => FileKind::Parquet,
            };
            export(address, (tenant, out, kind), context).await
        }
        StoreAction::Import(files) => import(address, files, context).await,
        StoreAction::Backup { out } => {
            let made = waiting(context, "copying the store", store::back_up(address, out)).await?;
            let value = told(&made, out);
            output::result(context.format, &value, || copied(&made, "copied to", out))
        }
        StoreAction::Restore { from, force } => {
            let work = store::restore(from, address, *force);
            let made = waiting(context, "restoring the store", work).await?;
            let value = told(&made, Path::new(address));
            output::result(context.format, &value, || {
                copied(&made, "restored in", Path::new(address))
            })
        }
    }
}

async fn export(
    address: &str,
    (tenant, out, kind): (&str, &Path, FileKind),
    context: &Context,
) -> anyhow::Result<()> {
    if !is_tenant(tenant) {
        return Err(Error::Tenant { name: tenant.to_owned() }.into());
    }
    store::must_be_there(address)?;
    let store = Store::open(address).await?;
    let progress = context.progress.as_ref();
    let report = Export { store: &store, tenant, out, kind, progress }.run().await?;
    output::result(context.format, &report, || exported(&report))
}

async fn import(address: &str, files: &Import, context: &Context) -> anyhow::Result<()> {
    let tenant = &files.tenant;
    if !is_tenant(tenant) {
        return Err(Error::Tenant { name: tenant.clone() }.into());
    }
    let (store, clock) = (Store::open_beside(address).await?, SystemClock::default());
    let import = tastemaker_serve::bulk::Import {
        store: &store,
        tenant,
        events: files.events.as_deref(),
        items: files.items.as_deref(),
        users: files.users.as_deref(),
        clock: &clock,
        progress: context.progress.as_ref(),
    };
    let report = import.run().await?;
    let written: Vec<String> =
        rows(&report).map(|(name, part)| format!("{} {name}", part.written)).collect();
    let act = Act::new(tenant, clock.unix_ms(), COMMAND_LINE, "store import");
    store.change(Change::Act(act.on(&written.join(", ")))).await?;
    output::result(context.format, &report, || imported(&report))
}

/// Shows that something is being done which does not tell how far it is.
async fn waiting<T>(
    context: &Context,
    task: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    use tastemaker_engine::core::Progress as _;
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(200));
    loop {
        tokio::select! {
            outcome = &mut work => {
                context.progress.report(task, 1, 1);
                return outcome;
            }
            _ = ticks.tick() => context.progress.report(task, 0, 0),
        }
    }
}

fn told(made: &Backup, path: &Path) -> Value {
    json!({
        "file": path, "bytes": made.bytes, "version": made.version, "events": made.events, "items": made.items,
        "users": made.users, "keys": made.keys,
    })
}

fn number(n: i64) -> String {
    thousands(usize::try_from(n).unwrap_or_default())
}

fn copied(made: &Backup, how: &str, path: &Path) -> String {
    format!(
        "{} events, {} items, {} users and {} keys of all tenants {how} {} ({} bytes, checked)",
        number(made.events),
        number(made.items),
        number(made.users),
        number(made.keys),
        path.display(),
        thousands(usize::try_from(made.bytes).unwrap_or(usize::MAX)),
    )
}

fn exported(report: &ExportReport) -> String {
    let count = |n: u64| thousands(usize::try_from(n).unwrap_or(usize::MAX));
    let files: Vec<String> = report.files.iter().map(|file| file.display().to_string()).collect();
    format!(
        "{} events, {} items and {} users of {} written to {}",
        count(report.events),
        count(report.items),
        count(report.users),
        report.tenant,
        files.join(", "),
    )
}

fn rows(report: &ImportReport) -> impl Iterator<Item = (&'static str, &Imported)> {
    let parts = [("events", &report.events), ("items", &report.items), ("users", &report.users)];
    parts.into_iter().filter_map(|(name, part)| Some((name, part.as_ref()?)))
}

fn imported(report: &ImportReport) -> String {
    let count = |n: u64| thousands(usize::try_from(n).unwrap_or(usize::MAX));
    let row = |(name, part): (&'static str, &Imported)| {
        let counts = [part.rows, part.written, part.known, part.left_out].map(count);
        [vec![name.to_owned(), part.file.display().to_string()], counts.into()].concat()
    };
    let header = ["", "file", "rows", "written", "known", "erased since"];
    output::table(&header, rows(report).map(row), &[2, 3, 4, 5])
}
