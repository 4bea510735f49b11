//! What goes over the wire, in the names of Gorse.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use tastemaker_store::{Event, Item, User, event_key};

use crate::Error;
use crate::api::events::{date, iso, no_time};
use crate::call::Answer;

/// Takes `null` for what is left out, as clients of Gorse send it.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// How many rows a change touched.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RowAffected {
    row_affected: u64,
}

impl RowAffected {
    pub(crate) fn answer(row_affected: u64) -> Result<Answer, Error> {
        Answer::json(&Self { row_affected })
    }
}

/// A user.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GorseUser {
    pub(crate) user_id: String,
    #[serde(default)]
    pub(crate) labels: Value,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) comment: String,
}

/// What of a user becomes other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
pub(crate) struct UserPatch {
    pub(crate) labels: Option<Value>,
    pub(crate) comment: Option<String>,
}

/// An item.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GorseItem {
    pub(crate) item_id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) is_hidden: bool,
    #[serde(default)]
    pub(crate) labels: Value,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) categories: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) timestamp: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) comment: String,
}

/// What of an item becomes other.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ItemPatch {
    pub(crate) is_hidden: Option<bool>,
    pub(crate) categories: Option<Vec<String>>,
    pub(crate) labels: Option<Value>,
    pub(crate) timestamp: Option<String>,
    pub(crate) comment: Option<String>,
}

/// What a user did with an item.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Feedback {
    pub(crate) feedback_type: String,
    pub(crate) user_id: String,
    pub(crate) item_id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) value: f64,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) timestamp: String,
    #[serde(default)]
    pub(crate) labels: Value,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) comment: String,
}

/// Reads a time of Gorse; `now` where it is left out.
pub(crate) fn time(text: &str, now: i64) -> Result<i64, Error> {
    if text.is_empty() {
        return Ok(now);
    }
    date(text).ok_or_else(|| Error::Body { why: no_time(text) })
}

/// Under this name labels are kept that are no object: the fields of users and items always are one.
const LABELS: &str = "Labels";

/// Makes fields of labels.
fn fields(labels: Value) -> String {
    match labels {
        Value::Null | Value::Object(_) => labels.to_string(),
        other => json!({ LABELS: other }).to_string(),
    }
}

/// Makes labels of fields.
fn labels(fields: &str) -> Value {
    match serde_json::from_str(fields).unwrap_or_default() {
        Value::Object(mut fields) if fields.len() == 1 && fields.contains_key(LABELS) => {
            fields.remove(LABELS).unwrap_or_default()
        }
        other => other,
    }
}

/// Writes an item with its score.
pub(crate) fn score(id: &str, score: f32) -> Value {
    json!({ "Id": id, "Score": score })
}

impl GorseUser {
    pub(crate) fn kept(self) -> User {
        User { id: self.user_id, fields: fields(self.labels), comment: self.comment }
    }
}

impl From<User> for GorseUser {
    fn from(user: User) -> Self {
        let labels = labels(&user.fields);
        Self { user_id: user.id, labels, comment: user.comment }
    }
}

impl GorseItem {
    pub(crate) fn kept(self, now: i64) -> Result<Item, Error> {
        Ok(Item {
            id: self.item_id,
            hidden: self.is_hidden,
            categories: json!(self.categories).to_string(),
            fields: fields(self.labels),
            comment: self.comment,
            time: time(&self.timestamp, now)?,
        })
    }
}

impl From<Item> for GorseItem {
    fn from(item: Item) -> Self {
        Self {
            item_id: item.id,
            is_hidden: item.hidden,
            labels: labels(&item.fields),
            categories: serde_json::from_str(&item.categories).unwrap_or_default(),
            timestamp: iso(item.time),
            comment: item.comment,
        }
    }
}

impl Feedback {
    pub(crate) fn kept(self, now: i64) -> Result<Event, Error> {
        Ok(Event {
            id: event_key(&self.feedback_type, &self.user_id, &self.item_id),
            user: self.user_id,
            item: self.item_id,
            kind: self.feedback_type,
            value: self.value,
            time: time(&self.timestamp, now)?,
            recommendation: String::new(),
            comment: self.comment,
            detail: self.labels.to_string(),
        })
    }
}

impl From<Event> for Feedback {
    fn from(event: Event) -> Self {
        Self {
            feedback_type: event.kind,
            user_id: event.user,
            item_id: event.item,
            value: event.value,
            timestamp: iso(event.time),
            labels: serde_json::from_str(&event.detail).unwrap_or_default(),
            comment: event.comment,
        }
    }
}
