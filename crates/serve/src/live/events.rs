//! Changes of what users did and of the catalogue: to the store first, then to what is known in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tastemaker_store::{Applied, Change, Event, IMPRESSION, Item, Repeat, User};

use super::{App, Reception, Tenant};
use crate::Error;
use crate::traces::child;

impl App {
    /// Makes a change, and then what is to be done in memory: whether it succeeded or not, since it may be written late, and also when
    /// nobody waits for it any more.
    async fn settle(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        change: Change,
        after: impl FnOnce(&Tenant) + Send + 'static,
    ) -> Result<Applied, Error> {
        let (store, tenant) = (self.store.clone(), tenant.clone());
        let both = async move {
            let outcome = store.change(change).await;
            after(&tenant);
            outcome
        };
        let outcome = child("write to the store", tokio::spawn(both)).await.map_err(|error| {
            tracing::error!("a change broke down: {error}");
            Error::Failed
        })?;
        Ok(outcome?)
    }

    /// Takes events; returns when they are on disk and the next answers know them.
    pub(crate) async fn take_events(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        events: Vec<Event>,
        repeat: Repeat,
    ) -> Result<Applied, Error> {
        let taken = events.iter().filter(|event| event.kind != IMPRESSION);
        let items: Vec<String> = taken.map(|event| event.item.clone()).collect();
        let mut users: Vec<String> = events.iter().map(|event| event.user.clone()).collect();
        let names_list =
            |event: &&Event| !event.recommendation.is_empty() && event.kind != IMPRESSION;
        let from_lists = events.iter().filter(names_list).count() as u64;
        let change = Change::Events { tenant: tenant.name.clone(), events, repeat };
        users.sort_unstable();
        users.dedup();
        let forget =
            move |tenant: &Tenant| users.iter().for_each(|user| tenant.histories.forget(user));
        let applied = self.settle(tenant, change, forget).await?;
        self.counts.events.fetch_add(applied.rows, Ordering::Relaxed);
        self.counts.from_lists.fetch_add(from_lists.min(applied.rows), Ordering::Relaxed);
        tenant.heard.fetch_add(applied.rows, Ordering::Relaxed);
        tenant.fold_in(self, items);
        Ok(applied)
    }

    /// Removes events of a user with an item.
    pub(crate) async fn drop_events(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        kind: Option<&str>,
        (user, item): (&str, &str),
    ) -> Result<Applied, Error> {
        let change = Change::DropEvents {
            tenant: tenant.name.clone(),
            kind: kind.map(str::to_owned),
            user: user.to_owned(),
            item: item.to_owned(),
        };
        let user = user.to_owned();
        let applied =
            self.settle(tenant, change, move |tenant| tenant.histories.forget(&user)).await?;
        tenant.fold_in(self, vec![item.to_owned()]);
        Ok(applied)
    }

    /// Writes items and hands them to the model.
    pub(crate) async fn put_items(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        items: Vec<Item>,
    ) -> Result<Vec<Reception>, Error> {
        let change = Change::Items { tenant: tenant.name.clone(), items: items.clone() };
        self.settle(tenant, change, Tenant::forget_barred).await?;
        Ok(tenant.receive(self, items))
    }

    /// Removes an item with its events.
    pub(crate) async fn erase_item(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        id: &str,
    ) -> Result<Applied, Error> {
        let time = self.clock.unix_ms();
        let change = Change::EraseItem { tenant: tenant.name.clone(), id: id.to_owned(), time };
        let forget = |tenant: &Tenant| {
            tenant.forget_barred();
            // Whoever took it did not any more.
            tenant.histories.forget_all();
        };
        self.settle(tenant, change, forget).await
    }

    /// Writes users.
    pub(crate) async fn put_users(
        &self,
        tenant: &Tenant,
        users: Vec<User>,
    ) -> Result<Applied, Error> {
        Ok(self.store.change(Change::Users { tenant: tenant.name.clone(), users }).await?)
    }

    /// Removes a user with their events and lists.
    pub(crate) async fn erase_user(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        id: &str,
    ) -> Result<Applied, Error> {
        let time = self.clock.unix_ms();
        let placed = tenant.placed_by(self, id).await?;
        let change = Change::EraseUser { tenant: tenant.name.clone(), id: id.to_owned(), time };
        let (app, of, id) = (self.clone(), tenant.clone(), id.to_owned());
        let forget = move |tenant: &Tenant| {
            tenant.histories.forget(&id);
            tenant.talks.forget_user(&id);
            app.answers.forget_user(&tenant.name, &id);
            // What they took is placed by the others alone.
            of.fold_in(&app, placed);
        };
        self.settle(tenant, change, forget).await
    }
}
