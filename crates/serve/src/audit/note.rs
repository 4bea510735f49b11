//! The record of one act, written whatever becomes of its request.

use std::sync::Arc;

use tastemaker_store::{Act, Change, Store};

use crate::auth::Identity;
use crate::live::{App, Tenant};
use crate::routes::Route;

/// Who acts where no key is needed.
const OPEN: &str = "open";
/// The server itself, which promotes what it trained.
const SERVER: &str = "server";

/// An act under way.
pub(crate) struct Note {
    store: Store,
    /// Gone once it is written.
    act: Option<Act>,
}

impl Note {
    /// Begins the record of a request that was let in, about what its path names.
    pub(crate) fn begin(
        app: &App,
        who: &Identity,
        route: &Route,
        path: &[(String, String)],
    ) -> Self {
        let key = if who.key.is_empty() { OPEN } else { &who.key };
        let named: Vec<&str> = path.iter().map(|(_, value)| value.as_str()).collect();
        let name = format!("{} {}", route.method, route.path);
        let act = Act::new(&who.tenant, app.clock.unix_ms(), key, &name).on(&named.join("/"));
        Self { store: app.store.clone(), act: Some(act) }
    }

    /// Writes it down; returns when it is on disk. `about` names what it was about better than the path does.
    pub(crate) async fn end(mut self, app: &App, about: Option<&str>, outcome: String) {
        let Some(act) = self.act.take() else { return };
        let act = Act { outcome, ..act };
        write(app, about.map_or(act.clone(), |about| act.on(about))).await;
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(act) = self.act.take() {
            let outcome = "nobody waited for the answer".into();
            self.store.offer(Change::Act(Act { outcome, ..act }));
        }
    }
}

async fn write(app: &App, act: Act) {
    let tenant = app.tenant(&act.tenant);
    let text = format!("{} by {} on `{}`: {}", act.act, act.who, act.subject, act.outcome);
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
