//! New items on their way into the model: read in the background, many at once, then swapped in with the model.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use tastemaker_engine::{Engine, Newcomer};
use tastemaker_store::Item;

use super::tenant::Place;
use super::{App, Loaded, Tenant};

/// Items that may wait.
const QUEUE: usize = 100_000;
/// Items that are taken in at once.
const BATCH: usize = 256;

#[derive(Debug, Default)]
struct Line {
    items: VecDeque<Item>,
    is_served: bool,
}

/// The items that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Line>);

/// What becomes of an item that was written to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reception {
    /// The model knows it; a changed text counts from the next training on.
    Known,
    /// It is read now and can be recommended in a moment.
    Reading,
    /// No model can read it before the next training.
    Stored,
}

impl Reception {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Reading => "reading",
            Self::Stored => "stored",
        }
    }
}

impl Tenant {
    /// Hands items to the model, as far as it can read them.
    pub(crate) fn receive(self: &Arc<Self>, app: &Arc<App>, items: Vec<Item>) -> Vec<Reception> {
        let Some(loaded) = self.slot.now() else { return vec![Reception::Stored; items.len()] };
        let can_grow = loaded.engine.can_grow().is_ok();
        let mut others = self.experiments.models.all();
        others.retain(|arm| arm.engine.can_grow().is_ok());
        let mut line = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut receptions = Vec::with_capacity(items.len());
        for item in items {
            let has_room = line.items.len() < QUEUE;
            let reception = if loaded.engine.known_item(&item.id).is_some() {
                Reception::Known
            } else if can_grow && has_room && !fields(&item, &loaded.engine).is_empty() {
                Reception::Reading
            } else {
                Reception::Stored
            };
            receptions.push(reception);
            let lacks = |arm: &Arc<Loaded>| {
                let engine = &arm.engine;
                engine.known_item(&item.id).is_none() && !fields(&item, engine).is_empty()
            };
            if reception == Reception::Reading || has_room && others.iter().any(lacks) {
                line.items.push_back(item);
            }
        }
        if !line.items.is_empty() && !line.is_served {
            line.is_served = true;
            tokio::spawn(serve(app.clone(), self.clone()));
        }
        receptions
    }

    fn next_batch(&self) -> Vec<Item> {
        let mut line = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = line.items.len().min(BATCH);
        let batch: Vec<Item> = line.items.drain(..n).collect();
        line.is_served = !batch.is_empty();
        batch
    }
}

async fn serve(app: Arc<App>, tenant: Arc<Tenant>) {
    loop {
        let batch = Arc::new(tenant.next_batch());
        if batch.is_empty() {
            return;
        }
        for place in tenant.places() {
            let n = grow((&app, &tenant), &place, &batch).await;
            if let Place::Serving = place {
                app.counts.grown.fetch_add(n as u64, Ordering::Relaxed);
            }
        }
    }
}

/// Lets the model of a place take a batch in; returns how many items that are. Another one may come there meanwhile: the batch is for that
/// one then.
async fn grow(
    (app, tenant): (&Arc<App>, &Arc<Tenant>),
    place: &Place,
    batch: &Arc<Vec<Item>>,
) -> usize {
    while let Some(loaded) = tenant.at(place) {
        let old = loaded.clone();
        let (server, to, batch) = (app.clone(), tenant.clone(), batch.clone());
        let work = move || {
            let warn = |warning| to.failures.warn(server.clock.unix_ms(), warning);
            take_in(&loaded, &batch, &warn)
        };
        let Ok(Some((grown, n))) = tokio::task::spawn_blocking(work).await else { break };
        if tenant.refresh(place, &old, Arc::new(grown)) {
            return n;
        }
    }
    0
}

/// Returns the model with all items of a batch that it can take in.
fn take_in(loaded: &Loaded, batch: &[Item], warn: &dyn Fn(String)) -> Option<(Loaded, usize)> {
    // What waits may be for the model of another place.
    if loaded.engine.can_grow().is_err() {
        return None;
    }
    let mut newcomers: Vec<Newcomer> = Vec::new();
    for item in batch {
        let is_known = loaded.engine.known_item(&item.id).is_some();
        let fields = fields(item, &loaded.engine);
        let is_new = !is_known && newcomers.iter().all(|(id, _)| *id != item.id);
        if is_new && !fields.is_empty() {
            newcomers.push((item.id.clone(), fields));
        }
    }
    if newcomers.is_empty() {
        return None;
    }
    if let Ok(engine) = loaded.engine.grown(&newcomers) {
        return Some((loaded.with(engine, newcomers.len()), newcomers.len()));
    }
    // One that does not fit must not keep the others out.
    let mut grown: Option<(Engine, usize)> = None;
    for newcomer in newcomers {
        let (engine, n) = grown.as_ref().map_or((&loaded.engine, 0), |(engine, n)| (engine, *n));
        match engine.grown(std::slice::from_ref(&newcomer)) {
            Ok(engine) => grown = Some((engine, n + 1)),
            Err(error) => {
                let warning =
                    format!("the item `{}` waits for the next training: {error}", newcomer.0);
                tracing::warn!("{warning}");
                warn(warning);
            }
        }
    }
    grown.map(|(engine, n)| (loaded.with(engine, n), n))
}

/// Returns all that is told of an item, under the names that columns may have.
pub(crate) fn told(item: &Item) -> Map<String, Value> {
    let mut all: Map<String, Value> = serde_json::from_str(&item.fields).unwrap_or_default();
    let more = [("comment", Value::String(item.comment.clone()))];
    let categories: Value = serde_json::from_str(&item.categories).unwrap_or_default();
    let named = ["categories", "category", "genres"].map(|name| (name, categories.clone()));
    for (name, value) in more.into_iter().chain(named) {
        all.entry(name).or_insert(value);
    }
    all
}

/// Returns the fields of an item that the model's data has too.
pub(super) fn fields(item: &Item, engine: &Engine) -> Vec<(String, String)> {
    let columns = engine.data().items.columns();
    let known = told(item)
        .into_iter()
        .filter(|(name, _)| columns.iter().any(|column| column.name == *name));
    known.map(|(name, value)| (name, text(value))).filter(|(_, text)| !text.is_empty()).collect()
}

fn text(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        Value::Array(values) => values.into_iter().map(text).collect::<Vec<_>>().join("|"),
        other => other.to_string(),
    }
}
