//! Feedback, as Gorse has it: a kind, a user and an item have at most one together.

use serde_json::json;
use tastemaker_store::{Event, EventFilter, Repeat};

use super::{Feedback, RowAffected};
use crate::Error;
use crate::call::{Answer, Call, MAX_ROWS};

/// `POST /api/feedback`: what is newer stays.
pub(crate) async fn insert(call: Call) -> Result<Answer, Error> {
    put(&call, Repeat::Newer).await
}

/// `PUT /api/feedback`: what comes last stays.
pub(crate) async fn overwrite(call: Call) -> Result<Answer, Error> {
    put(&call, Repeat::Replace).await
}

async fn put(call: &Call, repeat: Repeat) -> Result<Answer, Error> {
    let feedback: Vec<Feedback> = call.many()?;
    let now = call.app.clock.unix_ms();
    let events =
        feedback.into_iter().map(|one| one.kept(now)).collect::<Result<Vec<Event>, _>>()?;
    RowAffected::answer(call.app.take_events(&call.tenant, events, repeat).await?.rows)
}

/// `GET /api/feedback` and `GET /api/feedback/{type}`.
pub(crate) async fn list(call: Call) -> Result<Answer, Error> {
    let kind = Some(call.part("a")).filter(|kind| !kind.is_empty());
    let filter = EventFilter { kind, ..EventFilter::default() };
    let cursor = call.text("cursor").unwrap_or_default();
    let page = call.app.store.events(&call.tenant.name, &filter, cursor, call.n(10)?).await?;
    let feedback: Vec<Feedback> = page.rows.into_iter().map(Feedback::from).collect();
    Answer::json(&json!({ "Cursor": page.cursor, "Feedback": feedback }))
}

async fn find(call: &Call, filter: EventFilter<'_>) -> Result<Vec<Feedback>, Error> {
    let page = call.app.store.events(&call.tenant.name, &filter, "", MAX_ROWS).await?;
    Ok(page.rows.into_iter().map(Feedback::from).collect())
}

/// `GET /api/user/{id}/feedback` and with a type.
pub(crate) async fn of_user(call: Call) -> Result<Answer, Error> {
    let kind = Some(call.part("kind")).filter(|kind| !kind.is_empty());
    let filter = EventFilter { user: Some(call.part("id")), kind, item: None };
    Answer::json(&find(&call, filter).await?)
}

/// `GET /api/item/{id}/feedback` and with a type.
pub(crate) async fn of_item(call: Call) -> Result<Answer, Error> {
    let kind = Some(call.part("kind")).filter(|kind| !kind.is_empty());
    let filter = EventFilter { item: Some(call.part("id")), kind, user: None };
    Answer::json(&find(&call, filter).await?)
}

/// `GET /api/feedback/{user}/{item}`.
pub(crate) async fn of_both(call: Call) -> Result<Answer, Error> {
    let filter = EventFilter { user: Some(call.part("a")), item: Some(call.part("b")), kind: None };
    Answer::json(&find(&call, filter).await?)
}

/// `GET /api/feedback/{type}/{user}/{item}`.
pub(crate) async fn show(call: Call) -> Result<Answer, Error> {
    let (kind, user, item) = (call.part("a"), call.part("b"), call.part("c"));
    let filter = EventFilter { user: Some(user), item: Some(item), kind: Some(kind) };
    let missing = || Error::NotFound { what: "feedback", id: format!("{kind}/{user}/{item}") };
    Answer::json(&find(&call, filter).await?.into_iter().next().ok_or_else(missing)?)
}

/// `DELETE /api/feedback/{user}/{item}`.
pub(crate) async fn drop_both(call: Call) -> Result<Answer, Error> {
    let both = (call.part("a"), call.part("b"));
    RowAffected::answer(call.app.drop_events(&call.tenant, None, both).await?.rows)
}

/// `DELETE /api/feedback/{type}/{user}/{item}`.
pub(crate) async fn delete(call: Call) -> Result<Answer, Error> {
    let both = (call.part("b"), call.part("c"));
    RowAffected::answer(call.app.drop_events(&call.tenant, Some(call.part("a")), both).await?.rows)
}
