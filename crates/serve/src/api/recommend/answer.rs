//! The handlers: requests read and checked, lists kept for `explain`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use tastemaker_store::{Change, Shown, is_id, new_id};

use super::make::{Made, known, make};
use super::types::{MAX_LIST, MAX_WORDS, N, RecommendAnswer, RecommendRequest};
use crate::Error;
use crate::call::{Answer, Call};
use crate::experiments::Treated;
use crate::live::Which;

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
