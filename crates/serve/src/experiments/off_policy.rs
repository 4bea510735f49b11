//! What another policy would have been worth: kept lists whose places were drawn, asked again of it.

use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_engine::eval::online::{self, Logged, OffPolicy};

use super::definition::{HOUR_MS, PREVIOUS, PolicyIn, SERVING, check_hours, check_success, day};
use super::running::{Policy, asks};
use crate::Error;
use crate::api::events::iso;
use crate::api::explain::Kept;
use crate::api::recommend::make_again;
use crate::call::{Answer, Call};
use crate::live::{App, Tenant};

/// Most lists that are asked again.
const MAX_LISTS: usize = 5000;
const MAX_DAYS: f64 = 3650.0;

/// A policy that was not shown.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OffPolicyRequest {
    /// How it makes lists. What it draws itself is left out.
    policy: PolicyIn,
    /// Days back from now.
    days: f64,
    /// The newest lists that are asked again, 1 to 5000.
    lists: usize,
    /// The kinds of events that count as a success; all but impressions where none is named.
    success: Vec<String>,
    /// Hours from a list on, within which an event counts for it.
    window_hours: f64,
    /// Most that one list may weigh.
    clip: f64,
}

impl Default for OffPolicyRequest {
    fn default() -> Self {
        Self {
            policy: PolicyIn::default(),
            days: 7.0,
            lists: 1000,
            success: Vec::new(),
            window_hours: day(),
            clip: 100.0,
        }
    }
}

/// Estimates of the share of lists whose first item is taken.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct OffPolicyAnswer {
    /// The model of the policy.
    model: String,
    /// The time of the oldest list.
    from: String,
    /// The time of the newest list.
    to: String,
    /// Lists that the policy cannot be asked for.
    skipped: usize,
    /// What was found.
    #[serde(flatten)]
    found: OffPolicy,
}

impl OffPolicyRequest {
    fn check(&self) -> Result<(), Error> {
        let wrong = |why: String| Err(Error::Body { why });
        if !(self.days > 0.0 && self.days <= MAX_DAYS) {
            return wrong(format!("`days` must be more than 0 and at most {MAX_DAYS}"));
        }
        if !(1..=MAX_LISTS).contains(&self.lists) {
            return wrong(format!("`lists` must be 1 to {MAX_LISTS}"));
        }
        if !(1.0..=1e9).contains(&self.clip) {
            return wrong("`clip` must be 1 to 1e9".into());
        }
        check_hours(self.window_hours)?;
        check_success(&self.success)?;
        self.policy.check()
    }
}

/// Makes a policy ready, without what it draws.
async fn policy(app: &Arc<App>, tenant: &Arc<Tenant>, wanted: &PolicyIn) -> Result<Policy, Error> {
    let model = match wanted.model.as_deref() {
        None | Some(SERVING) => tenant.slot.now().ok_or(Error::NoModel)?,
        Some(PREVIOUS) => tenant.slot.before().ok_or(Error::NoPrevious)?,
        Some(name) => match app.named_model(tenant, name) {
            Some(model) => model,
            None => app.read_model(&app.model_folder(tenant, name)?).await?,
        },
    };
    let settings = wanted.pipeline.clone().unwrap_or_else(|| model.engine.pipeline());
    let pipeline = app.ready(&model, settings.without_exploring()).await?;
    Ok(Policy { model, pipeline: Some(pipeline) })
}

/// `POST /v1/off-policy`.
pub(crate) async fn post(call: Call) -> Result<Answer, Error> {
    let request: OffPolicyRequest = call.json()?;
    request.check()?;
    let (app, tenant) = (&call.app, &call.tenant);
    let _turn = app.audiences.clone().try_acquire_owned().map_err(|_| Error::Busy)?;
    let (now, lasts) = (app.clock.unix_ms(), (request.window_hours * HOUR_MS) as i64);
    let since = now - (request.days * 24.0 * HOUR_MS) as i64;
    // The outcome of a list is known when its window is over.
    let times = (since, now - lasts);
    let of = (tenant.name.as_str(), times);
    let lists = app.store.drawn(of, (&request.success, lasts), request.lists).await?;
    let (Some((newest, _)), Some((oldest, _))) = (lists.first(), lists.last()) else {
        return Err(Error::Undrawn { days: request.days, hours: request.window_hours });
    };
    let (from, to) = (iso(oldest.time), iso(newest.time));
    let policy = policy(app, tenant, &request.policy).await?;
    let mut numbers: [HashMap<String, usize>; 2] = Default::default();
    let mut number = |kind: usize, name: &str| {
        let next = numbers[kind].len();
        *numbers[kind].entry(name.to_owned()).or_insert(next)
    };
    let mut logged = Vec::with_capacity(lists.len());
    let n_lists = lists.len();
    for (shown, taken) in lists {
        let Ok(kept) = Kept::read(&shown) else { continue };
        let chances: Vec<f64> = serde_json::from_str(&shown.chances).unwrap_or_default();
        let chance = chances.first().copied().filter(|chance| *chance > 0.0);
        let (Some((first, _)), Some(chance)) = (kept.list.first(), chance) else { continue };
        let asked = asks(&request.policy, &kept.asked);
        let made = make_again(app, tenant, &policy, (&asked, &kept.past)).await;
        let chosen = match made {
            Ok(items) => items.into_iter().next(),
            Err(Error::Busy) => return Err(Error::Busy),
            // A filter may name a column that the model does not have.
            Err(_) => None,
        };
        let Some(chosen) = chosen else { continue };
        logged.push(Logged {
            user: number(0, &shown.user),
            shown: number(1, first),
            chosen: number(1, &chosen.item_id),
            chance,
            reward: f64::from(u8::from(taken.contains(first))),
        });
    }
    let clip = request.clip;
    let skipped = n_lists - logged.len();
    let found = app.workers.run(move || Ok(online::off_policy(&logged, clip))).await?;
    let found = found.ok_or(Error::Undrawn { days: request.days, hours: request.window_hours })?;
    Answer::json(&OffPolicyAnswer { model: policy.model.id.clone(), from, to, skipped, found })
}
