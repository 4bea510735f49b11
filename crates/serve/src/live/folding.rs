//! Items that a model of iALS has learnt nothing of, placed by those who took them since: in the background, once a second at most, and
//! swapped in with the model.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tastemaker_engine::FoldIn;
use tastemaker_store::{EventFilter, IMPRESSION};

use super::newcomers::fields;
use super::{App, Known, Tenant};
use crate::Error;

/// Items that are placed at once.
const BATCH: usize = 256;
/// Items that may wait.
const QUEUE: usize = 100_000;
/// Events of an item that are looked at.
const EVENTS: usize = 10_000;
/// Rows of a page.
const ROWS: usize = 1000;
/// Time between two batches: each copies the vectors of the model, and ends the lists that are kept.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Line {
    items: BTreeSet<String>,
    is_served: bool,
}

/// The items that wait.
#[derive(Debug, Default)]
pub(crate) struct Folding(Mutex<Line>);

impl Tenant {
    /// Has items placed anew, as far as the model leaves that open.
    pub(super) fn fold_in(self: &Arc<Self>, app: &Arc<App>, items: Vec<String>) {
        let Some(loaded) = self.slot.now() else { return };
        let open = items.into_iter().filter(|item| loaded.engine.can_fold_in(item));
        let mut line = self.folding.0.lock().unwrap_or_else(PoisonError::into_inner);
        for item in open {
            if line.items.len() < QUEUE {
                line.items.insert(item);
            }
        }
        if !line.items.is_empty() && !line.is_served {
            line.is_served = true;
            tokio::spawn(serve(app.clone(), self.clone()));
        }
    }

    /// Has all items placed that somebody took before this model answered.
    pub(super) async fn fold_in_all(self: &Arc<Self>, app: &Arc<App>) -> Result<(), Error> {
        // Few models can: the others need not look for items.
        if !self.slot.now().is_some_and(|loaded| loaded.engine.can_fold_in("")) {
            return Ok(());
        }
        let mut cursor = String::new();
        loop {
            let page = app.store.taken_items(&self.name, &cursor, ROWS).await?;
            self.fold_in(app, page.rows);
            cursor = page.cursor;
            if cursor.is_empty() {
                return Ok(());
            }
        }
    }

    fn next_items(&self) -> Vec<String> {
        let mut line = self.folding.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(item) = line.items.pop_first()
        {
            batch.push(item);
        }
        line.is_served = !batch.is_empty();
        batch
    }
}

async fn serve(app: Arc<App>, tenant: Arc<Tenant>) {
    loop {
        let batch = tenant.next_items();
        if batch.is_empty() {
            return;
        }
        if let Err(error) = place(&app, &tenant, &batch).await {
            tracing::warn!("{} items wait for their next event: {error}", batch.len());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn place(app: &App, tenant: &Tenant, batch: &[String]) -> Result<(), Error> {
    let mut takers = Vec::with_capacity(batch.len());
    for item in batch {
        takers.push(takers_of(app, tenant, item).await?);
    }
    // Another model may answer meanwhile, or this one with more items: they are placed in that one then.
    while let Some(loaded) = tenant.slot.now() {
        let mut items = Vec::with_capacity(batch.len());
        for (item_id, takers) in batch.iter().zip(&takers) {
            let known = app.store.item(&tenant.name, item_id).await?;
            let fields = known.map(|item| fields(&item, &loaded.engine)).unwrap_or_default();
            items.push(FoldIn { item_id: item_id.clone(), fields, takers: takers.clone() });
        }
        let old = loaded.clone();
        let work = move || {
            let engine = loaded.engine.folded_in(&items)?;
            let more = engine.data().n_items() - loaded.engine.data().n_items();
            Ok::<_, Error>(loaded.with(engine, more))
        };
        let folded = tokio::task::spawn_blocking(work).await.map_err(|error| {
            tracing::error!("items were not placed: {error}");
            Error::Failed
        })??;
        if tenant.slot.refresh(&old, Arc::new(folded)) {
            return Ok(());
        }
    }
    Ok(())
}

/// Returns the users who took an item, with the values that models reckon with.
async fn takers_of(app: &App, tenant: &Tenant, item: &str) -> Result<Vec<(String, f32)>, Error> {
    let filter = EventFilter { item: Some(item), ..EventFilter::default() };
    let (mut takers, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.store.events(&tenant.name, &filter, &cursor, ROWS).await?;
        let events = page.rows.into_iter().filter(|event| event.kind != IMPRESSION);
        for event in events {
            let user = event.user.clone();
            let taken = Known::new(vec![event], false).taken;
            takers.extend(taken.into_iter().map(|taken| (user.clone(), taken.value)));
        }
        cursor = page.cursor;
        if cursor.is_empty() || takers.len() >= EVENTS {
            return Ok(takers);
        }
    }
}
