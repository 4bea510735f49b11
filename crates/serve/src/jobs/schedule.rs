//! Starts retraining by itself: after so many new events, or so many hours.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::live::{App, Tenant};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(2);
const HOUR_MS: f64 = 3_600_000.0;

impl App {
    /// Looks after the models of all tenants, as long as the server runs.
    pub(crate) async fn keep_models_young(self: Arc<Self>) {
        let settings = &self.settings;
        if settings.retrain_events == 0 && settings.retrain_hours <= 0.0 {
            return;
        }
        for tenant in self.tenants() {
            self.count_heard(&tenant).await;
        }
        loop {
            for tenant in self.tenants() {
                if let Some(because) = self.is_due(&tenant)
                    && let Err(error) = self.retrain(&tenant, because)
                {
                    tracing::debug!("{} is not trained anew: {error}", tenant.name);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Counts what was heard before this server began.
    async fn count_heard(&self, tenant: &Tenant) {
        let Some(serving) = tenant.slot.now() else { return };
        match self.store.events_after(&tenant.name, serving.created * 1000).await {
            Ok(n) => {
                tenant.heard.fetch_add(n.unsigned_abs(), Ordering::Relaxed);
            }
            Err(error) => tracing::warn!("events of {} were not counted: {error}", tenant.name),
        }
    }

    /// Tells whether a tenant's model is to be trained anew, and why.
    fn is_due(&self, tenant: &Tenant) -> Option<&'static str> {
        let heard = tenant.heard.load(Ordering::Relaxed);
        let serving = tenant.slot.now().filter(|_| heard > 0)?;
        let settings = &self.settings;
        if settings.retrain_events > 0 && heard >= settings.retrain_events {
            return Some("events");
        }
        // One that failed is not tried again at once.
        let trained = tenant.trained_at.load(Ordering::Relaxed);
        let now = self.clock.unix_ms();
        // What lies ahead is of a clock that was set back since: then it counts from when this server began.
        let began = now - (self.clock.seconds() * 1000.0) as i64;
        let times = [trained, serving.created * 1000].into_iter();
        let since = times.filter(|time| (1..=now).contains(time)).max().unwrap_or(began);
        let hours = (now - since) as f64 / HOUR_MS;
        (settings.retrain_hours > 0.0 && hours >= settings.retrain_hours).then_some("hours")
    }
}
