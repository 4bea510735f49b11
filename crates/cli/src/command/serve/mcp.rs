//! `tastemaker mcp`.

use tastemaker_serve::{App, Settings, store::Store};

use super::args::Mcp;
use super::run::{runtime, told_to_end};
use crate::context::Context;

pub(crate) fn run(args: &Mcp, context: &Context) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let outcome = runtime.block_on(talk(args, context));
    // A thread may still wait for a line on stdin.
    runtime.shutdown_background();
    outcome
}

async fn talk(args: &Mcp, context: &Context) -> anyhow::Result<()> {
    let settings =
        Settings { model: args.model.clone(), models: args.models.clone(), ..Settings::default() };
    let store = Store::open_beside(&args.store.store).await?;
    let app = App::open(store.clone(), settings, context.places.clone()).await?;
    let streams = (tokio::io::stdin(), tokio::io::stdout());
    let outcome = tastemaker_serve::mcp::talk(app, &args.tenant, streams, told_to_end()).await;
    let closed = store.close().await;
    outcome?;
    Ok(closed?)
}
