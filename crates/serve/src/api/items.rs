//! The catalogue: items of the store, and those that the model knows from its data.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tastemaker_store::Item;

use super::events::{When, iso};
use super::recommend::N;
use crate::Error;
use crate::call::{Answer, Call, at_most};
use crate::live::Loaded;

/// What an item is.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ItemIn {
    /// Its id; in the address where one item is put.
    #[serde(skip_serializing_if = "Option::is_none")]
    item_id: Option<String>,
    /// Its columns: title, description, year. Models read those they were trained with.
    fields: Map<String, Value>,
    /// Its categories.
    categories: Vec<String>,
    /// It is not recommended.
    hidden: bool,
    /// Words about it.
    comment: String,
    /// When it appeared; now where it is left out.
    #[serde(skip_serializing)]
    timestamp: Option<When>,
}

/// Many items.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemsRequest {
    /// The items.
    items: Vec<ItemIn>,
}

/// What became of items.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ItemsAnswer {
    /// The items in the order in which they came.
    items: Vec<ItemReception>,
}

/// What became of an item.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ItemReception {
    /// Its id.
    item_id: String,
    /// `known`: the model knows it, a changed text counts from the next training on. `reading`: it can be recommended in a
    /// moment. `stored`: no model can read it before the next training.
    status: &'static str,
}

/// An item as it is known.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ItemOut {
    item_id: String,
    /// Where it is known from: `store`, or `model` when the model's data alone has it.
    source: &'static str,
    fields: Map<String, Value>,
    categories: Value,
    hidden: bool,
    comment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
}

/// Items, and where the next ones begin.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ItemsPage {
    /// Items of the store in the order of their ids.
    items: Vec<ItemOut>,
    /// Send it as `cursor` to go on; empty at the end.
    cursor: String,
}

/// Items that were found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ItemsFound {
    /// First those of the store, then those that the model's data alone has.
    items: Vec<ItemOut>,
}

impl From<Item> for ItemOut {
    fn from(item: Item) -> Self {
        Self {
            item_id: item.id,
            source: "store",
            fields: serde_json::from_str(&item.fields).unwrap_or_default(),
            categories: serde_json::from_str(&item.categories).unwrap_or_default(),
            hidden: item.hidden,
            comment: item.comment,
            timestamp: Some(iso(item.time)),
        }
    }
}

impl ItemOut {
    /// Returns an item that the model's data has.
    fn of_model(loaded: &Loaded, item_id: String) -> Option<Self> {
        let item = loaded.engine.item(&item_id).ok()?;
        Some(Self {
            item_id,
            source: "model",
            fields: loaded.engine.fields(item),
            categories: json!([]),
            hidden: false,
            comment: String::new(),
            timestamp: None,
        })
    }
}

fn kept(id: String, item: ItemIn, now: i64) -> Result<Item, Error> {
    Ok(Item {
        id,
        hidden: item.hidden,
        categories: json!(item.categories).to_string(),
        fields: Value::Object(item.fields).to_string(),
        comment: item.comment,
        time: item.timestamp.map_or(Ok(now), |when| when.ms())?,
    })
}

/// `PUT /v1/items/{item_id}`.
pub(crate) async fn put(call: Call) -> Result<Answer, Error> {
    let item: ItemIn = call.json()?;
    let id = call.part("item_id").to_owned();
    if item.item_id.as_ref().is_some_and(|other| *other != id) {
        return Err(Error::Body { why: "`item_id` is another one than in the address".into() });
    }
    let item = kept(id.clone(), item, call.app.clock.unix_ms())?;
    let received = call.app.put_items(&call.tenant, vec![item]).await?;
    let status = received.first().map_or("stored", |reception| reception.name());
    Answer::json(&ItemReception { item_id: id, status })
}

/// `POST /v1/items`.
pub(crate) async fn post(call: Call) -> Result<Answer, Error> {
    let ItemsRequest { items } = call.json()?;
    let items = at_most(items)?;
    let now = call.app.clock.unix_ms();
    let mut all = Vec::with_capacity(items.len());
    for mut item in items {
        let missing = || Error::Body { why: "every item needs an `item_id`".into() };
        all.push(kept(item.item_id.take().ok_or_else(missing)?, item, now)?);
    }
    let ids: Vec<String> = all.iter().map(|item| item.id.clone()).collect();
    let received = call.app.put_items(&call.tenant, all).await?;
    let items = ids.into_iter().zip(received);
    let items =
        items.map(|(item_id, reception)| ItemReception { item_id, status: reception.name() });
    Answer::json(&ItemsAnswer { items: items.collect() })
}

/// `GET /v1/items/{item_id}`.
pub(crate) async fn show(call: Call) -> Result<Answer, Error> {
    let id = call.part("item_id");
    let missing = || Error::NotFound { what: "item", id: id.to_owned() };
    if let Some(item) = call.app.store.item(&call.tenant.name, id).await? {
        return Answer::json(&ItemOut::from(item));
    }
    if call.app.store.erased_item(&call.tenant.name, id).await?.is_some() {
        return Err(missing());
    }
    let loaded = call.tenant.slot.now().ok_or_else(missing)?;
    Answer::json(&ItemOut::of_model(&loaded, id.to_owned()).ok_or_else(missing)?)
}

/// `GET /v1/items`.
pub(crate) async fn list(call: Call) -> Result<Answer, Error> {
    let cursor = call.text("cursor").unwrap_or_default();
    let page = call.app.store.items(&call.tenant.name, cursor, call.n(100)?).await?;
    Answer::json(&ItemsPage {
        items: page.rows.into_iter().map(ItemOut::from).collect(),
        cursor: page.cursor,
    })
}

/// `GET /v1/search`: in the store by everything that is said of an item, in the model's data by title.
pub(crate) async fn search(call: Call) -> Result<Answer, Error> {
    let (app, tenant, n) = (&call.app, &call.tenant, call.n(N)?);
    let missing = || Error::Query { name: "q".into(), why: "say what to look for".into() };
    let words = call.text("q").filter(|words| !words.trim().is_empty()).ok_or_else(missing)?;
    let barred = tenant.barred(&app.store, app.clock.seconds()).await?;
    let mut items: Vec<ItemOut> = Vec::new();
    // Hidden items are found there too.
    let stored = app.store.search_items(&tenant.name, words, n + barred.len()).await?;
    items.extend(stored.into_iter().filter(|item| !item.hidden).take(n).map(ItemOut::from));
    if let Some(loaded) = tenant.slot.now().filter(|_| items.len() < n) {
        let known: HashSet<String> = items.iter().map(|item| item.item_id.clone()).collect();
        let words = words.to_owned();
        let found = move || {
            let found = loaded.engine.find(&words, n + known.len() + barred.len());
            let new = found.into_iter().map(|listed| listed.item_id);
            let new =
                new.filter(|id| !known.contains(id) && !barred.contains(id)).take(n - known.len());
            Ok(new.filter_map(|id| ItemOut::of_model(&loaded, id)).collect::<Vec<_>>())
        };
        items.extend(app.workers.run(found).await?);
    }
    Answer::json(&ItemsFound { items })
}

/// `DELETE /v1/items/{item_id}`.
pub(crate) async fn delete(call: Call) -> Result<Answer, Error> {
    let applied = call.app.erase_item(&call.tenant, call.part("item_id")).await?;
    let answer = json!({
        "rows_removed": applied.rows,
        "remains": "trained weights know the item until the next training; it is listed no more from now on",
    });
    Answer::json(&answer)
}
