//! The server as a whole.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use tastemaker_core::{Clock, SystemClock};
use tastemaker_engine::Places;
use tastemaker_store::{Change, Promotion, Store, is_tenant};
use tokio::sync::Semaphore;

use super::others::Others;
use super::promotions::Promotions;
use super::tenant::Tenants;
use super::{Answers, Loaded, Tenant};
use crate::api::recommend::ListJob;
use crate::auth::Keys;
use crate::dashboard::Series;
use crate::jobs::Board;
use crate::limit::{Rates, Together, Workers};
use crate::metrics::{Counts, RouteMetrics};
use crate::traces::Traces;
use crate::{DEFAULT_TENANT, Error, Settings};

/// Names the model of a tenant that answers after a restart.
const ACTIVE: &str = "active";
/// Rows read at once when a model meets the catalogue of the store.
const ROWS: usize = 1000;
/// Time between two sweepings of lists in memory.
const SWEEPING: Duration = Duration::from_secs(60);
/// Sweepings between two clearings of old lists in the store.
const CLEARING: u64 = 10;
const DAY_MS: i64 = 86_400_000;

/// Everything a request may need.
pub struct App {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) places: Places,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Keys,
    pub(crate) rates: Rates,
    pub(crate) workers: Workers,
    pub(crate) lists: Together<ListJob>,
    pub(crate) counts: Counts,
    pub(crate) series: Series,
    pub(crate) answers: Answers,
    /// A place for every kilobyte of the bodies that are read or worked on.
    pub(crate) bodies: Arc<Semaphore>,
    /// Looking for who gets an item takes long: one at a time.
    pub(crate) audiences: Arc<Semaphore>,
    /// By method and path, in the order of the routes.
    pub(crate) routes: Vec<((String, &'static str), RouteMetrics)>,
    pub(crate) jobs: Board,
    pub(crate) traces: Option<Traces>,
    pub(super) others: Others,
    pub(super) promotions: Promotions,
    tenants: Tenants,
}

impl App {
    /// Opens the models of all tenants; their data must fit the store.
    pub async fn open(
        store: Store,
        settings: Settings,
        places: Places,
    ) -> Result<Arc<Self>, Error> {
        Self::open_at(store, settings, places, Arc::new(SystemClock::default())).await
    }

    /// The same by another clock.
    pub async fn open_at(
        store: Store,
        settings: Settings,
        places: Places,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        let traces = settings.traces.as_ref().map(|traces| Traces::new(traces, clock.clone()));
        let app = Arc::new(Self {
            traces: traces.transpose()?,
            jobs: Board::open(settings.folders(), clock.unix_ms()),
            workers: Workers::new(settings.workers, settings.queue),
            lists: Together::default(),
            bodies: Arc::new(Semaphore::new(crate::door::BODIES / 1024)),
            audiences: Arc::new(Semaphore::new(1)),
            answers: Answers::new(settings.cache, settings.cached_for.as_secs_f64()),
            routes: crate::routes::counted(),
            store,
            settings,
            places,
            clock,
            keys: Keys::default(),
            rates: Rates::default(),
            counts: Counts::default(),
            series: Series::default(),
            others: Others::default(),
            promotions: Promotions::default(),
            tenants: Mutex::new(HashMap::new()),
        });
        app.know_others().await?;
        if let Some(root) = app.settings.models.as_ref().filter(|root| !root.is_dir()) {
            return Err(Error::NoFolder { path: root.display().to_string() });
        }
        let promoted = app.promoted_before().await?;
        for (tenant, dir) in app.settings.first_models(&promoted) {
            let tenant = app.tenant(&tenant);
            match app.read_model(&dir).await {
                Ok(model) => tenant.slot.promote(model),
                Err(error) if tenant.name == DEFAULT_TENANT => return Err(error),
                // One tenant's damage must not keep the others from their answers.
                Err(error) => tracing::error!("{} has no model: {error}", tenant.name),
            }
            app.introduce(&tenant).await?;
            app.prepare_experiment(&tenant).await;
        }
        Ok(app)
    }

    /// Finds a tenant.
    pub(crate) fn tenant(&self, name: &str) -> Arc<Tenant> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = tenants.get(name) {
            return tenant.clone();
        }
        let tenant = Arc::new(Tenant::new(name, self.settings.histories));
        tenants.insert(name.to_owned(), tenant.clone());
        tenant
    }

    /// Finds a tenant that somebody asked for before.
    pub(super) fn known_tenant(&self, name: &str) -> Option<Arc<Tenant>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Returns what is popular with a tenant.
    pub(crate) async fn popular(&self, tenant: &Tenant) -> Result<Arc<Vec<(String, i64)>>, Error> {
        let times = (self.clock.seconds(), self.settings.popular.as_secs_f64());
        tenant.popular(&self.store, times).await
    }

    /// Lists all tenants that are known by now.
    pub(crate) fn tenants(&self) -> Vec<Arc<Tenant>> {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Arc<Tenant>> = tenants.values().cloned().collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Counts the models in memory.
    pub(crate) fn n_models(&self) -> usize {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.values().filter(|tenant| tenant.slot.now().is_some()).count()
    }

    /// Opens a model.
    pub(crate) async fn read_model(&self, dir: &Path) -> Result<Arc<Loaded>, Error> {
        let (dir, places) = (dir.to_owned(), self.places.clone());
        let loaded = tokio::task::spawn_blocking(move || Loaded::open(&dir, &places)).await;
        Ok(Arc::new(loaded.map_err(|error| {
            tracing::error!("opening a model failed: {error}");
            Error::Failed
        })??))
    }

    /// Hands all items of the store to the model, which may not know some.
    pub(crate) async fn introduce(self: &Arc<Self>, tenant: &Arc<Tenant>) -> Result<(), Error> {
        let mut cursor = String::new();
        loop {
            let page = self.store.items(&tenant.name, &cursor, ROWS).await?;
            tenant.receive(self, page.rows);
            cursor = page.cursor;
            if cursor.is_empty() {
                break;
            }
        }
        tenant.fold_in_all(self).await
    }

    /// Does the same once another model answers. That it cannot be done now does not take the model back.
    pub(crate) async fn introduce_later(self: &Arc<Self>, tenant: &Arc<Tenant>) {
        if let Err(error) = self.introduce(tenant).await {
            tracing::warn!("new items of {} wait for the next model: {error}", tenant.name);
            let warning = format!("new items wait for the next model: {error}");
            tenant.failures.warn(self.clock.unix_ms(), warning);
        }
    }

    /// Opens a model of a tenant by its name, lets it answer, now and after a restart, and has other servers do the same. One that cannot
    /// be opened leaves everything as it is; opening goes on when nobody waits for it any more.
    pub(crate) async fn promote(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        name: &str,
    ) -> Result<Arc<Loaded>, Error> {
        let (app, to, name) = (self.clone(), tenant.clone(), name.to_owned());
        let promoting = async move {
            // Others are told in the order in which models came to answer here.
            let _turn = to.promoting.lock().await;
            let loaded = app.answer_with(&to, &name).await?;
            app.announce(&to, &name).await;
            Ok(loaded)
        };
        let done = tokio::spawn(promoting).await;
        done.unwrap_or_else(|error| {
            tracing::error!("promoting a model failed: {error}");
            Err(Error::Failed)
        })
    }

    /// Does so on this server alone.
    pub(super) async fn take_on(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        name: &str,
    ) -> Result<Arc<Loaded>, Error> {
        let _turn = tenant.promoting.lock().await;
        self.answer_with(tenant, name).await
    }

    /// Opens a model and lets it answer; one at a time.
    async fn answer_with(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        name: &str,
    ) -> Result<Arc<Loaded>, Error> {
        let folder = self.settings.folder(&tenant.name)?;
        let names = names(&folder);
        if !names.iter().any(|known| known == name) {
            return Err(Error::NotFound { what: "model", id: name.to_owned() });
        }
        let loaded = self.read_model(&folder.join(name)).await?;
        remember(&folder, name)?;
        tenant.slot.promote(loaded.clone());
        self.introduce_later(tenant).await;
        Ok(loaded)
    }

    /// Goes back to the model before, now and after a restart.
    pub(crate) async fn roll_back(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
    ) -> Result<Arc<Loaded>, Error> {
        let _turn = tenant.promoting.lock().await;
        let loaded = tenant.slot.before().ok_or(Error::NoPrevious)?;
        if !loaded.dir.is_dir() {
            // It would answer until the next restart, and nothing after it.
            return Err(Error::NoPrevious);
        }
        if let Ok(folder) = self.settings.folder(&tenant.name) {
            let is_inside = loaded.dir.parent() == Some(&*folder);
            let name = loaded.dir.file_name().filter(|_| is_inside);
            match name {
                Some(name) => {
                    let name = name.to_string_lossy();
                    remember(&folder, &name)?;
                    self.announce(tenant, &name).await;
                }
                // It was given with --model, which answers where none is active.
                None => {
                    remember(&folder, "")?;
                    self.announce(tenant, "").await;
                }
            }
        }
        let loaded = tenant.slot.roll_back()?;
        self.introduce_later(tenant).await;
        Ok(loaded)
    }

    /// Lists the models a tenant may promote.
    pub(crate) fn models_of(&self, tenant: &str) -> Vec<String> {
        self.settings.folder(tenant).map(|folder| names(&folder)).unwrap_or_default()
    }

    /// Lists the folders of these.
    pub(crate) fn model_dirs(&self, tenant: &str) -> Vec<PathBuf> {
        let Ok(folder) = self.settings.folder(tenant) else { return Vec::new() };
        names(&folder).into_iter().map(|name| folder.join(name)).collect()
    }

    /// Clears away old lists and old records of acts, as long as the server runs.
    pub(crate) async fn clear_old_lists(self: Arc<Self>) {
        for round in 0u64.. {
            self.answers.sweep(self.clock.seconds());
            self.tenants().iter().for_each(|tenant| tenant.talks.sweep(self.clock.seconds()));
            if round.is_multiple_of(CLEARING) {
                self.clear(self.settings.keep_days, |before| Change::ForgetShown { before }).await;
                self.clear(self.settings.audit_days, |before| Change::ForgetActs { before }).await;
            }
            tokio::time::sleep(SWEEPING).await;
        }
    }

    async fn clear(&self, days: u32, change: fn(i64) -> Change) {
        let before = self.clock.unix_ms() - i64::from(days) * DAY_MS;
        if days > 0
            && let Err(error) = self.store.change(change(before)).await
        {
            tracing::warn!("what is old was not cleared away: {error}");
        }
    }
}

impl Settings {
    /// Returns the folder with the models of a tenant.
    pub(crate) fn folder(&self, tenant: &str) -> Result<PathBuf, Error> {
        let root = self.models.as_ref().ok_or(Error::NoModels)?;
        // The name of a tenant has no characters that mean something in a path.
        Some(root.join(tenant)).filter(|_| is_tenant(tenant)).ok_or(Error::NoModels)
    }

    /// Lists the tenants that have a folder.
    fn folders(&self) -> impl Iterator<Item = (String, PathBuf)> {
        let names = self.models.iter().flat_map(|root| folders(root));
        names.filter_map(|name| self.folder(&name).ok().map(|folder| (name, folder)))
    }

    /// Lists which model each tenant starts with: the one that was promoted last, by other servers or by this one.
    fn first_models(&self, promoted: &HashMap<String, Promotion>) -> Vec<(String, PathBuf)> {
        let mut first: Vec<(String, PathBuf)> = Vec::new();
        for tenant in
            self.models.iter().flat_map(|root| folders(root)).filter(|name| is_tenant(name))
        {
            let Ok(folder) = self.folder(&tenant) else { continue };
            let names = names(&folder);
            let is_newest =
                |one: &&Promotion| names.contains(&one.model) && one.time >= promoted_at(&folder);
            let by_any = promoted.get(&tenant).filter(is_newest).map(|one| one.model.clone());
            let own = || std::fs::read_to_string(folder.join(ACTIVE)).unwrap_or_default();
            let active = by_any.unwrap_or_else(own);
            if names.iter().any(|name| *name == active.trim()) {
                first.push((tenant, folder.join(active.trim())));
            } else if !active.trim().is_empty() {
                tracing::error!(
                    "the model `{}` that answered for {tenant} is not there any more: promote another one",
                    active.trim()
                );
            }
        }
        if let Some(model) = &self.model
            && first.iter().all(|(tenant, _)| tenant != DEFAULT_TENANT)
        {
            first.push((DEFAULT_TENANT.to_owned(), model.clone()));
        }
        first
    }
}

/// Returns when a model of this folder was promoted on this server, in unix milliseconds; 0 when none was.
fn promoted_at(folder: &Path) -> i64 {
    let changed = std::fs::metadata(folder.join(ACTIVE)).and_then(|about| about.modified());
    let age = changed.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    age.map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

fn folders(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// Lists the folders that say they are models.
fn names(folder: &Path) -> Vec<String> {
    let mut names = folders(folder);
    names.retain(|name| folder.join(name).join("manifest.json").is_file());
    names
}

fn remember(folder: &Path, name: &str) -> Result<(), Error> {
    let path = folder.join(ACTIVE);
    let failed = |source| Error::Write { path: path.display().to_string(), source };
    let fresh = folder.join(".active.new");
    std::fs::write(&fresh, name).map_err(failed)?;
    std::fs::rename(&fresh, &path).map_err(failed)
}
