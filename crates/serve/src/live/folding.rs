//! Items that a model of iALS has learnt nothing of, placed by those who took them since: in the background, once a second at most, and
//! swapped in with the model.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashlink::LinkedHashSet;
use tastemaker_engine::FoldIn;
use tastemaker_store::EventFilter;

use super::history::strength;
use super::newcomers::fields;
use super::tenant::Place;
use super::{App, Loaded, Tenant};
use crate::Error;

/// Users who took an item, with the values that models reckon with.
type Takers = Vec<(String, f32)>;

/// Items that are placed at once.
const BATCH: usize = 256;
/// Items that may wait, and items that a model may have taken in: more come with the next training.
const MOST: usize = 100_000;
/// Events of an item that are looked at.
const EVENTS: usize = 2000;
/// Rows of a page.
const ROWS: usize = 1000;
/// Time between two batches: each copies the vectors of the model, and ends the lists that are kept.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Line {
    /// The one that has waited longest comes first.
    items: LinkedHashSet<String>,
    is_served: bool,
}

/// The items that wait.
#[derive(Debug, Default)]
pub(crate) struct Folding(Mutex<Line>);

impl Tenant {
    /// Has items placed anew, as far as the model leaves that open.
    pub(super) fn fold_in(self: &Arc<Self>, app: &Arc<App>, items: Vec<String>) {
        let models: Vec<_> = self.places().iter().filter_map(|place| self.at(place)).collect();
        let open = items.into_iter().filter(|item| models.iter().any(|model| takes(model, item)));
        let mut line = self.folding.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out = 0;
        for item in open {
            if line.items.contains(&item) {
                continue;
            }
            if line.items.len() < MOST {
                line.items.insert(item);
            } else {
                left_out += 1;
            }
        }
        if left_out > 0 {
            tracing::warn!("{left_out} items of {} wait for their next event", self.name);
        }
        if !line.items.is_empty() && !line.is_served {
            line.is_served = true;
            tokio::spawn(serve(app.clone(), self.clone()));
        }
    }

    /// Lists the items of a user that are placed by those who took them.
    pub(super) async fn placed_by(&self, app: &App, user: &str) -> Result<Vec<String>, Error> {
        let models: Vec<_> = self.places().iter().filter_map(|place| self.at(place)).collect();
        let (mut items, mut cursor) = (Vec::new(), String::new());
        if !models.iter().any(|model| model.engine.can_fold_in("")) {
            return Ok(items);
        }
        let filter = EventFilter { user: Some(user), ..EventFilter::default() };
        loop {
            let page = app.store.events(&self.name, &filter, &cursor, ROWS).await?;
            let taken = page.rows.into_iter().map(|event| event.item);
            items.extend(taken.filter(|item| models.iter().any(|model| takes(model, item))));
            cursor = page.cursor;
            if cursor.is_empty() {
                return Ok(items);
            }
        }
    }

    /// Has all items placed that somebody took before this model answered.
    pub(super) async fn fold_in_all(self: &Arc<Self>, app: &Arc<App>) -> Result<(), Error> {
        // Few models can: the others need not look for items.
        let mut models = self.places().into_iter().filter_map(|place| self.at(&place));
        if !models.any(|model| model.engine.can_fold_in("")) {
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
            && let Some(item) = line.items.pop_front()
        {
            batch.push(item);
        }
        line.is_served = !batch.is_empty();
        batch
    }
}

/// Tells whether a model takes an item's place from those who took it.
fn takes(model: &Loaded, item: &str) -> bool {
    let is_known = model.engine.known_item(item).is_some();
    model.engine.can_fold_in(item) && (is_known || model.newcomers < MOST)
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
    for at in tenant.places() {
        place_in(app, (tenant, &at), (batch, &takers)).await?;
    }
    Ok(())
}

/// Places items in the model of a place.
async fn place_in(
    app: &App,
    (tenant, at): (&Tenant, &Place),
    (batch, takers): (&[String], &[Takers]),
) -> Result<(), Error> {
    // Another model may answer meanwhile, or this one with more items: they are placed in that one then.
    while let Some(loaded) = tenant.at(at) {
        let is_open = |(item, _): &(&String, _)| takes(&loaded, item);
        let open: Vec<_> = batch.iter().zip(takers).filter(is_open).collect();
        if open.is_empty() {
            return Ok(());
        }
        let mut items = Vec::with_capacity(open.len());
        for (item_id, takers) in open {
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
        if tenant.refresh(at, &old, Arc::new(folded)) {
            return Ok(());
        }
    }
    Ok(())
}

/// Returns the users who took an item, with the values that models reckon with.
async fn takers_of(app: &App, tenant: &Tenant, item: &str) -> Result<Takers, Error> {
    let takers = app.store.takers((&tenant.name, item), EVENTS).await?;
    Ok(takers.into_iter().map(|(user, value)| (user, strength(value))).collect())
}
