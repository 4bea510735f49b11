//! `tastemaker keys create|list|revoke`.

use serde_json::json;
use tastemaker_engine::core::{Clock as _, SystemClock};
use tastemaker_serve::store::{Act, Change, Error, KeyRecord, NewKey, Scope, Store};

use super::args::{Keys, KeysAction, ScopeName};
use super::run::runtime;
use crate::context::Context;
use crate::output;

pub(crate) fn run(args: &Keys, context: &Context) -> anyhow::Result<()> {
    let now = SystemClock::default().unix_ms();
    runtime()?.block_on(async {
        let store = Store::open(&args.store.store).await?;
        match &args.action {
            KeysAction::Create { tenant, scope, label } => {
                let key = NewKey::new(tenant, label, scope.scope(), now)?;
                store.change(Change::Key(key.record.clone())).await?;
                noted(&store, (tenant, now), "keys create", &key.record.id).await?;
                let value = json!({ "id": key.record.id, "tenant": tenant, "scope": key.record.scope.to_string(), "key": key.secret });
                output::result(context.format, &value, || {
                    format!("{}\n\nkeep it: it is not shown again. Send it as `x-api-key`, or as `authorization: Bearer`", key.secret)
                })
            }
            KeysAction::List => list(&store.keys().await?, context),
            KeysAction::Revoke { id } => {
                if store.change(Change::RevokeKey { id: id.clone(), time: now }).await?.rows == 0 {
                    return Err(Error::UnknownKey { id: id.clone() }.into());
                }
                let of = store.keys().await?.into_iter().find(|key| key.id == *id);
                let tenant = of.map(|key| key.tenant).unwrap_or_default();
                noted(&store, (&tenant, now), "keys revoke", id).await?;
                output::result(context.format, &json!({ "revoked": id }), || format!("revoked {id}"))
            }
        }
    })
}

/// Who works on this machine.
pub(crate) const COMMAND_LINE: &str = "command line";

async fn noted(
    store: &Store,
    (tenant, now): (&str, i64),
    act: &str,
    key: &str,
) -> Result<(), Error> {
    let act = Act::new(tenant, now, COMMAND_LINE, act).on(key);
    store.change(Change::Act(act)).await.map(|_| ())
}

fn list(keys: &[KeyRecord], context: &Context) -> anyhow::Result<()> {
    let value: Vec<_> = keys
        .iter()
        .map(|key| {
            json!({
                "id": key.id, "tenant": key.tenant, "scope": key.scope.to_string(), "label": key.label,
                "created": key.created, "revoked": (key.revoked > 0).then_some(key.revoked),
            })
        })
        .collect();
    output::result(context.format, &value, || {
        let state = |key: &KeyRecord| if key.revoked > 0 { "revoked" } else { "open" };
        let row = |key: &KeyRecord| {
            vec![
                key.id.clone(),
                key.tenant.clone(),
                key.scope.to_string(),
                key.label.clone(),
                state(key).into(),
            ]
        };
        output::table(&["id", "tenant", "scope", "label", "state"], keys.iter().map(row), &[])
    })
}

impl ScopeName {
    const fn scope(self) -> Scope {
        match self {
            Self::Read => Scope::Read,
            Self::Write => Scope::Write,
            Self::Admin => Scope::Admin,
        }
    }
}
