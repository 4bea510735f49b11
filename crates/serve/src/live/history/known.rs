//! What users did, kept in memory for those who come often: bounded in bytes and in events of each.
//!
//! An event makes its user forgotten, so that the next request reads them from the store again. A list that was read before
//! the event and arrives after it is told by the count of its shelf, and not kept.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashlink::LruCache;
use tastemaker_engine::Taken;
use tastemaker_store::{Event, Store};

use super::steps::{Ids, Steps};
use crate::Error;
use crate::traces::child;

/// Events of a user that an answer looks at.
pub(crate) const EVENTS: usize = 500;
/// Items of a user that are not listed again because of older events.
const OLDER: usize = 10_000;
const SHELVES: usize = 64;
/// Bytes that a user takes beside what they did.
const OVERHEAD: usize = 128;
/// Seconds for which something is known that other servers may change.
const SHARED: f64 = 1.0;
/// Seconds for which it is known where none do: what was written after its time-out is seen by then.
const OWN: f64 = 60.0;

/// Returns the seconds for which something read from a store is known.
pub(crate) fn known_for(store: &Store) -> f64 {
    if store.is_shared() { SHARED } else { OWN }
}

/// What one user did.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Known {
    /// Their last events, oldest first.
    pub(crate) taken: Steps,
    /// Items they took before those; a model is not told, but they are not listed again.
    pub(crate) older: Ids,
    /// Time and id of the last one.
    pub(crate) last: Option<(i64, String)>,
    /// When they were erased, if they were: what a model's data knows of them is not used.
    pub(crate) erased: Option<i64>,
}

impl Known {
    /// Reads what a user did.
    async fn read(store: &Store, (tenant, user): (&str, &str)) -> Result<Self, Error> {
        Self::until(store, (tenant, user), (i64::MAX, "")).await
    }

    /// Reads what a user did up to an event, which is given by its time and id.
    pub(crate) async fn until(
        store: &Store,
        (tenant, user): (&str, &str),
        until: (i64, &str),
    ) -> Result<Self, Error> {
        let erased = store.erased_user(tenant, user).await?;
        let events = store.history((tenant, user), until, EVENTS).await?;
        let older = match events.first().filter(|_| events.len() >= EVENTS) {
            Some(first) => {
                let before = (first.time, first.id.as_str());
                store.taken_before((tenant, user), before, OLDER).await?.into_iter().collect()
            }
            None => Ids::default(),
        };
        Ok(Self { older, ..Self::new(events, erased) })
    }

    /// Makes it of events, oldest first.
    fn new(events: Vec<Event>, erased: Option<i64>) -> Self {
        let last = events.last().map(|event| (event.time, event.id.clone()));
        let taken = events.into_iter().map(taken).collect();
        Self { taken, older: Ids::default(), last, erased }
    }
}

/// Returns what models reckon with of an event.
pub(crate) fn taken(event: Event) -> Taken {
    let (value, time) = (strength(event.value), event.time.div_euclid(1000));
    Taken { item: event.item, value, time }
}

/// Returns the strength that models reckon with; clients that know none send zero.
pub(crate) fn strength(value: f64) -> f32 {
    if value.abs() < f64::EPSILON {
        return 1.0;
    }
    value.clamp(f32::MIN.into(), f32::MAX.into()) as f32
}

struct Shelf {
    changes: u64,
    /// Who was asked for longest ago first.
    users: LruCache<String, (Arc<Known>, f64)>,
    bytes: usize,
}

impl Default for Shelf {
    fn default() -> Self {
        Self { changes: 0, users: LruCache::new_unbounded(), bytes: 0 }
    }
}

impl Shelf {
    /// Keeps a user, for whom others make room. One for whom there is none in an empty shelf is read from the store each time.
    fn keep(&mut self, user: &str, known: Arc<Known>, (at, room): (f64, usize)) {
        self.forget(user);
        let new = bytes(user, &known);
        if new > room {
            return;
        }
        self.users.insert(user.to_owned(), (known, at));
        self.bytes += new;
        while self.bytes > room
            && let Some((user, (known, _))) = self.users.remove_lru()
        {
            self.bytes -= bytes(&user, &known);
        }
    }

    fn forget(&mut self, user: &str) {
        if let Some((known, _)) = self.users.remove(user) {
            self.bytes -= bytes(user, &known);
        }
    }
}

fn bytes(user: &str, known: &Known) -> usize {
    OVERHEAD + user.len() + known.bytes()
}

/// The users of one tenant.
pub(crate) struct Histories {
    shelves: Vec<Mutex<Shelf>>,
    hasher: RandomState,
    /// Most bytes of a shelf.
    room: usize,
}

impl Histories {
    /// Keeps so many bytes of what users did.
    pub(crate) fn new(bytes: usize) -> Self {
        let shelves = (0..SHELVES).map(|_| Mutex::default()).collect();
        Self { shelves, hasher: RandomState::new(), room: bytes / SHELVES }
    }

    fn shelf(&self, user: &str) -> MutexGuard<'_, Shelf> {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(user.as_bytes());
        let shelf = hasher.finish() as usize % SHELVES;
        self.shelves[shelf].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what a user did, and whether it was in memory.
    pub(crate) async fn of(
        &self,
        (tenant, user): (&str, &str),
        store: &Store,
        now: f64,
    ) -> Result<(Arc<Known>, bool), Error> {
        let changes = {
            let mut shelf = self.shelf(user);
            let known = shelf.users.get(user).filter(|(_, at)| now - at < known_for(store));
            if let Some((known, _)) = known {
                return Ok((known.clone(), true));
            }
            shelf.changes
        };
        let read = child("read from the store", Known::read(store, (tenant, user)));
        let mut known = Arc::new(read.await?);
        let mut shelf = self.shelf(user);
        // What is the same stays the same one, and with it what was made of it.
        if let Some((old, _)) = shelf.users.get(user).filter(|(old, _)| **old == *known) {
            known = old.clone();
        }
        if shelf.changes == changes {
            shelf.keep(user, known.clone(), (now, self.room));
        }
        Ok((known, false))
    }

    /// Forgets a user who did something.
    pub(crate) fn forget(&self, user: &str) {
        let mut shelf = self.shelf(user);
        shelf.changes += 1;
        shelf.forget(user);
    }

    /// Forgets everybody.
    pub(crate) fn forget_all(&self) {
        for shelf in &self.shelves {
            let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            shelf.changes += 1;
            shelf.users.clear();
            shelf.bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shelf_is_bounded_in_bytes_and_gives_them_back() {
        let mut shelf = Shelf::default();
        let one = bytes("u00", &Known::default());
        (0..50).for_each(|n| shelf.keep(&format!("u{n:02}"), Arc::default(), (0.0, 10 * one)));
        assert_eq!((shelf.users.len(), shelf.bytes), (10, 10 * one));
        assert!(shelf.users.contains_key("u40") && !shelf.users.contains_key("u39"));
        shelf.keep("u50", Arc::default(), (0.0, one - 1));
        assert_eq!(
            (shelf.users.len(), shelf.bytes),
            (10, 10 * one),
            "nobody goes for who has no room"
        );
        (40..50).for_each(|n| shelf.forget(&format!("u{n}")));
        assert_eq!(shelf.bytes, 0);
    }
}
