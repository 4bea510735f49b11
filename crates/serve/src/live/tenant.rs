//! Everything of one tenant: nothing here is shared with another.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

use tastemaker_store::Store;

use super::history::{Histories, known_for};
use super::newcomers::Waiting;
use super::slot::Slot;
use crate::Error;
use crate::dashboard::Failures;

/// Popular items that are known.
const N_POPULAR: usize = 2000;

/// A value with the time it was read at.
type Timed<T> = Mutex<Option<(Arc<T>, f64)>>;

/// One tenant.
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) slot: Slot,
    pub(crate) histories: Histories,
    pub(crate) failures: Failures,
    pub(super) waiting: Waiting,
    /// Models are promoted one after the other.
    pub(super) promoting: tokio::sync::Mutex<()>,
    /// Events since the last training began.
    pub(crate) heard: AtomicU64,
    /// Unix milliseconds when it did; 0 before the first.
    pub(crate) trained_at: AtomicI64,
    barred: Timed<HashSet<String>>,
    barred_changes: Mutex<u64>,
    popular: Timed<Vec<(String, i64)>>,
}

impl Tenant {
    pub(crate) fn new(name: &str, users: usize) -> Self {
        Self {
            name: name.to_owned(),
            slot: Slot::default(),
            histories: Histories::new(users),
            failures: Failures::default(),
            waiting: Waiting::default(),
            promoting: tokio::sync::Mutex::default(),
            heard: AtomicU64::default(),
            trained_at: AtomicI64::default(),
            barred: Mutex::default(),
            barred_changes: Mutex::default(),
            popular: Mutex::default(),
        }
    }

    /// Returns the items that must not be shown.
    pub(crate) async fn barred(
        &self,
        store: &Store,
        now: f64,
    ) -> Result<Arc<HashSet<String>>, Error> {
        if let Some(known) = fresh(&self.barred, now, known_for(store)) {
            return Ok(known);
        }
        let changes = *self.barred_changes.lock().unwrap_or_else(PoisonError::into_inner);
        let read: Arc<HashSet<String>> =
            Arc::new(store.barred(&self.name).await?.into_iter().collect());
        // What changed while it was read is read again by the next one.
        let unchanged = self.barred_changes.lock().unwrap_or_else(PoisonError::into_inner);
        if *unchanged == changes {
            keep(&self.barred, read.clone(), now);
        }
        Ok(read)
    }

    /// Forgets which items must not be shown, because that has changed.
    pub(crate) fn forget_barred(&self) {
        let mut changes = self.barred_changes.lock().unwrap_or_else(PoisonError::into_inner);
        *changes += 1;
        *self.barred.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns what most users took since there is a store, most taken first, as it was at most `limit` seconds ago.
    pub(crate) async fn popular(
        &self,
        store: &Store,
        (now, limit): (f64, f64),
    ) -> Result<Arc<Vec<(String, i64)>>, Error> {
        if let Some(known) = fresh(&self.popular, now, limit) {
            return Ok(known);
        }
        let read = Arc::new(store.popular(&self.name, N_POPULAR).await?);
        keep(&self.popular, read.clone(), now);
        Ok(read)
    }
}

fn fresh<T>(place: &Timed<T>, now: f64, limit: f64) -> Option<Arc<T>> {
    let known = place.lock().unwrap_or_else(PoisonError::into_inner);
    known.as_ref().filter(|(_, at)| now - at < limit).map(|(value, _)| value.clone())
}

fn keep<T>(place: &Timed<T>, value: Arc<T>, now: f64) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some((value, now));
}

/// All tenants that somebody asked for.
pub(crate) type Tenants = Mutex<HashMap<String, Arc<Tenant>>>;
