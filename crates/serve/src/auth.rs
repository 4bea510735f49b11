//! Who is asking: keys of the store, read again at least twice a second, so that a revoked one stops.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::{HeaderMap, header};
use tastemaker_core::Clock;
use tastemaker_store::{KeyRecord, Scope, Store};

use crate::{DEFAULT_TENANT, Error};

/// Seconds for which keys are known without asking the store again.
const FRESH: f64 = 0.4;
/// Seconds after which keys that cannot be read again open nothing any more.
const STALE: f64 = 5.0;

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) tenant: String,
    pub(crate) scope: Scope,
    /// The open part of the key; empty for who needs none.
    pub(crate) key: String,
}

#[derive(Default)]
struct Known {
    keys: Arc<HashMap<String, KeyRecord>>,
    read_at: Option<f64>,
}

/// The keys that are known.
#[derive(Default)]
pub(crate) struct Keys {
    known: RwLock<Known>,
    reading: tokio::sync::Mutex<()>,
}

impl Keys {
    /// Finds out who sent a request. `open` lets in whoever has no key, as long as there are no keys.
    pub(crate) async fn identify(
        &self,
        headers: &HeaderMap,
        (store, clock): (&Store, &dyn Clock),
        open: bool,
    ) -> Result<Identity, Error> {
        let mut keys = self.fresh(store, clock).await?;
        let Some(secret) = secret(headers) else {
            let is_open = open && keys.is_empty();
            let anybody = || Identity {
                tenant: DEFAULT_TENANT.into(),
                scope: Scope::Admin,
                key: String::new(),
            };
            return if is_open { Ok(anybody()) } else { Err(Error::Key) };
        };
        // Clients that always send a key, such as those of Gorse, are let in where none is needed.
        if open && keys.is_empty() {
            return Ok(Identity {
                tenant: DEFAULT_TENANT.into(),
                scope: Scope::Admin,
                key: String::new(),
            });
        }
        let id = KeyRecord::id_of(secret).ok_or(Error::Key)?;
        if !keys.contains_key(id) {
            keys = self.again(store, clock, 0.05).await?;
        }
        let key = keys.get(id).filter(|key| key.opens(secret)).ok_or(Error::Key)?;
        Ok(Identity { tenant: key.tenant.clone(), scope: key.scope, key: key.id.clone() })
    }

    fn now_known(&self) -> (Arc<HashMap<String, KeyRecord>>, Option<f64>) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        (known.keys.clone(), known.read_at)
    }

    async fn fresh(
        &self,
        store: &Store,
        clock: &dyn Clock,
    ) -> Result<Arc<HashMap<String, KeyRecord>>, Error> {
        let (keys, read_at) = self.now_known();
        match read_at {
            Some(at) if clock.seconds() - at < FRESH => Ok(keys),
            // One asks the store; the others go on with what is known, while it is not too old.
            Some(at) if clock.seconds() - at < 2.0 * FRESH && self.reading.try_lock().is_err() => {
                Ok(keys)
            }
            _ => self.again(store, clock, FRESH).await,
        }
    }

    async fn again(
        &self,
        store: &Store,
        clock: &dyn Clock,
        fresh: f64,
    ) -> Result<Arc<HashMap<String, KeyRecord>>, Error> {
        let _turn = self.reading.lock().await;
        let (keys, read_at) = self.now_known();
        let now = clock.seconds();
        if read_at.is_some_and(|at| now - at < fresh) {
            return Ok(keys);
        }
        match store.keys().await {
            Ok(all) => {
                let keys: HashMap<_, _> =
                    all.into_iter().map(|key| (key.id.clone(), key)).collect();
                let keys = Arc::new(keys);
                let known = Known { keys: keys.clone(), read_at: Some(now) };
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
                Ok(keys)
            }
            Err(error) if read_at.is_some_and(|at| now - at < STALE) => {
                tracing::warn!("keys cannot be read again: {error}");
                Ok(keys)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn secret(headers: &HeaderMap) -> Option<&str> {
    let own = headers.get("x-api-key").and_then(|value| value.to_str().ok());
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer
        .and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")));
    own.or(bearer).map(str::trim).filter(|secret| !secret.is_empty())
}
