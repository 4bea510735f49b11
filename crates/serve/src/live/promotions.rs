//! Promotions that reach every server over one Postgres: each looks what the others promoted, and opens the model of that name in its own
//! folder, as soon as it is there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tastemaker_store::{Change, Promotion, new_id};

use super::{App, Tenant};
use crate::Error;

/// Longest time for a look.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of promotions.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Ids of those that were followed, by tenant.
    followed: HashMap<String, String>,
    /// Those of this server that the database has not got yet.
    untold: HashMap<String, Promotion>,
    /// Ids of those whose models are not here, which was said.
    missing: HashSet<String>,
}

pub(crate) type Promotions = tokio::sync::Mutex<Ledger>;

impl App {
    /// Reads what was promoted before this server began, by tenant.
    pub(super) async fn promoted_before(&self) -> Result<HashMap<String, Promotion>, Error> {
        if !self.store.is_shared() {
            return Ok(HashMap::new());
        }
        let all = self.store.promotions().await?;
        let mut known = self.promotions.lock().await;
        known.followed.extend(all.iter().map(|one| (one.tenant.clone(), one.id.clone())));
        Ok(all.into_iter().map(|one| (one.tenant.clone(), one)).collect())
    }

    /// Tells the others which model answers from now on; later, where the database does not take it now.
    pub(super) async fn announce(&self, tenant: &Tenant, model: &str) {
        if !self.store.is_shared() {
            return;
        }
        let time = self.clock.unix_ms();
        let (name, id) = (tenant.name.clone(), new_id(time));
        let promotion = Promotion { tenant: name.clone(), id, model: model.into(), time };
        let mut known = self.promotions.lock().await;
        known.untold.insert(name, promotion);
        if let Err(error) = self.tell(&mut known).await {
            let warning = format!("other servers are told of `{model}` later: {error}");
            tracing::warn!("{}: {warning}", tenant.name);
            tenant.failures.warn(time, warning);
        }
    }

    async fn tell(&self, known: &mut Ledger) -> Result<(), Error> {
        for promotion in known.untold.values().cloned().collect::<Vec<_>>() {
            let (tenant, id) = (promotion.tenant.clone(), promotion.id.clone());
            let told = self.store.change(Change::Promoted(promotion));
            tokio::time::timeout(PATIENCE, told).await.map_err(|_| Error::TimedOut)??;
            known.untold.remove(&tenant);
            known.followed.insert(tenant, id);
        }
        Ok(())
    }

    /// Opens what others promoted since the last look.
    pub(super) async fn follow_promotions(self: &Arc<Self>) {
        if !self.store.is_shared() || self.settings.models.is_none() {
            return;
        }
        // Whoever promotes now tells of it by themselves.
        let Ok(mut known) = self.promotions.try_lock() else { return };
        if self.tell(&mut known).await.is_err() {
            return;
        }
        let Ok(Ok(all)) = tokio::time::timeout(PATIENCE, self.store.promotions()).await else {
            return;
        };
        for promotion in all {
            let Some(tenant) = self.known_tenant(&promotion.tenant) else { continue };
            if known.followed.get(&promotion.tenant) == Some(&promotion.id) {
                continue;
            }
            // Without a name it is a model that only another server was given.
            let is_here = promotion.model.is_empty()
                || self.models_of(&tenant.name).contains(&promotion.model);
            if is_here {
                known.followed.insert(promotion.tenant, promotion.id);
                if !promotion.model.is_empty() {
                    tokio::spawn(follow(self.clone(), tenant, promotion.model));
                }
            } else if known.missing.insert(promotion.id) {
                let model = promotion.model;
                let warning = format!("another server promoted `{model}`, which is not here yet");
                tracing::warn!("{}: {warning}", tenant.name);
                tenant.failures.warn(self.clock.unix_ms(), warning);
            }
        }
    }
}

async fn follow(app: Arc<App>, tenant: Arc<Tenant>, model: String) {
    match app.take_on(&tenant, &model).await {
        Ok(_) => {
            tracing::info!("{model} answers for {}, as another server promoted it", tenant.name);
        }
        Err(error) => {
            let warning =
                format!("another server promoted `{model}`, and this one cannot: {error}");
            tracing::warn!("{}: {warning}", tenant.name);
            tenant.failures.warn(app.clock.unix_ms(), warning);
        }
    }
}
