//! Talks under way, in memory: bounded in number, and forgotten when nobody goes on with them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hashlink::LruCache;
use tastemaker_engine::core::ItemId;
use tastemaker_engine::dialog::talk::Memory;

use super::Loaded;

/// Talks of all tenants.
const MOST: usize = 10_000;
/// Seconds after which a talk that nobody goes on with is over.
const IDLE: f64 = 3600.0;

/// Tenant and id.
type Key = (String, String);

/// A talk between two turns.
#[derive(Clone)]
pub(crate) struct Talk {
    pub(crate) user: Option<String>,
    pub(crate) turns: usize,
    pub(crate) memory: Memory,
    /// The model by whose numbers it remembers items.
    model: Weak<Loaded>,
    /// Names of those items, for another model.
    names: Vec<(ItemId, String)>,
    /// When it was gone on with.
    at: f64,
}

impl Talk {
    /// Keeps what a turn left.
    pub(crate) fn new(
        user: Option<String>,
        turns: usize,
        memory: Memory,
        (model, at): (&Arc<Loaded>, f64),
    ) -> Self {
        let name = |item: ItemId| (item, model.engine.item_name(item).to_owned());
        let names = memory.items().map(name).collect();
        Self { user, turns, memory, model: Arc::downgrade(model), names, at }
    }

    /// Returns what it remembers by the numbers of a model.
    pub(crate) fn memory_for(&self, model: &Arc<Loaded>) -> Memory {
        let mut memory = self.memory.clone();
        if !self.model.ptr_eq(&Arc::downgrade(model)) {
            memory.renumber(|item| {
                let (_, name) = self.names.iter().find(|(known, _)| *known == item)?;
                model.engine.known_item(name)
            });
        }
        memory
    }
}

/// The talks of all tenants; those that were gone on with longest ago make room.
pub(crate) struct Talks(Mutex<LruCache<Key, Talk>>);

impl Default for Talks {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MOST)))
    }
}

impl Talks {
    fn all(&self) -> MutexGuard<'_, LruCache<Key, Talk>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a talk.
    pub(crate) fn find(&self, tenant: &str, id: &str, now: f64) -> Option<Talk> {
        let mut all = self.all();
        let talk = all.get(&(tenant.to_owned(), id.to_owned()))?;
        (now - talk.at < IDLE).then(|| talk.clone())
    }

    /// Keeps a talk until its next turn.
    pub(crate) fn keep(&self, tenant: &str, id: &str, talk: Talk) {
        self.all().insert((tenant.to_owned(), id.to_owned()), talk);
    }

    /// Forgets the talks with a user.
    pub(crate) fn forget_user(&self, tenant: &str, user: &str) {
        self.all().retain(|(of, _), talk| of != tenant || talk.user.as_deref() != Some(user));
    }

    /// Forgets the talks that are over.
    pub(crate) fn sweep(&self, now: f64) {
        self.all().retain(|_, talk| now - talk.at < IDLE);
    }
}
