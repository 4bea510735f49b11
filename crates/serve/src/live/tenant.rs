//! Everything of one tenant: nothing here is shared with another.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tastemaker_core::ItemId;
use tastemaker_store::Store;

use super::folding::Folding;
use super::history::{Histories, Known, known_for};
use super::newcomers::Waiting;
use super::others::Introducing;
use super::slot::{Loaded, Slot};
use super::talks::Talks;
use crate::Error;
use crate::dashboard::Failures;
use crate::experiments::Experiments;

/// Popular items that are known.
const N_POPULAR: usize = 2000;

/// A value with the time it was read at.
pub(crate) type Timed<T> = Mutex<Option<(Arc<T>, f64)>>;

/// A model, and the numbers it gives some items.
type Numbers = (Weak<Loaded>, Arc<Vec<ItemId>>);

/// The items that must not be shown.
#[derive(Debug, Default)]
pub(crate) struct Barred {
    ids: HashSet<String>,
    /// Those that models know which were asked, by their numbers.
    known: Mutex<Vec<Numbers>>,
}

impl Barred {
    fn new(ids: Vec<String>) -> Self {
        Self { ids: ids.into_iter().collect(), known: Mutex::default() }
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &String> {
        self.ids.iter()
    }

    /// Returns the numbers that a model gives them, in order.
    pub(crate) fn of(&self, loaded: &Arc<Loaded>) -> Arc<Vec<ItemId>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let this = Arc::downgrade(loaded);
        if let Some((_, items)) = known.iter().find(|(model, _)| model.ptr_eq(&this)) {
            return items.clone();
        }
        let items = self.ids.iter().filter_map(|id| loaded.engine.known_item(id));
        let mut items: Vec<ItemId> = items.collect();
        items.sort_unstable_by_key(|item| item.0);
        let items = Arc::new(items);
        known.retain(|(model, _)| model.strong_count() > 0);
        known.push((this, items.clone()));
        items
    }
}

/// Where a model of a tenant is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// It answers everybody.
    Serving,
    /// It answers an arm of an experiment, under this name.
    Arm(String),
}

/// One tenant.
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) slot: Slot,
    pub(crate) histories: Histories,
    pub(crate) failures: Failures,
    pub(crate) experiments: Experiments,
    /// What is known of who has no history.
    pub(crate) nobody: Arc<Known>,
    pub(super) waiting: Waiting,
    pub(super) introducing: Introducing,
    pub(super) folding: Folding,
    pub(crate) talks: Talks,
    /// Items and users are read and written again one after the other.
    pub(crate) patching: tokio::sync::Mutex<()>,
    /// Models are promoted one after the other.
    pub(crate) promoting: tokio::sync::Mutex<()>,
    /// Events since the last training began.
    pub(crate) heard: AtomicU64,
    /// Unix milliseconds when it did; 0 before the first.
    pub(crate) trained_at: AtomicI64,
    barred: Timed<Barred>,
    barred_changes: Mutex<u64>,
    /// One reads what all want to know.
    reading: tokio::sync::Mutex<()>,
    popular: Timed<Vec<(String, i64)>>,
}

impl Tenant {
    pub(crate) fn new(name: &str, histories: usize) -> Self {
        Self {
            name: name.to_owned(),
            slot: Slot::default(),
            histories: Histories::new(histories),
            failures: Failures::default(),
            experiments: Experiments::default(),
            nobody: Arc::default(),
            waiting: Waiting::default(),
            introducing: Introducing::default(),
            folding: Folding::default(),
            talks: Talks::default(),
            patching: tokio::sync::Mutex::default(),
            promoting: tokio::sync::Mutex::default(),
            heard: AtomicU64::default(),
            trained_at: AtomicI64::default(),
            barred: Mutex::default(),
            barred_changes: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            popular: Mutex::default(),
        }
    }

    /// Lists the places where models are.
    pub(super) fn places(&self) -> Vec<Place> {
        let arms = self.experiments.models.names().into_iter().map(Place::Arm);
        [Place::Serving].into_iter().chain(arms).collect()
    }

    /// Returns the model of a place.
    pub(super) fn at(&self, place: &Place) -> Option<Arc<Loaded>> {
        match place {
            Place::Serving => self.slot.now(),
            Place::Arm(name) => self.experiments.models.get(name),
        }
    }

    /// Lets the same model with more items answer at its place, unless another one does by now; returns whether it does.
    pub(super) fn refresh(&self, place: &Place, old: &Arc<Loaded>, model: Arc<Loaded>) -> bool {
        match place {
            Place::Serving => self.slot.refresh(old, model),
            Place::Arm(name) => self.experiments.models.refresh(name, old, model),
        }
    }

    /// Returns the items that must not be shown; the same ones as before as long as nothing has changed.
    pub(crate) async fn barred(&self, store: &Store, now: f64) -> Result<Arc<Barred>, Error> {
        if let Some(known) = fresh(&self.barred, now, known_for(store)) {
            return Ok(known);
        }
        // One reads, the others wait for it.
        let _turn = self.reading.lock().await;
        if let Some(known) = fresh(&self.barred, now, known_for(store)) {
            return Ok(known);
        }
        let changes = *self.barred_changes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = Arc::new(Barred::new(store.barred(&self.name).await?));
        // What changed while it was read is read again by the next one.
        let unchanged = self.barred_changes.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.barred.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((last, _)) = last.filter(|(last, _)| last.ids == read.ids) {
            read = last;
        }
        let at = if *unchanged == changes { now } else { f64::NEG_INFINITY };
        keep(&self.barred, read.clone(), at);
        Ok(read)
    }

    /// Has the items that must not be shown read again, because that has changed.
    pub(crate) fn forget_barred(&self) {
        let mut changes = self.barred_changes.lock().unwrap_or_else(PoisonError::into_inner);
        *changes += 1;
        let mut barred = self.barred.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, at)) = barred.as_mut() {
            *at = f64::NEG_INFINITY;
        }
    }

    /// Has what is popular counted again.
    pub(crate) fn forget_popular(&self) {
        *self.popular.lock().unwrap_or_else(PoisonError::into_inner) = None;
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
        let _turn = self.reading.lock().await;
        if let Some(known) = fresh(&self.popular, now, limit) {
            return Ok(known);
        }
        let read = Arc::new(store.popular(&self.name, N_POPULAR).await?);
        keep(&self.popular, read.clone(), now);
        Ok(read)
    }
}

/// Returns what is known, if it was read less than `limit` seconds ago.
pub(crate) fn fresh<T>(place: &Timed<T>, now: f64, limit: f64) -> Option<Arc<T>> {
    let known = place.lock().unwrap_or_else(PoisonError::into_inner);
    known.as_ref().filter(|(_, at)| now - at < limit).map(|(value, _)| value.clone())
}

/// Knows a value from now on.
pub(crate) fn keep<T>(place: &Timed<T>, value: Arc<T>, now: f64) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some((value, now));
}

/// All tenants that somebody asked for.
pub(crate) type Tenants = Mutex<HashMap<String, Arc<Tenant>>>;
