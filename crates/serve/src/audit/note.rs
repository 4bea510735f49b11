//! The record of one act, written whatever becomes of its request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tastemaker_store::{Act, Change, Store};

use crate::auth::Identity;
use crate::live::{App, Tenant};
use crate::routes::Route;

/// Who acts where no key is needed.
const OPEN: &str = "open";
/// The server itself, which promotes what it trained.
const SERVER: &str = "server";

/// Longest time for which an answer waits until the record is on disk; a request that may take less waits less.
const PATIENCE: Duration = Duration::from_secs(5);

/// To whom or what something is done, where the path does not name it. Handlers say it before they act: who tried what is to be known
/// also when nothing came of it.
#[derive(Clone, Default)]
pub(crate) struct Subject(Arc<Mutex<String>>);

impl Subject {
    /// Names it, or names it better.
    pub(crate) fn name(&self, what: &str) {
        what.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn of(&self, act: Act) -> Act {
        let named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if named.is_empty() { act } else { act.on(&named) }
    }
}

/// An act under way.
pub(crate) struct Note {
    store: Store,
    /// Gone once it is written.
    act: Option<Act>,
    subject: Subject,
}

impl Note {
    /// Begins the record of a request that was let in, about what its path names.
    pub(crate) fn begin(
        app: &App,
        who: &Identity,
        route: &Route,
        path: &[(String, String)],
        subject: &Subject,
    ) -> Self {
        let key = if who.key.is_empty() { OPEN } else { &who.key };
        let named: Vec<&str> = path.iter().map(|(_, value)| value.as_str()).collect();
        let name = format!("{} {}", route.method, route.path);
        let act = Act::new(&who.tenant, app.clock.unix_ms(), key, &name).on(&named.join("/"));
        Self { store: app.store.clone(), act: Some(act), subject: subject.clone() }
    }

    /// Writes it down; returns when it is on disk, or when that takes too long. It is written on then.
    pub(crate) async fn end(mut self, app: &Arc<App>, outcome: String) {
        let Some(act) = self.act.take() else { return };
        let act = self.subject.of(Act { outcome, ..act });
        let (tenant, text) = (act.tenant.clone(), text(&act));
        let writing = tokio::spawn({
            let app = app.clone();
            async move { write(&app, act).await }
        });
        let patience = PATIENCE.min(app.settings.timeout);
        if tokio::time::timeout(patience, writing).await.is_err() {
            tracing::warn!("{tenant} is not in the audit log yet: {text}");
            let warning = format!("not in the audit log yet: {text}");
            app.tenant(&tenant).failures.warn(app.clock.unix_ms(), warning);
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(act) = self.act.take() {
            let outcome = "nobody waited for the answer".into();
            self.store.offer(Change::Act(self.subject.of(Act { outcome, ..act })));
        }
    }
}

fn text(act: &Act) -> String {
    format!("{} by {} on `{}`: {}", act.act, act.who, act.subject, act.outcome)
}

async fn write(app: &App, act: Act) {
    let (tenant, text) = (app.tenant(&act.tenant), text(&act));
    if let Err(error) = app.store.change(Change::Act(act)).await {
        tracing::error!("{} is not in the audit log: {text}: {error}", tenant.name);
        tenant.failures.warn(app.clock.unix_ms(), format!("not in the audit log: {text}"));
    }
}

impl App {
    /// Notes that a model was promoted which the server trained by itself.
    pub(crate) async fn note_own_promotion(self: &Arc<Self>, tenant: &Tenant, model: &str) {
        let act = Act::new(&tenant.name, self.clock.unix_ms(), SERVER, "promote");
        write(self, act.on(model)).await;
    }
}
