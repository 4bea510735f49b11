//! Lists for a user, a session, or a taste described in words.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tastemaker_engine::{Ask, Listed, Taken};
use tastemaker_store::{Change, Shown, is_id, new_id};

use crate::Error;
use crate::call::{Answer, Call, MAX_ROWS};
use crate::live::{App, Known, Loaded, Tenant, Which};

/// Items when nothing else is said.
pub(crate) const N: usize = 10;
/// Longest description of a taste, in bytes.
const MAX_WORDS: usize = 8192;
/// Most items of a list in a request.
const MAX_LIST: usize = 10_000;

/// For whom items are wanted: a user, the items of a session, or words; for everybody when none is given.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RecommendRequest {
    /// A user. One nobody knows yet gets what suits everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<String>,
    /// Items taken in this session, oldest first; instead of a user's history.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) history: Vec<String>,
    /// A taste in words; items are ordered by how much their texts are like it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) words: Option<String>,
    /// How many items, at most 1000; 10 when it is left out.
    pub(crate) n: Option<usize>,
    /// An expression that every item must fulfil, such as `year >= 1990`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<String>,
    /// What variants of the pipeline look at: device, page.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) context: BTreeMap<String, String>,
    /// Items that must not be listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) exclude: Vec<String>,
    /// Adds a reason to every item.
    pub(crate) explain: bool,
    /// Which model is asked. Lists of `previous` are for comparison: they are not kept and have no `recommendation_id`.
    #[serde(skip_serializing_if = "is_serving")]
    pub(crate) model: Which,
}

fn is_serving(which: &Which) -> bool {
    *which == Which::Serving
}

/// A list, best first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RecommendAnswer {
    /// Names this list in events and in `explain`; absent when too much waits to be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recommendation_id: Option<String>,
    /// The model that answered; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// What made the list: `model`, `words`, or `popular` where there is no model.
    pub(crate) source: &'static str,
    /// The items.
    pub(crate) items: Vec<RecommendedItem>,
}

/// An item of a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RecommendedItem {
    /// Place, from 1.
    pub(crate) rank: usize,
    /// Its id.
    pub(crate) item_id: String,
    /// Its title, or its id where it has none.
    pub(crate) title: String,
    /// Its score, on the scale of what made the list.
    pub(crate) score: f32,
    /// The expected rating, where the model learnt ratings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rating: Option<f32>,
    /// The probability of a yes, where the model learnt to tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) probability: Option<f32>,
    /// Why it is there: a sentence and the evidence it cites.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Value>,
}

impl From<Listed> for RecommendedItem {
    fn from(listed: Listed) -> Self {
        Self {
            rank: listed.rank,
            item_id: listed.item_id,
            title: listed.title,
            score: listed.score,
            rating: listed.rating,
            probability: listed.probability,
            reason: listed.reason.and_then(|reason| serde_json::to_value(reason).ok()),
        }
    }
}

/// What made a list, and the list.
pub(crate) struct Made {
    pub(crate) source: &'static str,
    pub(crate) model: Option<Arc<Loaded>>,
    pub(crate) items: Vec<RecommendedItem>,
    /// Time and id of the last event that was looked at.
    last: Option<(i64, String)>,
}

/// `POST /v1/recommend`.
pub(crate) async fn by_body(call: Call) -> Result<Answer, Error> {
    let request: RecommendRequest = call.json()?;
    answer(&call, request).await
}

/// `GET /v1/recommend`.
pub(crate) async fn by_address(call: Call) -> Result<Answer, Error> {
    let list = |name: &str| {
        let all = call.query.iter().filter(|(key, value)| key == name && !value.is_empty());
        all.flat_map(|(_, value)| value.split(',')).map(str::to_owned).collect()
    };
    let request = RecommendRequest {
        user_id: call.text("user_id").map(str::to_owned),
        history: list("history"),
        words: call.text("words").map(str::to_owned),
        n: Some(call.n(N)?),
        filter: call.text("filter").map(str::to_owned),
        context: BTreeMap::new(),
        exclude: list("exclude"),
        explain: call.number("explain", false)?,
        model: Which::Serving,
    };
    answer(&call, request).await
}

async fn answer(call: &Call, request: RecommendRequest) -> Result<Answer, Error> {
    check(&request)?;
    let made = make(&call.app, &call.tenant, &request, None).await?;
    let recommendation_id =
        if is_serving(&request.model) { keep(call, &request, &made) } else { None };
    Answer::json(&RecommendAnswer {
        recommendation_id,
        model: made.model.map(|model| model.id.clone()),
        source: made.source,
        items: made.items,
    })
}

fn check(request: &RecommendRequest) -> Result<(), Error> {
    let wrong = |why: &str| Err(Error::Body { why: why.into() });
    if request.user_id.as_deref().is_some_and(|id| !is_id(id)) {
        return wrong("`user_id` must have 1 to 512 bytes and no control characters");
    }
    if request.history.len() > MAX_LIST || request.exclude.len() > MAX_LIST {
        return wrong("`history` and `exclude` hold at most 10000 items");
    }
    match &request.words {
        Some(_) if request.user_id.is_some() || !request.history.is_empty() => {
            wrong("give `words`, or a user or a history, not both")
        }
        Some(words) if words.len() > MAX_WORDS => wrong("`words` has at most 8192 bytes"),
        Some(_) if request.filter.is_some() || request.explain => {
            wrong("`words` goes with neither `filter` nor `explain` yet: leave them out")
        }
        _ => Ok(()),
    }
}

/// Keeps the list, so that it can be explained later.
fn keep(call: &Call, request: &RecommendRequest, made: &Made) -> Option<String> {
    let time = call.app.clock.unix_ms();
    let id = new_id(time);
    let mut asked = serde_json::to_value(request).ok()?;
    asked["looked_at"] = serde_json::to_value(&made.last).ok()?;
    asked["source"] = Value::from(made.source);
    let list: Vec<(&str, f32)> =
        made.items.iter().map(|item| (item.item_id.as_str(), item.score)).collect();
    let shown = Shown {
        tenant: call.tenant.name.clone(),
        id: id.clone(),
        time,
        user: request.user_id.clone().unwrap_or_default(),
        model: made.model.as_ref().map(|model| model.id.clone()).unwrap_or_default(),
        request: asked.to_string(),
        list: serde_json::to_string(&list).ok()?,
    };
    if call.app.store.offer(Change::Shown(vec![shown])) {
        return Some(id);
    }
    call.app.counts.unkept.fetch_add(1, Ordering::Relaxed);
    None
}

/// Makes a list; `until` looks at events up to one, to make a list of the past again.
pub(crate) async fn make(
    app: &Arc<App>,
    tenant: &Arc<Tenant>,
    request: &RecommendRequest,
    until: Option<&(i64, String)>,
) -> Result<Made, Error> {
    let n = request.n.unwrap_or(N).min(MAX_ROWS);
    let now = app.clock.seconds();
    let known = match &request.user_id {
        Some(user) if request.history.is_empty() => known(app, tenant, (user, until)).await?,
        _ => Arc::new(Known::default()),
    };
    let barred = tenant.barred(&app.store, now).await?;
    let Some(loaded) = tenant.slot.which(request.model)? else {
        return popular(app, tenant, request, (&known, &barred)).await;
    };
    let (model, request) = (loaded.clone(), request.clone());
    let last = known.last.clone();
    let (source, items) =
        app.workers.run(move || of_model(&loaded, &request, (&known, &barred), n)).await?;
    let items = items.into_iter().map(RecommendedItem::from).collect();
    Ok(Made { source, model: Some(model), items, last })
}

async fn known(
    app: &App,
    tenant: &Tenant,
    (user, until): (&str, Option<&(i64, String)>),
) -> Result<Arc<Known>, Error> {
    if let Some(until) = until {
        let mut events = app.store.history(&tenant.name, user, crate::live::EVENTS).await?;
        events.retain(|event| (event.time, &event.id) <= (until.0, &until.1));
        let erased = app.store.erased_user(&tenant.name, user).await?.is_some();
        return Ok(Arc::new(Known::new(events, erased)));
    }
    let (known, was_there) =
        tenant.histories.of((&tenant.name, user), &app.store, app.clock.seconds()).await?;
    let count = if was_there { &app.counts.hits } else { &app.counts.misses };
    count.fetch_add(1, Ordering::Relaxed);
    Ok(known)
}

fn of_model(
    loaded: &Loaded,
    request: &RecommendRequest,
    (known, barred): (&Known, &HashSet<String>),
    n: usize,
) -> Result<(&'static str, Vec<Listed>), Error> {
    let engine = &loaded.engine;
    let is_item = |id: &String| engine.item(id).is_ok();
    let mut exclude: Vec<String> =
        request.exclude.iter().filter(|id| is_item(id)).cloned().collect();
    let mut hidden: Vec<&String> = barred.iter().filter(|id| is_item(id)).collect();
    hidden.sort_unstable();
    exclude.extend(hidden.into_iter().cloned());
    if let Some(words) = &request.words {
        return Ok(("words", engine.like_text(words, &exclude, n)?));
    }
    let user = request.user_id.as_deref().filter(|_| request.history.is_empty() && !known.erased);
    let user = user.filter(|id| engine.user(id).is_ok());
    let newer = newer(loaded, user, known);
    let history: Vec<String> = request.history.iter().filter(|id| is_item(id)).cloned().collect();
    let context: Vec<(String, String)> = request.context.clone().into_iter().collect();
    let ask = Ask {
        user,
        history: &history,
        newer: &newer,
        exclude: &exclude,
        n,
        explain: request.explain,
        only: request.filter.as_deref(),
        context: &context,
    };
    Ok(("model", engine.recommend(&ask)?))
}

/// Leaves out events that the model's data has too: it may have been trained on what the store holds.
fn newer(loaded: &Loaded, user: Option<&str>, known: &Known) -> Vec<Taken> {
    let engine = &loaded.engine;
    let user = user.and_then(|id| engine.user(id).ok());
    let old = user.map(|user| engine.known_history(user)).unwrap_or_default();
    let old: HashSet<(&str, i64)> = old
        .items
        .iter()
        .zip(old.times)
        .map(|(item, time)| (engine.item_name(*item), *time))
        .collect();
    let is_new = |taken: &&Taken| !old.contains(&(taken.item.as_str(), taken.time));
    known.taken.iter().filter(is_new).cloned().collect()
}

/// Lists what most users took and then what is newest, where there is no model.
async fn popular(
    app: &App,
    tenant: &Tenant,
    request: &RecommendRequest,
    (known, barred): (&Known, &HashSet<String>),
) -> Result<Made, Error> {
    if request.words.is_some() || request.filter.is_some() || request.explain {
        return Err(Error::NoModel);
    }
    let n = request.n.unwrap_or(N).min(MAX_ROWS);
    let seen = known.taken.iter().map(|taken| &taken.item);
    let mut left_out: HashSet<&String> =
        seen.chain(&request.history).chain(&request.exclude).chain(barred).collect();
    let popular = app.popular(tenant).await?;
    let latest = app.store.latest(&tenant.name, n + left_out.len()).await?;
    let taken = popular.iter().map(|(id, takers)| (id, *takers as f32));
    let all = taken.chain(latest.iter().map(|item| (&item.id, 0.0)));
    let chosen = all.filter(|(id, _)| left_out.insert(id)).take(n);
    let item = |(place, (id, score)): (usize, (&String, f32))| RecommendedItem {
        rank: place + 1,
        item_id: id.clone(),
        title: id.clone(),
        score,
        rating: None,
        probability: None,
        reason: None,
    };
    let items = chosen.enumerate().map(item).collect();
    Ok(Made { source: "popular", model: None, items, last: known.last.clone() })
}
