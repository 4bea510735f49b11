//! Recommending in a talk.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tastemaker_engine::talk::{Conversation, ConversationSettings, TurnReply};
use tastemaker_store::{is_id, new_id};

use super::recommend::{MAX_WORDS, RecommendedItem, known, newer};
use crate::Error;
use crate::call::{Answer, Call};
use crate::live::{Loaded, Talk};

/// Items of a list when nothing else is said.
const N: usize = 5;
/// Most items of a list in a talk.
const MOST: usize = 20;

/// A turn of a talk.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChatRequest {
    /// What is said, in English or Chinese: "something like Alien but not scary, after 1990", "why the first?", "not that one".
    message: String,
    /// The talk that goes on, from the answer before; without it a new one begins.
    chat_id: Option<String>,
    /// Who talks, where a talk begins; without it, a newcomer.
    user_id: Option<String>,
    /// Items of a list, 1 to 20, where a talk begins; 5 when it is left out. A turn may ask for other numbers.
    n: Option<usize>,
}

/// The answer to a turn.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ChatAnswer {
    /// Names the talk in its next turn; it is forgotten after an hour without one.
    chat_id: String,
    /// The model that answered.
    model: String,
    /// Number of the turn, from 1.
    turn: usize,
    /// What the turn was after: `seek`, `why`, `compare` and others.
    intent: Value,
    /// The answer in words, in the language of the turn.
    reply: String,
    /// The items of a list, each with its reason, or the items spoken of.
    items: Vec<RecommendedItem>,
    /// What could not be done, and why.
    notes: Vec<String>,
    /// What the talk has settled: filters, words, what is to be like what.
    state: Value,
}

/// `POST /v1/chat`.
pub(crate) async fn answer(call: Call) -> Result<Answer, Error> {
    let request: ChatRequest = call.json()?;
    check(&request)?;
    let (app, tenant) = (&call.app, &call.tenant);
    let now = app.clock.seconds();
    let chat_id = request.chat_id.clone().unwrap_or_else(|| new_id(app.clock.unix_ms()));
    let _turn = tenant.talks.turn(&chat_id).await;
    let old = match &request.chat_id {
        Some(id) => Some(tenant.talks.find(id, now).ok_or_else(|| unknown(id))?),
        None => None,
    };
    let user = old.as_ref().map_or(request.user_id, |talk| talk.user.clone());
    let known = match &user {
        Some(user) => known(app, tenant, user).await?,
        None => tenant.nobody.clone(),
    };
    let erased = known.erased;
    // Another server may have erased the user since.
    if old.as_ref().is_some_and(|talk| talk.erased != erased) {
        tenant.talks.forget(&chat_id);
        return Err(unknown(&chat_id));
    }
    let barred = tenant.barred(&app.store, now).await?;
    let model = tenant.slot.now().ok_or(Error::NoModel)?;
    let turns = old.as_ref().map_or(0, |talk| talk.turns) + 1;
    let turn = {
        let (model, user, message) = (model.clone(), user.clone(), request.message);
        let n = request.n.unwrap_or(N);
        move || {
            let engine = &model.engine;
            let user =
                user.as_deref().filter(|id| erased.is_none() && engine.known_user(id).is_some());
            let settings = ConversationSettings {
                user: user.map(str::to_owned),
                n,
                language: None,
                writer: None,
            };
            let mut left_out = barred.of(&model).to_vec();
            left_out.extend(known.older.iter().filter_map(|id| engine.known_item(id)));
            let talk = Conversation::new(engine, settings)?;
            let mut talk = talk.with_news(&newer(&model, user, &known), left_out);
            if let Some(old) = old {
                talk = talk.with_memory(old.memory_for(&model));
            }
            let reply = talk.turn(&message)?;
            Ok((reply, talk.memory().clone()))
        }
    };
    let (reply, memory) = app.workers.run(turn).await?;
    // Of somebody who is erased meanwhile the next turn finds nothing: the talk is from before.
    let talk = Talk::new((user, erased), turns, memory, (&model, now));
    tenant.talks.keep(&chat_id, talk);
    told(chat_id, &model, (turns, reply))
}

fn unknown(id: &str) -> Error {
    Error::NotFound { what: "talk under way with the id", id: id.to_owned() }
}

fn check(request: &ChatRequest) -> Result<(), Error> {
    let wrong = |why: &str| Err(Error::Body { why: why.into() });
    if request.message.trim().is_empty() || request.message.len() > MAX_WORDS {
        return wrong("`message` must have 1 to 8192 bytes that are not all spaces");
    }
    if request.user_id.as_deref().is_some_and(|id| !is_id(id)) {
        return wrong("`user_id` must have 1 to 512 bytes and no control characters");
    }
    if request.n.is_some_and(|n| !(1..=MOST).contains(&n)) {
        return wrong("`n` must be 1 to 20");
    }
    if request.chat_id.is_some() && (request.user_id.is_some() || request.n.is_some()) {
        return wrong("`user_id` and `n` are said where a talk begins, without `chat_id`");
    }
    Ok(())
}

fn told(
    chat_id: String,
    model: &Arc<Loaded>,
    (turn, reply): (usize, TurnReply),
) -> Result<Answer, Error> {
    let json = |value: Result<Value, serde_json::Error>| value.map_err(|_| Error::Failed);
    Answer::json(&ChatAnswer {
        chat_id,
        model: model.id.clone(),
        turn,
        intent: json(serde_json::to_value(reply.intent))?,
        reply: reply.reply,
        items: reply.items.into_iter().map(RecommendedItem::from).collect(),
        notes: reply.notes,
        state: json(serde_json::to_value(reply.state))?,
    })
}
