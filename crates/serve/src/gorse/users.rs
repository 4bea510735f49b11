//! Users, as Gorse has them.

use serde_json::json;

use super::{GorseUser, RowAffected, UserPatch};
use crate::Error;
use crate::call::{Answer, Call};

/// `POST /api/user`.
pub(crate) async fn post(call: Call) -> Result<Answer, Error> {
    let user: GorseUser = call.json()?;
    RowAffected::answer(call.app.put_users(&call.tenant, vec![user.kept()]).await?.rows)
}

/// `POST /api/users`.
pub(crate) async fn post_many(call: Call) -> Result<Answer, Error> {
    let users: Vec<GorseUser> = call.many()?;
    let users = users.into_iter().map(GorseUser::kept).collect();
    RowAffected::answer(call.app.put_users(&call.tenant, users).await?.rows)
}

/// `GET /api/users`.
pub(crate) async fn list(call: Call) -> Result<Answer, Error> {
    let cursor = call.text("cursor").unwrap_or_default();
    let page = call.app.store.users(&call.tenant.name, cursor, call.n(10)?).await?;
    let users: Vec<GorseUser> = page.rows.into_iter().map(GorseUser::from).collect();
    Answer::json(&json!({ "Cursor": page.cursor, "Users": users }))
}

async fn find(call: &Call) -> Result<GorseUser, Error> {
    let id = call.part("id");
    let missing = || Error::NotFound { what: "user", id: id.to_owned() };
    Ok(call.app.store.user(&call.tenant.name, id).await?.ok_or_else(missing)?.into())
}

/// `GET /api/user/{id}`.
pub(crate) async fn show(call: Call) -> Result<Answer, Error> {
    Answer::json(&find(&call).await?)
}

/// `PATCH /api/user/{id}`.
pub(crate) async fn patch(call: Call) -> Result<Answer, Error> {
    let patch: UserPatch = call.json()?;
    let _turn = call.tenant.patching.lock().await;
    let mut user = find(&call).await?;
    user.labels = patch.labels.unwrap_or(user.labels);
    user.comment = patch.comment.unwrap_or(user.comment);
    RowAffected::answer(call.app.put_users(&call.tenant, vec![user.kept()]).await?.rows)
}

/// `DELETE /api/user/{id}`.
pub(crate) async fn delete(call: Call) -> Result<Answer, Error> {
    RowAffected::answer(call.app.erase_user(&call.tenant, call.part("id")).await?.rows)
}
