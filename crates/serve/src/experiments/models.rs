//! The models that arms answer with, beside the one that serves: in memory as long as an experiment runs.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::Error;
use crate::live::{App, Loaded, Tenant};

/// Milliseconds between two attempts to read models that are missing.
const PATIENCE_MS: i64 = 10_000;

/// Models by the names of their folders.
#[derive(Default)]
pub(crate) struct ArmModels {
    models: RwLock<HashMap<String, Arc<Loaded>>>,
    /// When somebody missed one last.
    missed: AtomicI64,
}

impl ArmModels {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Loaded>> {
        self.models.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.models.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Loaded>> {
        self.models.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn put(&self, name: &str, model: Arc<Loaded>) {
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        models.insert(name.to_owned(), model);
    }

    /// Forgets all others.
    pub(super) fn keep(&self, names: &HashSet<&str>) {
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        models.retain(|name, _| names.contains(name.as_str()));
    }

    /// Lets the same model with more items answer; returns whether it does.
    pub(crate) fn refresh(&self, name: &str, old: &Arc<Loaded>, model: Arc<Loaded>) -> bool {
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        let now = models.get_mut(name).filter(|now| Arc::ptr_eq(now, old));
        now.map(|now| *now = model).is_some()
    }
}

impl App {
    /// Returns the model of a folder, if it is in memory and up to date.
    pub(super) fn named_model(&self, tenant: &Tenant, name: &str) -> Option<Arc<Loaded>> {
        let dir = self.settings.folder(&tenant.name).ok()?.join(name);
        let serving = tenant.slot.now().filter(|model| model.dir == dir);
        serving.or_else(|| tenant.experiments.models.get(name))
    }

    /// Returns the folder of a model that is there.
    pub(super) fn model_folder(&self, tenant: &Tenant, name: &str) -> Result<PathBuf, Error> {
        if !self.models_of(&tenant.name).iter().any(|known| known == name) {
            return Err(Error::NotFound { what: "model", id: name.to_owned() });
        }
        Ok(self.settings.folder(&tenant.name)?.join(name))
    }

    /// Brings models into memory that are not there yet, with all items of the store.
    pub(super) async fn read_models(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        names: &[&str],
    ) -> Result<(), Error> {
        let _turn = tenant.promoting.lock().await;
        let mut any = false;
        for name in names {
            if self.named_model(tenant, name).is_some() {
                continue;
            }
            let dir = self.model_folder(tenant, name)?;
            let before = tenant.slot.before().filter(|model| model.dir == dir);
            let model = match before {
                Some(model) => model,
                None => self.read_model(&dir).await?,
            };
            tenant.experiments.models.put(name, model);
            any = true;
        }
        if any {
            self.introduce_later(tenant).await;
        }
        Ok(())
    }

    /// Has missing models read in the background; not at every request that misses them.
    pub(super) fn read_models_soon(self: &Arc<Self>, tenant: &Arc<Tenant>, names: Vec<String>) {
        let (now, missed) = (self.clock.unix_ms(), &tenant.experiments.models.missed);
        let last = missed.load(Ordering::Relaxed);
        let is_soon = last != 0 && (0..PATIENCE_MS).contains(&(now - last));
        if is_soon
            || missed.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let (app, tenant) = (self.clone(), tenant.clone());
        tokio::spawn(async move {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            if let Err(error) = app.read_models(&tenant, &names).await {
                let warning = format!("a model of the experiment is missing: {error}");
                tracing::warn!("{}: {warning}", tenant.name);
                tenant.failures.warn(app.clock.unix_ms(), warning);
            }
        });
    }
}
