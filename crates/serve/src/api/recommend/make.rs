//! Lists found in memory, made by a model, or of what is popular.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use tastemaker_core::seed;

use super::types::{N, RecommendRequest, RecommendedItem, Source};
use super::work::compute;
use crate::Error;
use crate::call::MAX_ROWS;
use crate::experiments::{Policy, Treated};
use crate::live::{App, Barred, Grounds, Known, Loaded, Question, Tenant};

/// What made a list, and the list.
pub(crate) struct Made {
    pub(crate) source: Source,
    pub(crate) model: Option<Arc<Loaded>>,
    pub(crate) items: Arc<Vec<RecommendedItem>>,
    /// Time and id of the last event that was looked at.
    pub(super) last: Option<(i64, String)>,
    /// What its user did, as long as it is that.
    pub(super) known: Weak<Known>,
    /// When the user was erased before.
    pub(super) erased: Option<i64>,
    /// The arm of an experiment that made it.
    pub(super) treated: Option<Treated>,
    /// What was drawn.
    pub(super) draw: u64,
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

pub(crate) async fn known(app: &App, tenant: &Tenant, user: &str) -> Result<Arc<Known>, Error> {
    let (known, was_there) =
        tenant.histories.of((&tenant.name, user), &app.store, app.clock.seconds()).await?;
    let count = if was_there { &app.counts.hits } else { &app.counts.misses };
    count.fetch_add(1, Ordering::Relaxed);
    Ok(known)
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
    let seen = known.taken.items().chain(known.older.iter());
    let named = request.history.iter().chain(&request.exclude).chain(barred.ids());
    let mut left_out: HashSet<&str> = seen.chain(named.map(String::as_str)).collect();
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
