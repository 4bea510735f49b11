//! Promotions that reach every server over one Postgres: each looks what the others promoted, and opens the model of that name in its own
//! folder.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tastemaker_store::{Change, Promotion, new_id};

use super::{App, Tenant};

/// Longest time for a look.
const PATIENCE: Duration = Duration::from_secs(1);

/// Ids of the promotions that are known, by tenant.
pub(crate) type Followed = tokio::sync::Mutex<HashMap<String, String>>;

impl App {
    /// Reads what was promoted before this server began: names of models by tenant.
    pub(super) async fn promoted_before(&self) -> Result<HashMap<String, String>, crate::Error> {
        if !self.store.is_shared() {
            return Ok(HashMap::new());
        }
        let all = self.store.promotions().await?;
        let mut followed = self.followed.lock().await;
        followed.extend(all.iter().map(|one| (one.tenant.clone(), one.id.clone())));
        Ok(all.into_iter().map(|one| (one.tenant, one.model)).collect())
    }

    /// Tells the others which model answers from now on.
    pub(super) async fn announce(&self, tenant: &Tenant, model: &str) {
        if !self.store.is_shared() {
            return;
        }
        let time = self.clock.unix_ms();
        let (tenant, id) = (tenant.name.clone(), new_id(time));
        let promotion =
            Promotion { tenant: tenant.clone(), id: id.clone(), model: model.into(), time };
        // Held until it is written: nobody follows the one before meanwhile.
        let mut followed = self.followed.lock().await;
        match self.store.change(Change::Promoted(promotion)).await {
            Ok(_) => drop(followed.insert(tenant, id)),
            Err(error) => tracing::warn!("other servers are not told of {model}: {error}"),
        }
    }

    /// Opens what others promoted since the last look.
    pub(super) async fn follow_promotions(self: &Arc<Self>) {
        if !self.store.is_shared() || self.settings.models.is_none() {
            return;
        }
        let Ok(mut followed) = self.followed.try_lock() else { return };
        let Ok(Ok(all)) = tokio::time::timeout(PATIENCE, self.store.promotions()).await else {
            return;
        };
        for promotion in all {
            let Some(tenant) = self.known_tenant(&promotion.tenant) else { continue };
            if followed.get(&promotion.tenant) != Some(&promotion.id) {
                followed.insert(promotion.tenant, promotion.id);
                tokio::spawn(follow(self.clone(), tenant, promotion.model));
            }
        }
    }
}

async fn follow(app: Arc<App>, tenant: Arc<Tenant>, model: String) {
    // It went back to a model that only it was given.
    if model.is_empty() {
        return;
    }
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
