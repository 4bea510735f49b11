//! The settings in force, to look at: those of the server, and those the model was made with, each with what it is for. No secrets: the
//! store's address holds a password and is not told.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use tastemaker_engine::artifact::{self, Manifest};
use tastemaker_engine::config;

use crate::call::{Answer, Call};
use crate::{DEFAULT_TENANT, Error, Settings};

/// All settings.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SettingsAnswer {
    version: &'static str,
    /// Those of the server.
    server: Vec<Setting>,
    /// The model that answers; empty where there is none.
    model: String,
    /// Those it was made with, by section of the settings' file.
    sections: Vec<Section>,
}

/// A section of the settings' file.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Section {
    name: String,
    about: String,
    settings: Vec<Setting>,
}

/// One setting.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Setting {
    name: String,
    value: Value,
    /// What it is for.
    about: String,
}

/// `GET /v1/settings`.
pub(super) async fn show(call: Call) -> Result<Answer, Error> {
    let store = if call.app.store.is_shared() { "postgres" } else { "sqlite" };
    let mut server = of_server(&call.app.settings, store);
    if call.tenant.name != DEFAULT_TENANT {
        // Where things lie on this machine is for who runs it.
        server.retain(|row| !["model", "models"].contains(&row.name.as_str()));
    }
    let loaded = call.tenant.slot.now();
    let model = loaded.as_ref().map(|model| model.id.clone()).unwrap_or_default();
    let sections = match loaded {
        Some(loaded) => {
            call.app.workers.run(move || Ok(of_model(&artifact::manifest(&loaded.dir)?))).await?
        }
        None => Vec::new(),
    };
    Answer::json(&SettingsAnswer { version: env!("CARGO_PKG_VERSION"), server, model, sections })
}

fn of_server(settings: &Settings, store: &str) -> Vec<Setting> {
    let path = |path: &Option<std::path::PathBuf>| match path {
        Some(path) => Value::from(path.display().to_string()),
        None => Value::Null,
    };
    let rows = [
        ("store", json!(store), "Where events, items and lists are kept (--store)"),
        (
            "model",
            path(&settings.model),
            "The model of the tenant `default`, where none of `models` is active (--model)",
        ),
        (
            "models",
            path(&settings.models),
            "A folder with a folder for each tenant, in which its models lie (--models)",
        ),
        (
            "open",
            json!(settings.open),
            "Lets everybody in who has no key, as long as there are no keys (--open)",
        ),
        (
            "local",
            json!(settings.local),
            "Who has no key must call the server by a name of this machine",
        ),
        (
            "traces",
            json!(settings.traces.is_some()),
            "A collector of OpenTelemetry is told how requests went (--otlp)",
        ),
        ("tls", json!(settings.tls.is_some()), "Connections are secret (--tls-cert, --tls-key)"),
    ];
    let row = |(name, value, about): Row| Setting { name: name.into(), value, about: about.into() };
    rows.into_iter().chain(bounds(settings)).map(row).collect()
}

type Row = (&'static str, Value, &'static str);

/// Lists how much there may be of everything, and for how long.
fn bounds(settings: &Settings) -> Vec<Row> {
    vec![
        (
            "workers",
            json!(settings.workers),
            "Answers that are computed at the same time (--workers)",
        ),
        (
            "queue",
            json!(settings.queue),
            "Answers that wait for their turn; more are turned away with 503 (--queue)",
        ),
        (
            "rate",
            json!(settings.rate),
            "Requests of a key within a second; 0 = any number (--rate)",
        ),
        ("body_bytes", json!(settings.body), "Longest body (--body-mb)"),
        ("head_s", json!(settings.head.as_secs_f64()), "Longest time for the head of a request"),
        (
            "timeout_s",
            json!(settings.timeout.as_secs_f64()),
            "Longest time for a request (--timeout-s)",
        ),
        ("connections", json!(settings.connections), "Connections that may be open"),
        (
            "histories_bytes",
            json!(settings.histories),
            "Memory for what the users of a tenant did (--histories-mb)",
        ),
        (
            "cache_bytes",
            json!(settings.cache),
            "Memory for lists that need not be made again (--cache-mb)",
        ),
        (
            "cache_s",
            json!(settings.cached_for.as_secs_f64()),
            "Longest time for which such a list is good (--cache-s)",
        ),
        (
            "keep_days",
            json!(settings.keep_days),
            "Days for which lists can be explained; 0 = for ever (--keep-days)",
        ),
        (
            "audit_days",
            json!(settings.audit_days),
            "Days for which it is known who changed what; 0 = for ever (--audit-days)",
        ),
        (
            "popular_s",
            json!(settings.popular.as_secs_f64()),
            "Time for which it is known what is popular",
        ),
        (
            "retrain_events",
            json!(settings.retrain_events),
            "New events after which a model is trained anew by itself; 0 = never (--retrain-events)",
        ),
        (
            "retrain_hours",
            json!(settings.retrain_hours),
            "Hours after which it is, if there was an event; 0 = never (--retrain-hours)",
        ),
        (
            "sample_s",
            json!(settings.sample.as_secs_f64()),
            "Time between two looks at what the server did, 720 of which are kept",
        ),
    ]
}

fn of_model(manifest: &Manifest) -> Vec<Section> {
    let mut sections = Vec::new();
    for part in &manifest.parts {
        sections.push(section(&["models", &part.name], &part.settings));
    }
    if let Some(fusion) = &manifest.fusion {
        sections.push(section(&["fusion"], &plain(fusion)));
    }
    sections.push(section(&["rerank"], &plain(&manifest.rerank)));
    sections.push(section(&["pipeline"], &plain(&manifest.pipeline)));
    let text = json!({ "template": manifest.template, "encoder": manifest.encoder.as_ref().map(|encoder| encoder.name()) });
    sections.push(section(&["text"], &text));
    sections.push(section(&["run"], &json!({ "seed": manifest.seed })));
    sections
}

/// Writes and reads: so that single precision stays as people write it, 0.3 and not 0.30000001192092896.
fn plain(settings: &impl Serialize) -> Value {
    serde_json::to_string(settings)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

fn section(path: &[&str], values: &Value) -> Section {
    let (about, mut keys) = config::about(path).unwrap_or_default();
    let settings = values.as_object().into_iter().flatten();
    let setting = |(name, value): (&String, &Value)| Setting {
        name: name.clone(),
        value: value.clone(),
        about: keys.remove(name).unwrap_or_default(),
    };
    Section { name: path.join("."), about, settings: settings.map(setting).collect() }
}
