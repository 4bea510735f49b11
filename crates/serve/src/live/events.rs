//! Changes of what users did and of the catalogue: to the store first, then to what is known in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tastemaker_store::{Applied, Change, Event, Item, Repeat, User};

use super::{App, Reception, Tenant};
use crate::Error;

impl App {
    /// Takes events; returns when they are on disk and the next answers know them.
    pub(crate) async fn take_events(
        &self,
        tenant: &Tenant,
        events: Vec<Event>,
        repeat: Repeat,
    ) -> Result<Applied, Error> {
        let mut users: Vec<String> = events.iter().map(|event| event.user.clone()).collect();
        let change = Change::Events { tenant: tenant.name.clone(), events, repeat };
        let applied = self.store.change(change).await?;
        self.counts.events.fetch_add(applied.rows, Ordering::Relaxed);
        users.sort_unstable();
        users.dedup();
        users.iter().for_each(|user| tenant.histories.forget(user));
        Ok(applied)
    }

    /// Removes events of a user with an item.
    pub(crate) async fn drop_events(
        &self,
        tenant: &Tenant,
        kind: Option<&str>,
        (user, item): (&str, &str),
    ) -> Result<Applied, Error> {
        let change = Change::DropEvents {
            tenant: tenant.name.clone(),
            kind: kind.map(str::to_owned),
            user: user.to_owned(),
            item: item.to_owned(),
        };
        let applied = self.store.change(change).await?;
        tenant.histories.forget(user);
        Ok(applied)
    }

    /// Writes items and hands them to the model.
    pub(crate) async fn put_items(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        items: Vec<Item>,
    ) -> Result<Vec<Reception>, Error> {
        let change = Change::Items { tenant: tenant.name.clone(), items: items.clone() };
        self.store.change(change).await?;
        tenant.forget_barred();
        Ok(tenant.receive(self, items))
    }

    /// Removes an item with its events.
    pub(crate) async fn erase_item(&self, tenant: &Tenant, id: &str) -> Result<Applied, Error> {
        let time = self.clock.unix_ms();
        let change = Change::EraseItem { tenant: tenant.name.clone(), id: id.to_owned(), time };
        let applied = self.store.change(change).await?;
        tenant.forget_barred();
        // Whoever took it did not any more.
        tenant.histories.forget_all();
        Ok(applied)
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
    pub(crate) async fn erase_user(&self, tenant: &Tenant, id: &str) -> Result<Applied, Error> {
        let time = self.clock.unix_ms();
        let change = Change::EraseUser { tenant: tenant.name.clone(), id: id.to_owned(), time };
        let applied = self.store.change(change).await?;
        tenant.histories.forget(id);
        Ok(applied)
    }
}
