//! A folder with a trained model and a store, and a server over them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response};
use serde_json::{Value, json};
use tastemaker_engine::config::{Sources, load};
use tastemaker_engine::core::{Clock, Silent, SystemClock};
use tastemaker_engine::data::{Dataset, ImportOptions, WorldSettings, generate, import};
use tastemaker_engine::{Places, artifact, fetch, train};
use tastemaker_serve::store::{Change, NewKey, Scope, Store, new_id};
use tastemaker_serve::{App, Settings, router};
use tower::ServiceExt as _;

/// A folder, a store and a server.
pub(crate) struct Home {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) address: String,
    pub(crate) router: Router,
}

/// An answer: status, body, and all that came with it.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) response: Response<()>,
}

pub(crate) fn places(dir: &std::path::Path) -> Places {
    let fetch = fetch::Places::new(dir.join("cache"));
    Places::new(fetch::Places { offline: true, ..fetch })
}

/// Returns where a store is made: in a folder, or in a schema of its own of the Postgres that `live_postgres` is given.
#[expect(clippy::disallowed_methods, reason = "the address of a database under test is no setting")]
pub(crate) fn address(dir: &std::path::Path) -> String {
    if !module_path!().contains("live_postgres") {
        return dir.join("store.db").to_str().unwrap().to_owned();
    }
    let url = std::env::var("TASTEMAKER_TEST_POSTGRES")
        .expect("TASTEMAKER_TEST_POSTGRES holds the URL of a database");
    let schema = new_id(1).replace('-', "");
    let sql = format!("CREATE SCHEMA s{schema}");
    let made = std::process::Command::new("psql").args(["-q", "-c", &sql, &url]).status();
    assert!(made.unwrap().success(), "psql makes a schema");
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}options[search_path]=s{schema}")
}

/// Trains `model` on a world of `seed` in `dir/name`.
pub(crate) fn trained(dir: &std::path::Path, name: &str, (model, seed): (&str, u64)) -> PathBuf {
    let world = WorldSettings { n_users: 60, n_items: 40, n_topics: 4, events_per_user: 10, seed };
    let raw = dir.join(format!("raw-{seed}"));
    std::fs::create_dir_all(&raw).unwrap();
    let files = generate(&world, &raw).unwrap();
    let data = dir.join(format!("data-{seed}"));
    if !data.exists() {
        import(&files, &ImportOptions::default(), &data, &Silent).unwrap();
    }
    let flags =
        ["text.encoder=tfidf", "search.enabled=false", r#"fusion.parts=["item-knn","text-knn"]"#];
    let settings =
        load(&Sources { flags: flags.map(str::to_owned).into(), ..Sources::default() }).unwrap();
    let trained =
        train(Dataset::open(&data).unwrap(), &settings, model, &places(dir), &Silent).unwrap();
    let out = dir.join(name);
    artifact::save(&trained, &data, &out, i64::try_from(seed).unwrap()).unwrap();
    out
}

impl Home {
    /// Serves a fused model to everybody.
    pub(crate) async fn new() -> Self {
        Self::with(|dir| Settings {
            model: Some(trained(dir, "model", ("fused", 7))),
            open: true,
            ..Settings::default()
        })
        .await
    }

    /// Serves without a model.
    pub(crate) async fn empty() -> Self {
        Self::with(|_| Settings { open: true, ..Settings::default() }).await
    }

    pub(crate) async fn with(settings: impl FnOnce(&std::path::Path) -> Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { popular: Duration::ZERO, ..settings(dir.path()) };
        let address = address(dir.path());
        let store = Store::open(&address).await.unwrap();
        let app: Arc<App> = App::open(store.clone(), settings, places(dir.path())).await.unwrap();
        Self { router: router(app), dir, store, address }
    }

    pub(crate) async fn key(&self, tenant: &str, scope: Scope) -> NewKey {
        let key = NewKey::new(tenant, "test", scope, 1).unwrap();
        self.store.change(Change::Key(key.record.clone())).await.unwrap();
        key
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Got {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = to_bytes(body, 1 << 30).await.unwrap();
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
        Got { status: parts.status.as_u16(), body, response: Response::from_parts(parts, ()) }
    }

    pub(crate) async fn ask(
        &self,
        (method, path): (&str, &str),
        body: Option<Value>,
        key: &str,
    ) -> Got {
        let mut request = Request::builder().method(method.parse::<Method>().unwrap()).uri(path);
        if !key.is_empty() {
            request = request.header("x-api-key", key);
        }
        let request = match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.ask(("GET", path), None, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Got {
        self.ask(("POST", path), Some(body), "").await
    }

    /// Takes an event of `user` with `item`.
    pub(crate) async fn event(&self, user: &str, item: &str) -> Got {
        self.post("/v1/events", json!({ "user_id": user, "item_id": item })).await
    }

    /// Lists for `user`.
    pub(crate) async fn list(&self, user: &str, n: usize) -> Vec<String> {
        let got = self.get(&format!("/v1/recommend?user_id={user}&n={n}")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        ids(&got.body["items"])
    }
}

/// Returns the ids of a list.
pub(crate) fn ids(items: &Value) -> Vec<String> {
    let items = items.as_array().unwrap().iter();
    items.map(|item| item["item_id"].as_str().unwrap().to_owned()).collect()
}

/// A clock that is set by hand; what measures spans goes on.
pub(crate) struct Set(pub(crate) SystemClock, pub(crate) AtomicI64);

impl Clock for Set {
    fn seconds(&self) -> f64 {
        self.0.seconds()
    }

    fn unix_seconds(&self) -> i64 {
        self.1.load(Ordering::SeqCst)
    }
}
