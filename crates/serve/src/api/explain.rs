//! A list that was shown, looked at again: what was asked, what was answered, and whether the same comes out today.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tastemaker_store::Shown;

use super::events::iso;
use super::recommend::{Past, RecommendRequest, RecommendedItem, make_again};
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
    /// The experiment it belongs to, and the arm that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    experiment: Option<(String, String)>,
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

/// A list as it was kept.
pub(crate) struct Kept {
    /// What was asked.
    request: Value,
    pub(crate) asked: RecommendRequest,
    /// Ids and scores.
    pub(crate) list: Vec<(String, f32)>,
    /// No model made it.
    is_popular: bool,
    pub(crate) past: Past,
}

impl Kept {
    /// Reads it.
    pub(crate) fn read(shown: &Shown) -> Result<Self, Error> {
        let broken = |error: serde_json::Error| {
            tracing::error!("the kept list {} cannot be read: {error}", shown.id);
            Error::Failed
        };
        let mut request: Value = serde_json::from_str(&shown.request).map_err(broken)?;
        let mut take = |name: &str| {
            let fields = request.as_object_mut();
            fields.and_then(|fields| fields.remove(name)).unwrap_or_default()
        };
        let last = serde_json::from_value(take("looked_at")).map_err(broken)?;
        let is_popular = take("source") == "popular";
        // Lists of earlier versions drew by user and history alone.
        let draw = take("draw").as_u64().unwrap_or_default();
        Ok(Self {
            asked: serde_json::from_value(request.clone()).map_err(broken)?,
            list: serde_json::from_str(&shown.list).map_err(broken)?,
            request,
            is_popular,
            past: Past { last, draw },
        })
    }
}

/// `GET /v1/explain/{recommendation_id}`.
pub(crate) async fn answer(call: Call) -> Result<Answer, Error> {
    let id = call.part("recommendation_id");
    let shown = call.app.store.shown(&call.tenant.name, id).await?;
    let shown =
        shown.ok_or_else(|| Error::NotFound { what: "recommendation", id: id.to_owned() })?;
    let Kept { request, asked, list, is_popular, past } = Kept::read(&shown)?;
    let policy = match is_popular {
        true => None,
        false => call.app.policy_of(&call.tenant, &shown).await?,
    };
    let replay = if let Some(policy) = policy {
        let asked = RecommendRequest { explain: asked.words.is_none(), ..asked };
        let items = make_again(&call.app, &call.tenant, &policy, (&asked, &past)).await?;
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
        experiment: (!shown.experiment.is_empty()).then_some((shown.experiment, shown.arm)),
        model: shown.model,
        request,
        shown: list,
        replay,
    })
}
