//! A list that was shown, looked at again: what was asked, what was answered, and whether the same comes out today.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::events::iso;
use super::recommend::{RecommendRequest, RecommendedItem, make_again};
use crate::Error;
use crate::call::{Answer, Call};

/// A list that was shown.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ExplainAnswer {
    recommendation_id: String,
    /// When it was shown.
    timestamp: String,
    /// The model that answered; empty where there was none.
    model: String,
    /// What was asked.
    request: Value,
    /// Ids and scores, as they were shown.
    shown: Vec<(String, f32)>,
    /// The same question asked again, with reasons; absent when the model is not loaded any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<Replay>,
}

/// The same question asked again.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Replay {
    /// The list is the same, bit for bit. It is not when events or items changed that it rests on.
    same: bool,
    /// The items, with reasons.
    items: Vec<RecommendedItem>,
}

/// `GET /v1/explain/{recommendation_id}`.
pub(crate) async fn answer(call: Call) -> Result<Answer, Error> {
    let id = call.part("recommendation_id");
    let shown = call.app.store.shown(&call.tenant.name, id).await?;
    let shown =
        shown.ok_or_else(|| Error::NotFound { what: "recommendation", id: id.to_owned() })?;
    let broken = |error: serde_json::Error| {
        tracing::error!("the kept list {id} cannot be read: {error}");
        Error::Failed
    };
    let mut request: Value = serde_json::from_str(&shown.request).map_err(broken)?;
    let list: Vec<(String, f32)> = serde_json::from_str(&shown.list).map_err(broken)?;
    let looked_at: Option<(i64, String)> =
        serde_json::from_value(request["looked_at"].take()).map_err(broken)?;
    let source = request["source"].as_str().unwrap_or_default().to_owned();
    if let Some(fields) = request.as_object_mut() {
        fields.remove("looked_at");
        fields.remove("source");
    }
    let asked: RecommendRequest = serde_json::from_value(request.clone()).map_err(broken)?;
    let now = call.tenant.slot.now().map(|model| model.id.clone());
    let replay = if source != "popular" && now.as_ref() == Some(&shown.model) {
        let asked = RecommendRequest { explain: asked.words.is_none(), ..asked };
        let (time, event) = looked_at.unwrap_or((i64::MIN, String::new()));
        let items = make_again(&call.app, &call.tenant, &asked, (time, &event)).await?;
        let is_same = |(item, (id, score)): (&RecommendedItem, &(String, f32))| {
            item.item_id == *id && item.score.to_bits() == score.to_bits()
        };
        let same = items.len() == list.len() && items.iter().zip(&list).all(is_same);
        Some(Replay { same, items })
    } else {
        None
    };
    Answer::json(&ExplainAnswer {
        recommendation_id: shown.id,
        timestamp: iso(shown.time),
        model: shown.model,
        request,
        shown: list,
        replay,
    })
}
