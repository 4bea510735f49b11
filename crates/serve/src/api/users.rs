//! Users: what is known of them, and their erasure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tastemaker_store::User;

use crate::Error;
use crate::call::{Answer, Call, at_most};

/// What is known of a user.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UserIn {
    /// Their id; in the address where one user is put.
    user_id: Option<String>,
    /// Their fields.
    fields: Map<String, Value>,
    /// Words about them.
    comment: String,
}

/// Many users.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsersRequest {
    /// The users.
    users: Vec<UserIn>,
}

/// What became of users.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct UsersAnswer {
    /// Users that are on disk now.
    written: u64,
}

/// A user as they are known.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct UserOut {
    user_id: String,
    /// Where they are known from: `store`, or `model` when the model's data alone has them.
    source: &'static str,
    fields: Map<String, Value>,
    comment: String,
}

/// Users, and where the next ones begin.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct UsersPage {
    /// Users of the store in the order of their ids.
    users: Vec<UserOut>,
    /// Send it as `cursor` to go on; empty at the end.
    cursor: String,
}

/// What was erased, and what remains.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Erasure {
    /// Rows of the store that are gone: events, lists they were shown, the user.
    rows_removed: u64,
    /// What is left of them, and until when.
    remains: String,
}

impl From<User> for UserOut {
    fn from(user: User) -> Self {
        let fields = serde_json::from_str(&user.fields).unwrap_or_default();
        Self { user_id: user.id, source: "store", fields, comment: user.comment }
    }
}

/// `PUT /v1/users/{user_id}`.
pub(crate) async fn put(call: Call) -> Result<Answer, Error> {
    let user: UserIn = call.json()?;
    let id = call.part("user_id").to_owned();
    if user.user_id.as_ref().is_some_and(|other| *other != id) {
        return Err(Error::Body { why: "`user_id` is another one than in the address".into() });
    }
    let user = kept(id, user);
    call.app.put_users(&call.tenant, vec![user.clone()]).await?;
    Answer::json(&UserOut::from(user))
}

/// `POST /v1/users`.
pub(crate) async fn post(call: Call) -> Result<Answer, Error> {
    let UsersRequest { users } = call.json()?;
    let mut all = Vec::with_capacity(users.len());
    for mut user in at_most(users)? {
        let missing = || Error::Body { why: "every user needs a `user_id`".into() };
        all.push(kept(user.user_id.take().ok_or_else(missing)?, user));
    }
    Answer::json(&UsersAnswer { written: call.app.put_users(&call.tenant, all).await?.rows })
}

fn kept(id: String, user: UserIn) -> User {
    User { id, fields: Value::Object(user.fields).to_string(), comment: user.comment }
}

/// `GET /v1/users/{user_id}`.
pub(crate) async fn show(call: Call) -> Result<Answer, Error> {
    let id = call.part("user_id");
    let missing = || Error::NotFound { what: "user", id: id.to_owned() };
    if let Some(user) = call.app.store.user(&call.tenant.name, id).await? {
        return Answer::json(&UserOut::from(user));
    }
    if call.app.store.erased_user(&call.tenant.name, id).await?.is_some() {
        return Err(missing());
    }
    let loaded = call.tenant.slot.now().ok_or_else(missing)?;
    let user = loaded.engine.user(id).map_err(|_| missing())?;
    let users = &loaded.engine.data().users;
    let field =
        |name: &str| Some((name.to_owned(), Value::String(users.field(user.index(), name)?)));
    let fields = users.columns().iter().filter_map(|column| field(&column.name)).collect();
    Answer::json(&UserOut {
        user_id: id.to_owned(),
        source: "model",
        fields,
        comment: String::new(),
    })
}

/// `GET /v1/users`.
pub(crate) async fn list(call: Call) -> Result<Answer, Error> {
    let cursor = call.text("cursor").unwrap_or_default();
    let page = call.app.store.users(&call.tenant.name, cursor, call.n(100)?).await?;
    Answer::json(&UsersPage {
        users: page.rows.into_iter().map(UserOut::from).collect(),
        cursor: page.cursor,
    })
}

/// `DELETE /v1/users/{user_id}`.
pub(crate) async fn delete(call: Call) -> Result<Answer, Error> {
    let id = call.part("user_id");
    let applied = call.app.erase_user(&call.tenant, id).await?;
    let models = [call.tenant.slot.now(), call.tenant.slot.before()];
    let knowing: Vec<String> = models
        .into_iter()
        .flatten()
        .filter(|model| model.engine.user(id).is_ok())
        .map(|model| model.id.clone())
        .collect();
    let remains = if knowing.is_empty() {
        "nothing: no loaded model was trained on this user".to_owned()
    } else {
        format!(
            "the model files {} were trained on this user's earlier events and hold them until they are deleted; answers \
             for this user do not use them any more, others' answers rest on them until the next training",
            knowing.join(" and ")
        )
    };
    Answer::json(&Erasure { rows_removed: applied.rows, remains })
}
