//! Models: which answers, which came before, which may be promoted. The list also is what `OpenAI` clients expect.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::openai;
use crate::Error;
use crate::call::{Answer, Call};
use crate::live::Loaded;

/// A model that answers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ModelOut {
    id: String,
    /// Always `model`.
    object: &'static str,
    /// Unix seconds when it was made.
    created: i64,
    /// The tenant.
    owned_by: String,
    /// `serving`, `previous`, or `encoder` for what reads texts.
    role: &'static str,
    /// Items it took in since it was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    newcomers: Option<usize>,
    /// Parts, settings, seed, and the checksum of every file.
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<Value>,
}

/// All models.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ModelsAnswer {
    /// Always `list`.
    object: &'static str,
    data: Vec<ModelOut>,
    /// Names that can be promoted.
    available: Vec<String>,
}

/// Which model is wanted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromoteRequest {
    /// The name of its folder, in the tenant's folder of `--models`.
    name: String,
}

fn out(model: &Loaded, role: &'static str, tenant: &str) -> ModelOut {
    ModelOut {
        id: model.id.clone(),
        object: "model",
        created: model.created,
        owned_by: tenant.to_owned(),
        role,
        newcomers: Some(model.newcomers),
        about: Some(model.about.clone()),
    }
}

/// `GET /v1/models`.
pub(crate) async fn list(call: Call) -> Result<Answer, Error> {
    let tenant = &call.tenant;
    let (now, before) = (tenant.slot.now(), tenant.slot.before());
    let models = [(&now, "serving"), (&before, "previous")].into_iter();
    let models = models.filter_map(|(model, role)| Some(out(model.as_ref()?, role, &tenant.name)));
    let encoder =
        now.as_ref().and_then(|model| Some((openai::encoder_name(model)?, model.created)));
    let encoder = encoder.map(|(id, created)| ModelOut {
        id,
        object: "model",
        created,
        owned_by: tenant.name.clone(),
        role: "encoder",
        newcomers: None,
        about: None,
    });
    let data = models.chain(encoder).collect();
    Answer::json(&ModelsAnswer {
        object: "list",
        data,
        available: call.app.models_of(&tenant.name),
    })
}

/// `POST /v1/models/promote`.
pub(crate) async fn promote(call: Call) -> Result<Answer, Error> {
    let PromoteRequest { name } = call.json()?;
    call.subject.name(&name);
    let loaded = call.app.promote(&call.tenant, &name).await?;
    tracing::info!("key {:?} promoted {} for {}", call.who.key, loaded.id, call.tenant.name);
    Answer::json(&out(&loaded, "serving", &call.tenant.name))
}

/// `POST /v1/models/rollback`.
pub(crate) async fn roll_back(call: Call) -> Result<Answer, Error> {
    if let Some(before) = call.tenant.slot.before() {
        call.subject.name(&before.id);
    }
    let loaded = call.app.roll_back(&call.tenant).await?;
    call.subject.name(&loaded.id);
    tracing::info!("key {:?} went back to {} for {}", call.who.key, loaded.id, call.tenant.name);
    Answer::json(&out(&loaded, "serving", &call.tenant.name))
}

/// `GET /v1/stats`.
pub(crate) async fn stats(call: Call) -> Result<Answer, Error> {
    let [users, items, events, lists] = call.app.store.counts(&call.tenant.name).await?;
    let model = call.tenant.slot.now().map(|model| {
        json!({
            "id": model.id,
            "users": model.engine.data().n_users(),
            "items": model.engine.data().n_items(),
            "newcomers": model.newcomers,
        })
    });
    Answer::json(&json!({
        "tenant": call.tenant.name,
        "scope": call.who.scope.to_string(),
        "needs_key": !call.who.key.is_empty(),
        "store": { "users": users, "items": items, "events": events, "recommendations": lists },
        "model": model,
    }))
}
