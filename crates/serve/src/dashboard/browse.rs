//! Users and items for who does not know ids: first those of the store, then those of the model's data alone, page by page.

use schemars::JsonSchema;
use serde::Serialize;
use tastemaker_core::{ItemId, UserId};

use super::history::title_in;
use crate::Error;
use crate::call::{Answer, Call};
use crate::live::Loaded;

/// What may stand behind the question mark.
pub(super) const ASKS: &[&str] = &["q", "n", "cursor"];
/// Most rows of a page, and of the model's data that are looked up in the store at once.
const MAX: usize = 200;
/// Look-ups for a page; where the store has all that the model has, a page may be empty and the next one is not the last.
const LOOKS: usize = 20;

/// A page of users.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct UserRows {
    users: Vec<UserRow>,
    /// Send it as `cursor` to go on; empty at the end.
    cursor: String,
}

/// A user.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct UserRow {
    user_id: String,
    /// `store`, `model`, or `both`.
    source: &'static str,
    /// Their events in the model's data.
    n_events: usize,
}

/// A page of items.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ItemRows {
    items: Vec<ItemRow>,
    /// Send it as `cursor` to go on; empty at the end.
    cursor: String,
}

/// An item.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ItemRow {
    item_id: String,
    /// Its title, or its id where it has none.
    title: String,
    /// `store`, `model`, or `both`.
    source: &'static str,
    /// It is not recommended.
    hidden: bool,
    /// Users of the model's data who took it.
    n_events: u32,
}

/// Where a page begins.
enum Place {
    /// In the store, after an id.
    Store(String),
    /// In the model's data, at a number.
    Model(usize),
}

impl Place {
    fn read(cursor: &str) -> Result<Self, Error> {
        let wrong = || Error::Query { name: "cursor".into(), why: "it is none of ours".into() };
        match cursor.split_at_checked(1) {
            None => Ok(Self::Store(String::new())),
            Some(("s", id)) => Ok(Self::Store(id.to_owned())),
            Some(("m", number)) => Ok(Self::Model(number.parse().map_err(|_| wrong())?)),
            Some(_) => Err(wrong()),
        }
    }
}

/// `GET /v1/browse/users`.
pub(super) async fn users(call: Call) -> Result<Answer, Error> {
    let n = call.n(50)?.clamp(1, MAX);
    let q = call.text("q").unwrap_or_default();
    let (store, tenant) = (&call.app.store, call.tenant.name.as_str());
    let loaded = call.tenant.slot.now();
    let mut rows = Vec::new();
    let mut place = Place::read(call.text("cursor").unwrap_or_default())?;
    if let Place::Store(after) = &place {
        let page = store.user_ids(tenant, (q, after), n).await?;
        let row = |user_id: String| user_row(user_id, "store", loaded.as_deref());
        rows.extend(page.rows.into_iter().map(row));
        if !page.cursor.is_empty() {
            return Answer::json(&UserRows { users: rows, cursor: format!("s{}", page.cursor) });
        }
        place = Place::Model(0);
    }
    let Some((loaded, Place::Model(mut from))) = loaded.map(|loaded| (loaded, place)) else {
        return Answer::json(&UserRows { users: rows, cursor: String::new() });
    };
    let wanted = q.to_lowercase();
    for _ in 0..LOOKS {
        let (model, wanted) = (loaded.clone(), wanted.clone());
        let found = call.app.workers.run(move || Ok(find_users(&model, &wanted, from))).await?;
        let ids: Vec<&str> = found.iter().map(|user| loaded.engine.user_name(*user)).collect();
        let known = store.users_among(tenant, &ids).await?;
        for (user, id) in found.iter().zip(ids) {
            if rows.len() == n {
                return Answer::json(&UserRows { users: rows, cursor: format!("m{from}") });
            }
            from = user.index() + 1;
            if !known.contains(id) {
                rows.push(user_row(id.to_owned(), "model", Some(&loaded)));
            }
        }
        if found.len() < MAX {
            return Answer::json(&UserRows { users: rows, cursor: String::new() });
        }
    }
    Answer::json(&UserRows { users: rows, cursor: format!("m{from}") })
}

fn user_row(user_id: String, source: &'static str, loaded: Option<&Loaded>) -> UserRow {
    let engine = loaded.map(|loaded| &loaded.engine);
    let n_events =
        engine.and_then(|engine| Some(engine.known_history(engine.user(&user_id).ok()?).len()));
    let source = if n_events.is_some() && source == "store" { "both" } else { source };
    UserRow { user_id, source, n_events: n_events.unwrap_or_default() }
}

fn find_users(loaded: &Loaded, wanted: &str, from: usize) -> Vec<UserId> {
    let engine = &loaded.engine;
    let users = (from..engine.data().n_users()).map(UserId::from_index);
    let holds = |user: &UserId| {
        wanted.is_empty() || engine.user_name(*user).to_lowercase().contains(wanted)
    };
    users.filter(holds).take(MAX).collect()
}

/// `GET /v1/browse/items`.
pub(super) async fn items(call: Call) -> Result<Answer, Error> {
    let n = call.n(50)?.clamp(1, MAX);
    let q = call.text("q").unwrap_or_default();
    let (store, tenant) = (&call.app.store, call.tenant.name.as_str());
    let loaded = call.tenant.slot.now();
    let mut rows = Vec::new();
    let mut place = Place::read(call.text("cursor").unwrap_or_default())?;
    if let Place::Store(after) = &place {
        // What is searched for has no cursor: its first page is enough to be more precise.
        let (found, cursor) = if q.is_empty() {
            let page = store.items(tenant, after, n).await?;
            (page.rows, page.cursor)
        } else {
            (store.search_items(tenant, q, n).await?, String::new())
        };
        for item in found {
            let title = title_in(&item.fields).unwrap_or_else(|| item.id.clone());
            let row = item_row((item.id, title), "store", loaded.as_deref());
            rows.push(ItemRow { hidden: item.hidden, ..row });
        }
        if !cursor.is_empty() {
            return Answer::json(&ItemRows { items: rows, cursor: format!("s{cursor}") });
        }
        place = Place::Model(0);
    }
    let Some((loaded, Place::Model(mut from))) = loaded.map(|loaded| (loaded, place)) else {
        return Answer::json(&ItemRows { items: rows, cursor: String::new() });
    };
    let words: Vec<String> = q.to_lowercase().split_whitespace().map(str::to_owned).collect();
    for _ in 0..LOOKS {
        let (model, words) = (loaded.clone(), words.clone());
        let found = call.app.workers.run(move || Ok(find_items(&model, &words, from))).await?;
        let name = |item: &ItemId| loaded.engine.item_name(*item);
        let ids: Vec<&str> = found.iter().map(|(item, _)| name(item)).collect();
        let known = store.items_among(tenant, &ids).await?;
        for ((item, title), id) in found.iter().zip(ids) {
            if rows.len() == n {
                return Answer::json(&ItemRows { items: rows, cursor: format!("m{from}") });
            }
            from = item.index() + 1;
            if !known.contains(id) {
                rows.push(item_row((id.to_owned(), title.clone()), "model", Some(&loaded)));
            }
        }
        if found.len() < MAX {
            return Answer::json(&ItemRows { items: rows, cursor: String::new() });
        }
    }
    Answer::json(&ItemRows { items: rows, cursor: format!("m{from}") })
}

fn item_row(
    (item_id, title): (String, String),
    source: &'static str,
    loaded: Option<&Loaded>,
) -> ItemRow {
    let engine = loaded.map(|loaded| &loaded.engine);
    let known = engine.and_then(|engine| {
        let item = engine.item(&item_id).ok()?;
        Some(engine.counts().get(item.index()).copied().unwrap_or_default())
    });
    let source = if known.is_some() && source == "store" { "both" } else { source };
    ItemRow { item_id, title, source, hidden: false, n_events: known.unwrap_or_default() }
}

fn find_items(loaded: &Loaded, words: &[String], from: usize) -> Vec<(ItemId, String)> {
    let engine = &loaded.engine;
    let items = (from..engine.data().n_items()).map(ItemId::from_index);
    let titled = items.map(|item| (item, engine.title(item)));
    let holds = |(item, title): &(ItemId, String)| {
        let text = format!("{} {}", title, engine.item_name(*item)).to_lowercase();
        words.iter().all(|word| text.contains(word))
    };
    titled.filter(holds).take(MAX).collect()
}
