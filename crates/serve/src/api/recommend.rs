//! Lists for a user, a session, or a taste described in words.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tastemaker_core::seed;
use tastemaker_engine::{Ask, Listed, Taken};
use tastemaker_store::{Change, Shown, is_id, new_id};

use crate::Error;
use crate::call::{Answer, Call, MAX_ROWS};
use crate::experiments::{Policy, Treated};
use crate::live::{App, Barred, Grounds, Known, Loaded, Question, Tenant, Which};

/// Items when nothing else is said.
pub(crate) const N: usize = 10;
/// Longest description of a taste, in bytes.
pub(super) const MAX_WORDS: usize = 8192;
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
    /// Where the list is shown, such as `home` or `cart`: the same as `scenario` in `context`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scenario: Option<String>,
    /// Items that must not be listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) exclude: Vec<String>,
    /// Adds a reason to every item.
    pub(crate) explain: bool,
    /// Which model is asked, where an experiment is not to choose it. Lists of `previous` are for comparison: they are not kept and have no
    /// `recommendation_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<Which>,
}

/// What made a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// The model.
    Model,
    /// The likeness of texts to words.
    Words,
    /// What most took and what is new, where there is no model.
    Popular,
}

/// A list, best first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RecommendAnswer<'a> {
    /// Names this list in events and in `explain`; absent when too much waits to be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recommendation_id: Option<String>,
    /// The model that answered; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<&'a str>,
    /// What made the list.
    pub(crate) source: Source,
    /// The experiment that the user takes part in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) experiment: Option<&'a str>,
    /// The arm of it that made the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) arm: Option<&'a str>,
    /// The items.
    pub(crate) items: &'a [RecommendedItem],
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
    /// The chance with which it was shown at its place, where the pipeline explores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chance: Option<f32>,
    /// Why it is there: a sentence and the evidence it cites.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Value>,
}

impl RecommendedItem {
    /// Returns about how many bytes it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let reason = self.reason.as_ref().map_or(0, |reason| 4 * reason.to_string().len());
        size_of::<Self>() + self.item_id.len() + self.title.len() + reason
    }
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
            chance: listed.chance,
            reason: listed.reason.and_then(|reason| serde_json::to_value(reason).ok()),
        }
    }
}

/// What made a list, and the list.
pub(crate) struct Made {
    pub(crate) source: Source,
    pub(crate) model: Option<Arc<Loaded>>,
    pub(crate) items: Arc<Vec<RecommendedItem>>,
    /// Time and id of the last event that was looked at.
    last: Option<(i64, String)>,
    /// What its user did, as long as it is that.
    known: Weak<Known>,
    /// When the user was erased before.
    erased: Option<i64>,
    /// The arm of an experiment that made it.
    treated: Option<Treated>,
    /// What was drawn.
    draw: u64,
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
        scenario: call.text("scenario").map(str::to_owned),
        exclude: list("exclude"),
        explain: call.number("explain", false)?,
        model: None,
    };
    answer(&call, request).await
}

async fn answer(call: &Call, request: RecommendRequest) -> Result<Answer, Error> {
    check(&request)?;
    let made = make(&call.app, &call.tenant, &request).await?;
    let is_kept =
        request.model != Some(Which::Previous) && !erased_since(call, &request, &made).await?;
    let recommendation_id = if is_kept { keep(call, &request, &made) } else { None };
    Answer::json(&RecommendAnswer {
        recommendation_id,
        model: made.model.as_ref().map(|model| model.id.as_str()),
        source: made.source,
        experiment: made.treated.as_ref().map(Treated::experiment),
        arm: made.treated.as_ref().map(Treated::arm),
        items: &made.items,
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
    if request.scenario.is_some() && request.context.contains_key("scenario") {
        return wrong("`scenario` stands beside `context` or in it, not both");
    }
    match &request.words {
        Some(_) if request.user_id.is_some() || !request.history.is_empty() => {
            wrong("give `words`, or a user or a history, not both")
        }
        Some(words) if words.len() > MAX_WORDS => wrong("`words` has at most 8192 bytes"),
        Some(_) if request.explain => wrong(
            "`words` needs no `explain`: items are there because their texts are like the words",
        ),
        _ => Ok(()),
    }
}

/// Tells whether the user was erased while the list was made: nothing of them is written after that.
async fn erased_since(call: &Call, request: &RecommendRequest, made: &Made) -> Result<bool, Error> {
    let Some(user) = request.user_id.as_deref().filter(|_| made.known.strong_count() == 0) else {
        return Ok(false);
    };
    let now = known(&call.app, &call.tenant, user).await?;
    Ok(now.erased > made.erased)
}

/// Keeps the list, so that it can be explained later.
fn keep(call: &Call, request: &RecommendRequest, made: &Made) -> Option<String> {
    let time = call.app.clock.unix_ms();
    let id = new_id(time);
    let treated = made.treated.as_ref();
    let mut asked = match treated {
        Some(treated) => serde_json::to_value(treated.asks(request)),
        None => serde_json::to_value(request),
    }
    .ok()?;
    asked["looked_at"] = serde_json::to_value(&made.last).ok()?;
    asked["source"] = serde_json::to_value(made.source).ok()?;
    asked["draw"] = made.draw.into();
    let chances: Vec<f32> = made.items.iter().map_while(|item| item.chance).collect();
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
        experiment: treated.map(Treated::experiment).unwrap_or_default().to_owned(),
        arm: treated.map(Treated::arm).unwrap_or_default().to_owned(),
        chances: match chances.is_empty() {
            true => String::new(),
            false => serde_json::to_string(&chances).ok()?,
        },
    };
    if call.app.store.offer(Change::Shown(vec![shown])) {
        return Some(id);
    }
    call.app.counts.unkept.fetch_add(1, Ordering::Relaxed);
    None
}

/// Makes a list, or finds it where nothing has changed since it was made.
pub(crate) async fn make(
    app: &Arc<App>,
    tenant: &Arc<Tenant>,
    request: &RecommendRequest,
) -> Result<Made, Error> {
    let now = app.clock.seconds();
    let known = match &request.user_id {
        Some(user) if request.history.is_empty() => known(app, tenant, user).await?,
        _ => tenant.nobody.clone(),
    };
    let barred = tenant.barred(&app.store, now).await?;
    let treated = app.treatment(tenant, request).await?;
    let policy = match &treated {
        Some(treated) => treated.policy.clone(),
        None => match tenant.slot.which(request.model.unwrap_or_default())? {
            Some(model) => Policy { model, pipeline: None },
            None => return popular(app, tenant, request, (&known, &barred)).await,
        },
    };
    let request = &treated.as_ref().map_or(Cow::Borrowed(request), |t| Cow::Owned(t.asks(request)));
    let (last, weak, erased) = (known.last.clone(), Arc::downgrade(&known), known.erased);
    let asked = serde_json::to_string(request).unwrap_or_default();
    let draw = draw(request.user_id.as_deref(), app.clock.unix_ms());
    let question = Question {
        tenant: tenant.name.clone(),
        user: request.user_id.clone().unwrap_or_default(),
        asked: match &treated {
            Some(treated) => format!("{}/{} {asked}", treated.experiment(), treated.arm()),
            None => asked,
        },
        draw,
    };
    let grounds = Grounds::new(&policy.model, &known, &barred);
    let found = app.answers.find(&question, &grounds, now);
    let count = if found.is_some() { &app.counts.answers_found } else { &app.counts.answers_made };
    count.fetch_add(1, Ordering::Relaxed);
    let (source, items) = match found {
        Some(found) => found,
        None => {
            let made = compute(app, &policy, (request, draw), (known, barred)).await?;
            app.answers.keep(question, made.clone(), grounds, now);
            made
        }
    };
    let model = Some(policy.model);
    Ok(Made { source, model, items, last, known: weak, erased, treated, draw })
}

/// Returns what a user's draws hang on beside their history: the same within an hour, another one for everybody else.
fn draw(user: Option<&str>, unix_ms: i64) -> u64 {
    let bytes = user.unwrap_or_default().bytes().map(u64::from);
    seed::mix(bytes.chain([unix_ms.div_euclid(3_600_000) as u64]))
}

/// What a list of the past was made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// Time and id of the last event that was looked at.
    pub(crate) last: Option<(i64, String)>,
    /// What was drawn.
    pub(crate) draw: u64,
}

/// Makes a list of the past again: by what its user had done up to an event.
pub(crate) async fn make_again(
    app: &Arc<App>,
    tenant: &Arc<Tenant>,
    policy: &Policy,
    (request, past): (&RecommendRequest, &Past),
) -> Result<Vec<RecommendedItem>, Error> {
    let (time, event) = past.last.as_ref().map_or((i64::MIN, ""), |(time, id)| (*time, id));
    let known = match &request.user_id {
        Some(user) if request.history.is_empty() => {
            Arc::new(Known::until(&app.store, (&tenant.name, user), (time, event)).await?)
        }
        _ => tenant.nobody.clone(),
    };
    let barred = tenant.barred(&app.store, app.clock.seconds()).await?;
    let (_, items) = compute(app, policy, (request, past.draw), (known, barred)).await?;
    Ok(items.to_vec())
}

async fn compute(
    app: &App,
    policy: &Policy,
    (request, draw): (&RecommendRequest, u64),
    (known, barred): (Arc<Known>, Arc<Barred>),
) -> Result<(Source, Arc<Vec<RecommendedItem>>), Error> {
    let (policy, request) = (policy.clone(), request.clone());
    let work = move || of_model(&policy, (&request, draw), (&known, &barred));
    let (source, items) = app.workers.run(work).await?;
    Ok((source, Arc::new(items.into_iter().map(RecommendedItem::from).collect())))
}

pub(super) async fn known(app: &App, tenant: &Tenant, user: &str) -> Result<Arc<Known>, Error> {
    let (known, was_there) =
        tenant.histories.of((&tenant.name, user), &app.store, app.clock.seconds()).await?;
    let count = if was_there { &app.counts.hits } else { &app.counts.misses };
    count.fetch_add(1, Ordering::Relaxed);
    Ok(known)
}

fn of_model(
    Policy { model: loaded, pipeline }: &Policy,
    (request, draw): (&RecommendRequest, u64),
    (known, barred): (&Known, &Barred),
) -> Result<(Source, Vec<Listed>), Error> {
    let engine = &loaded.engine;
    let n = request.n.unwrap_or(N).min(MAX_ROWS);
    let mut left_out = barred.of(loaded).to_vec();
    left_out.extend(request.exclude.iter().filter_map(|id| engine.known_item(id)));
    if let Some(words) = &request.words {
        return Ok((
            Source::Words,
            engine.like_text(words, (&left_out, request.filter.as_deref()), n)?,
        ));
    }
    left_out.extend(known.older.iter().filter_map(|id| engine.known_item(id)));
    let user =
        request.user_id.as_deref().filter(|_| request.history.is_empty() && known.erased.is_none());
    let user = user.filter(|id| engine.known_user(id).is_some());
    let newer = newer(loaded, user, known);
    let is_known = |id: &&String| engine.known_item(id).is_some();
    let history: Vec<String> = request.history.iter().filter(is_known).cloned().collect();
    let mut context: Vec<(String, String)> = request.context.clone().into_iter().collect();
    context.extend(request.scenario.clone().map(|name| ("scenario".to_owned(), name)));
    let ask = Ask {
        user,
        history: &history,
        newer: &newer,
        exclude: &[],
        barred: &left_out,
        n,
        explain: request.explain,
        only: request.filter.as_deref(),
        context: &context,
        pipeline: pipeline.as_deref(),
        draw,
    };
    Ok((Source::Model, engine.recommend(&ask)?))
}

/// Leaves out events that the model's data has too: it may have been trained on what the store holds.
pub(super) fn newer(loaded: &Loaded, user: Option<&str>, known: &Known) -> Vec<Taken> {
    let engine = &loaded.engine;
    let user = user.and_then(|id| engine.known_user(id)).filter(|_| !known.taken.is_empty());
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
    (known, barred): (&Arc<Known>, &Barred),
) -> Result<Made, Error> {
    if request.words.is_some() || request.filter.is_some() || request.explain {
        return Err(Error::NoModel);
    }
    let n = request.n.unwrap_or(N).min(MAX_ROWS);
    let seen = known.taken.iter().map(|taken| &taken.item).chain(&known.older);
    let mut left_out: HashSet<&String> =
        seen.chain(&request.history).chain(&request.exclude).chain(barred.ids()).collect();
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
        chance: None,
        reason: None,
    };
    let items = Arc::new(chosen.enumerate().map(item).collect());
    let (last, weak) = (known.last.clone(), Arc::downgrade(known));
    let (source, erased) = (Source::Popular, known.erased);
    Ok(Made { source, model: None, items, last, known: weak, erased, treated: None, draw: 0 })
}
