//! What a user did, with titles: in the model's data and in the store.

use std::collections::{HashMap, HashSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tastemaker_store::Event;

use crate::Error;
use crate::api::events::iso;
use crate::call::{Answer, Call};
use crate::live::{EVENTS, Loaded};

/// Times from here down are places in a history: data without a clock has no others.
const FIRST_CLOCK: i64 = 10_000_000;

/// What a user did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct HistoryAnswer {
    user_id: String,
    /// Events of the model's data and the newest 500 of the store, together.
    n_events: usize,
    /// The newest of them, newest first.
    events: Vec<HistoryEvent>,
}

/// One event.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct HistoryEvent {
    item_id: String,
    /// Its title, or its id where it has none.
    title: String,
    /// `model` for the model's data, `store` for what the server was told.
    source: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    event_type: String,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
}

/// `GET /v1/users/{user_id}/history`.
pub(super) async fn show(call: Call) -> Result<Answer, Error> {
    let (id, n) = (call.part("user_id"), call.n(50)?);
    let (store, tenant) = (&call.app.store, &call.tenant.name);
    let told = store.history((tenant, id), (i64::MAX, ""), EVENTS).await?;
    let is_erased = store.erased_user(tenant, id).await?.is_some();
    let loaded = call.tenant.slot.now();
    let known = loaded.as_deref().filter(|_| !is_erased).map(|loaded| of_data(loaded, id));
    let known = known.unwrap_or_default();
    if told.is_empty() && known.is_empty() && store.user(tenant, id).await?.is_none() {
        return Err(Error::NotFound { what: "user", id: id.to_owned() });
    }
    // The model may have been trained on what the store holds.
    let twice: HashSet<(&str, i64)> =
        known.iter().map(|(event, time)| (event.item_id.as_str(), *time)).collect();
    let is_new = |event: &&Event| !twice.contains(&(&*event.item, event.time.div_euclid(1000)));
    let told: Vec<(HistoryEvent, i64)> =
        told.iter().rev().filter(is_new).map(|event| of_store(event, loaded.as_deref())).collect();
    let mut events: Vec<(HistoryEvent, i64)> = known.into_iter().chain(told).collect();
    events.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    let n_events = events.len();
    let mut events: Vec<HistoryEvent> =
        events.into_iter().take(n).map(|(event, _)| event).collect();
    name_others(&call, &mut events).await?;
    Answer::json(&HistoryAnswer { user_id: id.to_owned(), n_events, events })
}

fn of_data(loaded: &Loaded, id: &str) -> Vec<(HistoryEvent, i64)> {
    let engine = &loaded.engine;
    let Ok(user) = engine.user(id) else { return Vec::new() };
    let history = engine.known_history(user);
    let events = history.items.iter().zip(history.values).zip(history.times);
    // Newest first, so that events of the same time keep their order turned round.
    events
        .rev()
        .map(|((item, value), time)| {
            let event = HistoryEvent {
                item_id: engine.item_name(*item).to_owned(),
                title: engine.title(*item),
                source: "model",
                event_type: String::new(),
                value: f64::from(*value),
                timestamp: (*time >= FIRST_CLOCK).then(|| iso(time.saturating_mul(1000))),
            };
            (event, *time)
        })
        .collect()
}

fn of_store(event: &Event, loaded: Option<&Loaded>) -> (HistoryEvent, i64) {
    let title =
        loaded.and_then(|loaded| Some(loaded.engine.title(loaded.engine.item(&event.item).ok()?)));
    let out = HistoryEvent {
        item_id: event.item.clone(),
        title: title.unwrap_or_default(),
        source: "store",
        event_type: event.kind.clone(),
        value: event.value,
        timestamp: Some(iso(event.time)),
    };
    (out, event.time.div_euclid(1000))
}

/// Gives titles to items that only the store knows.
async fn name_others(call: &Call, events: &mut [HistoryEvent]) -> Result<(), Error> {
    let mut titles: HashMap<String, String> = HashMap::new();
    for event in events.iter_mut().filter(|event| event.title.is_empty()) {
        if !titles.contains_key(&event.item_id) {
            let item = call.app.store.item(&call.tenant.name, &event.item_id).await?;
            let title = item.and_then(|item| title_in(&item.fields));
            titles.insert(event.item_id.clone(), title.unwrap_or_else(|| event.item_id.clone()));
        }
        event.title = titles[&event.item_id].clone();
    }
    Ok(())
}

/// Finds the title among the fields of an item of the store.
pub(super) fn title_in(fields: &str) -> Option<String> {
    let fields: Value = serde_json::from_str(fields).ok()?;
    let named = ["title", "name"].iter().find_map(|name| fields[*name].as_str());
    let like = || {
        let mut all = fields.as_object()?.iter();
        all.find(|(name, _)| name.ends_with("title")).and_then(|(_, value)| value.as_str())
    };
    named.or_else(like).filter(|title| !title.is_empty()).map(str::to_owned)
}
