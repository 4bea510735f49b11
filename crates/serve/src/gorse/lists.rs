//! Lists, as Gorse has them: for a user, for a session, of what is new or popular, of what is like an item.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tastemaker_core::ItemId;
use tastemaker_store::{Event, Repeat, Scope, event_key};

use super::{Feedback, score};
use crate::Error;
use crate::api::recommend::{N, RecommendRequest, make};
use crate::api::similar::similar;
use crate::call::{Answer, Call, MAX_ROWS};
use crate::live::Loaded;

/// Columns of a model's data that hold categories.
const COLUMNS: [&str; 3] = ["categories", "category", "genres"];
/// Factor by which more is asked for than wanted, where a category leaves most out.
const MORE: usize = 20;

/// What of a list is wanted.
struct Wanted {
    n: usize,
    offset: usize,
    category: Option<Category>,
}

/// The items of a category, by the store and by the model's data.
struct Category {
    name: String,
    ids: HashSet<String>,
    model: Option<Arc<Loaded>>,
}

impl Category {
    fn has(&self, id: &str) -> bool {
        self.ids.contains(id) || self.model.as_ref().is_some_and(|model| self.in_data(model, id))
    }

    fn in_data(&self, model: &Loaded, id: &str) -> bool {
        let Ok(item) = model.engine.item(id) else { return false };
        let items = &model.engine.data().items;
        let field = |item: ItemId, name: &str| {
            items.column(name).and_then(|_| items.field(item.index(), name))
        };
        let fields = COLUMNS.iter().filter_map(|name| field(item, name));
        fields.into_iter().any(|field| field.split('|').any(|one| one.trim() == self.name))
    }
}

impl Wanted {
    async fn of(call: &Call) -> Result<Self, Error> {
        let in_path = Some(call.part("category")).filter(|category| !category.is_empty());
        let category = match in_path.or_else(|| call.text("category")) {
            None => None,
            Some(name) => Some(Category {
                name: name.to_owned(),
                ids: call
                    .app
                    .store
                    .in_category(&call.tenant.name, name)
                    .await?
                    .into_iter()
                    .collect(),
                model: call.tenant.slot.now(),
            }),
        };
        let offset: usize = call.number("offset", 0)?;
        Ok(Self { n: call.n(N)?, offset: offset.min(MAX_ROWS), category })
    }

    /// Counts the items to ask for, so that enough are left.
    fn asked(&self) -> usize {
        let plain = self.n + self.offset;
        let asked = if self.category.is_some() { plain.saturating_mul(MORE) } else { plain };
        asked.min(MAX_ROWS)
    }

    /// Leaves what is wanted of a list.
    fn cut(&self, list: impl Iterator<Item = (String, f32)>) -> Vec<(String, f32)> {
        let fits = |id: &str| self.category.as_ref().is_none_or(|category| category.has(id));
        list.filter(|(id, _)| fits(id)).skip(self.offset).take(self.n).collect()
    }
}

fn scores(list: &[(String, f32)]) -> Result<Answer, Error> {
    Answer::json(&list.iter().map(|(id, value)| score(id, *value)).collect::<Vec<Value>>())
}

/// `GET /api/recommend/{user}`, with a category or without.
pub(crate) async fn recommend(call: Call) -> Result<Answer, Error> {
    let wanted = Wanted::of(&call).await?;
    let user = call.part("id").to_owned();
    let request = RecommendRequest {
        user_id: Some(user.clone()),
        n: Some(wanted.asked()),
        ..RecommendRequest::default()
    };
    let made = make(&call.app, &call.tenant, &request).await?;
    let list = wanted.cut(made.items.iter().map(|item| (item.item_id.clone(), item.score)));
    write_back(&call, &user, &list).await?;
    if call.gorse_version >= 2 {
        return scores(&list);
    }
    Answer::json(&list.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>())
}

/// Notes that items were shown, when the client asks for it; they are not recommended to this user again.
async fn write_back(call: &Call, user: &str, list: &[(String, f32)]) -> Result<(), Error> {
    let Some(kind) = call.text("write-back-type") else { return Ok(()) };
    if call.who.scope < Scope::Write {
        return Err(Error::Scope { needs: Scope::Write });
    }
    let minutes: i64 = match call.text("write-back-delay") {
        None => 0,
        Some(text) => {
            let number = text.strip_suffix('m').unwrap_or(text);
            let wrong = |_| Error::Query {
                name: "write-back-delay".into(),
                why: "give minutes, as 10 or 10m".into(),
            };
            number.parse::<i32>().map_err(wrong)?.into()
        }
    };
    let time = call.app.clock.unix_ms().saturating_add(minutes * 60_000);
    let event = |(item, _): &(String, f32)| Event {
        id: event_key(kind, user, item),
        user: user.to_owned(),
        item: item.clone(),
        kind: kind.to_owned(),
        value: 0.0,
        time,
        recommendation: String::new(),
        comment: String::new(),
        detail: json!({}).to_string(),
    };
    call.app.take_events(&call.tenant, list.iter().map(event).collect(), Repeat::Newer).await?;
    Ok(())
}

/// `POST /api/session/recommend`.
pub(crate) async fn session(call: Call) -> Result<Answer, Error> {
    let wanted = Wanted::of(&call).await?;
    let feedback: Vec<Feedback> = call.json()?;
    let history = feedback.into_iter().map(|one| one.item_id).collect();
    let request =
        RecommendRequest { history, n: Some(wanted.asked()), ..RecommendRequest::default() };
    let made = make(&call.app, &call.tenant, &request).await?;
    scores(&wanted.cut(made.items.iter().map(|item| (item.item_id.clone(), item.score))))
}

/// `GET /api/latest`.
pub(crate) async fn latest(call: Call) -> Result<Answer, Error> {
    let wanted = Wanted::of(&call).await?;
    let items = call.app.store.latest(&call.tenant.name, wanted.asked()).await?;
    // Gorse's score of what is new is its time.
    scores(&wanted.cut(items.into_iter().map(|item| (item.id, item.time.div_euclid(1000) as f32))))
}

/// `GET /api/popular`.
pub(crate) async fn popular(call: Call) -> Result<Answer, Error> {
    let wanted = Wanted::of(&call).await?;
    let now = call.app.clock.seconds();
    let barred = call.tenant.barred(&call.app.store, now).await?;
    let popular = call.app.popular(&call.tenant).await?;
    let shown = popular.iter().filter(|(id, _)| !barred.contains(id));
    scores(&wanted.cut(shown.map(|(id, takers)| (id.clone(), *takers as f32))))
}

/// `GET /api/non-personalized/{name}`.
pub(crate) async fn non_personalized(call: Call) -> Result<Answer, Error> {
    match call.part("name") {
        "latest" => latest(call).await,
        "popular" => popular(call).await,
        other => {
            Err(Error::NotFound { what: "list that is the same for all", id: other.to_owned() })
        }
    }
}

/// `GET /api/item/{id}/neighbors`.
pub(crate) async fn neighbors(call: Call) -> Result<Answer, Error> {
    let wanted = Wanted::of(&call).await?;
    let (_, items) = similar(&call.app, &call.tenant, call.part("id"), wanted.asked()).await?;
    scores(&wanted.cut(items.into_iter().map(|item| (item.item_id, item.score))))
}

/// `GET /api/item-to-item/{name}/{id}`.
pub(crate) async fn item_to_item(call: Call) -> Result<Answer, Error> {
    match call.part("name") {
        "neighbors" | "default" => neighbors(call).await,
        other => {
            Err(Error::NotFound { what: "way to find items like an item", id: other.to_owned() })
        }
    }
}
