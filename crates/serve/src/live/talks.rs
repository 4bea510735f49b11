//! Talks under way, in memory: bounded in number, and forgotten when nobody goes on with them.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hashlink::LruCache;
use tastemaker_engine::core::ItemId;
use tastemaker_engine::dialog::talk::Memory;

use super::Loaded;

/// Talks of a tenant.
const MOST: usize = 2000;
/// Turns that are taken at the same time, at most.
const TURNS: usize = 64;
/// Seconds after which a talk that nobody goes on with is over.
const IDLE: f64 = 3600.0;

/// A talk between two turns.
#[derive(Clone)]
pub(crate) struct Talk {
    pub(crate) user: Option<String>,
    /// When the user had been erased, if they had, before the talk began.
    pub(crate) erased: Option<i64>,
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
        (user, erased): (Option<String>, Option<i64>),
        turns: usize,
        memory: Memory,
        (model, at): (&Arc<Loaded>, f64),
    ) -> Self {
        let name = |item: ItemId| (item, model.engine.item_name(item).to_owned());
        let names = memory.items().map(name).collect();
        Self { user, erased, turns, memory, model: Arc::downgrade(model), names, at }
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

/// The talks of a tenant; those that were gone on with longest ago make room.
pub(crate) struct Talks {
    talks: Mutex<LruCache<String, Talk>>,
    /// Turns of one talk come one after the other.
    turns: Vec<tokio::sync::Mutex<()>>,
    hasher: RandomState,
}

impl Default for Talks {
    fn default() -> Self {
        Self {
            talks: Mutex::new(LruCache::new(MOST)),
            turns: (0..TURNS).map(|_| tokio::sync::Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Talks {
    fn all(&self) -> MutexGuard<'_, LruCache<String, Talk>> {
        self.talks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody else has a turn in this talk.
    pub(crate) async fn turn(&self, id: &str) -> tokio::sync::MutexGuard<'_, ()> {
        self.turns[self.hasher.hash_one(id) as usize % TURNS].lock().await
    }

    /// Finds a talk.
    pub(crate) fn find(&self, id: &str, now: f64) -> Option<Talk> {
        let mut all = self.all();
        let talk = all.get(id)?;
        (now - talk.at < IDLE).then(|| talk.clone())
    }

    /// Keeps a talk until its next turn.
    pub(crate) fn keep(&self, id: &str, talk: Talk) {
        self.all().insert(id.to_owned(), talk);
    }

    /// Forgets a talk.
    pub(crate) fn forget(&self, id: &str) {
        self.all().remove(id);
    }

    /// Forgets the talks with a user.
    pub(crate) fn forget_user(&self, user: &str) {
        self.all().retain(|_, talk| talk.user.as_deref() != Some(user));
    }

    /// Forgets the talks that are over.
    pub(crate) fn sweep(&self, now: f64) {
        self.all().retain(|_, talk| now - talk.at < IDLE);
    }
}
