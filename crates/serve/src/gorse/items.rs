//! Items, as Gorse has them.

use serde_json::{Value, json};

use super::{GorseItem, ItemPatch, RowAffected};
use crate::Error;
use crate::call::{Answer, Call};

/// `POST /api/item`.
pub(crate) async fn post(call: Call) -> Result<Answer, Error> {
    let item: GorseItem = call.json()?;
    put(&call, vec![item]).await
}

/// `POST /api/items`.
pub(crate) async fn post_many(call: Call) -> Result<Answer, Error> {
    put(&call, call.many()?).await
}

async fn put(call: &Call, items: Vec<GorseItem>) -> Result<Answer, Error> {
    let now = call.app.clock.unix_ms();
    let items = items.into_iter().map(|item| item.kept(now)).collect::<Result<Vec<_>, _>>()?;
    let rows = items.len() as u64;
    call.app.put_items(&call.tenant, items).await?;
    RowAffected::answer(rows)
}

/// `GET /api/items`; with `q` those that hold all its words.
pub(crate) async fn list(call: Call) -> Result<Answer, Error> {
    let (store, tenant, n) = (&call.app.store, &call.tenant.name, call.n(10)?);
    let (rows, cursor) = match call.text("q") {
        Some(words) => (store.search_items(tenant, words, n).await?, String::new()),
        None => {
            let page = store.items(tenant, call.text("cursor").unwrap_or_default(), n).await?;
            (page.rows, page.cursor)
        }
    };
    let items: Vec<GorseItem> = rows.into_iter().map(GorseItem::from).collect();
    Answer::json(&json!({ "Cursor": cursor, "Items": items }))
}

/// Finds an item of the store, or of the model's data.
async fn find(call: &Call) -> Result<GorseItem, Error> {
    let id = call.part("id");
    let missing = || Error::NotFound { what: "item", id: id.to_owned() };
    if let Some(item) = call.app.store.item(&call.tenant.name, id).await? {
        return Ok(item.into());
    }
    if call.app.store.erased_item(&call.tenant.name, id).await?.is_some() {
        return Err(missing());
    }
    let loaded = call.tenant.slot.now().ok_or_else(missing)?;
    let item = loaded.engine.item(id).map_err(|_| missing())?;
    Ok(GorseItem {
        item_id: id.to_owned(),
        is_hidden: false,
        labels: Value::Object(loaded.engine.fields(item)),
        categories: Vec::new(),
        timestamp: String::new(),
        comment: String::new(),
    })
}

/// `GET /api/item/{id}`.
pub(crate) async fn show(call: Call) -> Result<Answer, Error> {
    Answer::json(&find(&call).await?)
}

/// `PATCH /api/item/{id}`.
pub(crate) async fn patch(call: Call) -> Result<Answer, Error> {
    let patch: ItemPatch = call.json()?;
    let _turn = call.tenant.patching.lock().await;
    let mut item = find(&call).await?;
    item.is_hidden = patch.is_hidden.unwrap_or(item.is_hidden);
    item.categories = patch.categories.unwrap_or(item.categories);
    item.labels = patch.labels.unwrap_or(item.labels);
    item.timestamp = patch.timestamp.unwrap_or(item.timestamp);
    item.comment = patch.comment.unwrap_or(item.comment);
    put(&call, vec![item]).await
}

/// `DELETE /api/item/{id}`.
pub(crate) async fn delete(call: Call) -> Result<Answer, Error> {
    RowAffected::answer(call.app.erase_item(&call.tenant, call.part("id")).await?.rows)
}

/// `PUT /api/item/{id}/category/{category}`.
pub(crate) async fn add_category(call: Call) -> Result<Answer, Error> {
    let _turn = call.tenant.patching.lock().await;
    let mut item = find(&call).await?;
    let category = call.part("category");
    if item.categories.iter().all(|known| known != category) {
        item.categories.push(category.to_owned());
    }
    put(&call, vec![item]).await
}

/// `DELETE /api/item/{id}/category/{category}`.
pub(crate) async fn drop_category(call: Call) -> Result<Answer, Error> {
    let _turn = call.tenant.patching.lock().await;
    let mut item = find(&call).await?;
    item.categories.retain(|known| known != call.part("category"));
    put(&call, vec![item]).await
}
