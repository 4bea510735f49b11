//! Items like an item.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::recommend::{N, RecommendedItem};
use crate::Error;
use crate::call::{Answer, Call};
use crate::live::{App, Tenant};

/// Items like an item, most alike first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SimilarAnswer {
    /// The model that answered.
    model: String,
    /// The items.
    items: Vec<RecommendedItem>,
}

/// `GET /v1/similar/{item_id}`.
pub(crate) async fn answer(call: Call) -> Result<Answer, Error> {
    let (model, items) = similar(&call.app, &call.tenant, call.part("item_id"), call.n(N)?).await?;
    Answer::json(&SimilarAnswer { model, items })
}

/// Lists items like an item, without those that must not be shown.
pub(crate) async fn similar(
    app: &Arc<App>,
    tenant: &Arc<Tenant>,
    item: &str,
    n: usize,
) -> Result<(String, Vec<RecommendedItem>), Error> {
    let loaded = tenant.slot.now().ok_or(Error::NoModel)?;
    let barred = tenant.barred(&app.store, app.clock.seconds()).await?;
    let (id, item) = (loaded.id.clone(), item.to_owned());
    let more = barred.len();
    let listed = app.workers.run(move || Ok(loaded.engine.similar(&item, n + more)?)).await?;
    let shown = listed.into_iter().filter(|listed| !barred.contains(&listed.item_id)).take(n);
    let items = shown
        .enumerate()
        .map(|(place, listed)| RecommendedItem { rank: place + 1, ..listed.into() })
        .collect();
    Ok((id, items))
}
