//! What other processes wrote to the store, such as an import: noticed along with requests, as new keys are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tastemaker_store::Outside;

use super::{App, Loaded, Tenant};

/// Milliseconds between two looks.
const LOOK_MS: u64 = 400;
/// Longest time for a look: a database that does not answer is no reason to wait for what may be nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Shortest time between two goings through a catalogue, and how many times as long as one of them it is at least.
const REST: (Duration, f64) = (Duration::from_millis(300), 3.0);

/// What is known of the writes of others.
#[derive(Debug, Default)]
pub(crate) struct Others {
    /// Milliseconds of the clock, and one more: 0 before the first look.
    looked_at: AtomicU64,
    seen: tokio::sync::Mutex<HashMap<String, Outside>>,
}

/// Whether new items are being looked for, and whether there may be more by now.
#[derive(Debug, Default)]
pub(crate) struct Introducing(Mutex<(bool, bool)>);

impl Introducing {
    /// Tells whether the one who asks is to look for them; otherwise somebody does, who will look again.
    fn begin(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = !state.0;
        *state = (true, !begins);
        begins
    }

    /// Tells whether to look again.
    fn goes_on(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let again = state.1;
        *state = (again, false);
        again
    }
}

impl App {
    /// Takes what was written up to now for known, before anything is read.
    pub(super) async fn know_others(&self) -> Result<(), crate::Error> {
        self.others.seen.lock().await.extend(self.store.outside().await?);
        Ok(())
    }

    /// Finds out twice a second whether another process wrote something, and forgets what that may have changed.
    pub(crate) async fn notice_others(self: &Arc<Self>) {
        let now = (self.clock.seconds() * 1000.0) as u64 + 1;
        let looked_at = self.others.looked_at.load(Ordering::Relaxed);
        if looked_at > 0 && now < looked_at + LOOK_MS {
            return;
        }
        // One looks, the others go on with what is known.
        let Ok(mut seen) = self.others.seen.try_lock() else { return };
        self.others.looked_at.store(now, Ordering::Relaxed);
        let all = match tokio::time::timeout(PATIENCE, self.store.outside()).await {
            Ok(Ok(all)) => all,
            Ok(Err(error)) => {
                tracing::warn!("nobody knows whether others wrote to the store: {error}");
                return;
            }
            Err(_) => return,
        };
        self.follow_promotions().await;
        for (name, outside) in all {
            let before = seen.insert(name.clone(), outside).unwrap_or_default();
            if before != outside
                && let Some(tenant) = self.known_tenant(&name)
            {
                self.catch_up(&tenant, before, outside);
            }
        }
    }

    fn catch_up(self: &Arc<Self>, tenant: &Arc<Tenant>, before: Outside, now: Outside) {
        tracing::debug!("another process wrote to {}", tenant.name);
        // Lists rest on these, and go with them.
        tenant.forget_barred();
        if now.changes != before.changes {
            tenant.histories.forget_all();
            tenant.forget_popular();
        }
        let events = now.events.saturating_sub(before.events).max(0).unsigned_abs();
        tenant.heard.fetch_add(events, Ordering::Relaxed);
        // New items may be read by the model, or placed by those who took them.
        let is_news = |loaded: Arc<Loaded>| {
            (now.items > before.items && loaded.engine.can_grow().is_ok())
                || (now.events != before.events && loaded.engine.can_fold_in(""))
        };
        if tenant.slot.now().is_some_and(is_news) && tenant.introducing.begin() {
            tokio::spawn(introduce(self.clone(), tenant.clone()));
        }
    }
}

/// Goes through the catalogue, and again as long as items come meanwhile.
async fn introduce(app: Arc<App>, tenant: Arc<Tenant>) {
    loop {
        let began = app.clock.seconds();
        app.introduce_later(&tenant).await;
        let took = Duration::from_secs_f64((app.clock.seconds() - began).max(0.0));
        if !tenant.introducing.goes_on() {
            return;
        }
        tokio::time::sleep(REST.0.max(took.mul_f64(REST.1))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_looks_for_items_and_looks_again_when_there_are_more() {
        let introducing = Introducing::default();
        assert!(introducing.begin() && !introducing.begin() && !introducing.begin());
        assert!(introducing.goes_on() && !introducing.goes_on());
        assert!(introducing.begin());
    }
}
