//! Who gets an item: the lists of some users of the model's data, made as a request would make them from that data.

use schemars::JsonSchema;
use serde::Serialize;

use crate::Error;
use crate::call::{Answer, Call, MAX_ROWS};

/// Users whose lists are looked at when nothing else is said, and at most.
const SAMPLE: usize = 300;
const MAX_SAMPLE: usize = 1000;
/// Length of the lists that are looked at.
const WITHIN: usize = 100;

/// Users in whose lists an item stands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct AudienceAnswer {
    item_id: String,
    title: String,
    /// The model that was asked.
    model: String,
    /// Users whose lists were looked at, evenly chosen.
    users_looked_at: usize,
    /// Users of the model's data.
    n_users: usize,
    /// Length of the lists.
    within: usize,
    /// Of the users looked at, those in whose lists the item stands.
    reached: usize,
    /// The first of these, those in whose lists it stands highest first.
    users: Vec<AudienceUser>,
}

/// A user who gets the item.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct AudienceUser {
    user_id: String,
    /// Its place in their list, from 1.
    rank: usize,
    score: f32,
}

/// `GET /v1/items/{item_id}/audience`.
pub(super) async fn show(call: Call) -> Result<Answer, Error> {
    let (n, id) = (call.n(20)?, call.part("item_id").to_owned());
    let within = call.number("within", WITHIN)?.clamp(1, MAX_ROWS);
    let sample = call.number("sample", SAMPLE)?.clamp(1, MAX_SAMPLE);
    let loaded = call.tenant.slot.now().ok_or(Error::NoModel)?;
    let turn = call.app.audiences.clone().try_acquire_owned().map_err(|_| Error::Busy)?;
    let work = move || {
        let _turn = turn;
        let engine = &loaded.engine;
        let title = engine.title(engine.item(&id)?);
        let n_users = engine.data().n_users();
        let users = evenly(n_users, sample);
        let reached = engine.audience_among(&id, within, &users)?;
        let named = reached.iter().take(n);
        let user = |(user, rank, score): &(String, usize, f32)| AudienceUser {
            user_id: user.clone(),
            rank: *rank,
            score: *score,
        };
        Ok(AudienceAnswer {
            title,
            model: loaded.id.clone(),
            users_looked_at: users.len(),
            n_users,
            within,
            reached: reached.len(),
            users: named.map(user).collect(),
            item_id: id,
        })
    };
    let mut answer = call.app.workers.run(work).await?;
    let ids: Vec<&str> = answer.users.iter().map(|user| user.user_id.as_str()).collect();
    let mut erased = Vec::new();
    for id in ids {
        if call.app.store.erased_user(&call.tenant.name, id).await?.is_some() {
            erased.push(id.to_owned());
        }
    }
    answer.users.retain(|user| !erased.contains(&user.user_id));
    Answer::json(&answer)
}

/// Chooses numbers below `n`, evenly.
fn evenly(n: usize, sample: usize) -> Vec<usize> {
    let sample = sample.min(n);
    (0..sample).map(|place| place * n / sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_over_all() {
        assert_eq!(evenly(10, 4), [0, 2, 5, 7]);
        assert_eq!(evenly(3, 9), [0, 1, 2]);
        assert!(evenly(0, 5).is_empty());
    }
}
