//! Texts to vectors, as clients of `OpenAI` ask for it; the encoder is the one that the model reads its catalogue with.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tastemaker_core::{Silent, Vectors};

use crate::Error;
use crate::call::{Answer, Call};
use crate::live::{Loaded, Tenant};

/// Most texts at once.
pub(crate) const MAX_TEXTS: usize = 2048;

/// One text or many.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Input {
    /// One.
    One(String),
    /// Many.
    Many(Vec<String>),
}

/// Texts that are wanted as vectors.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct EmbeddingsRequest {
    /// The encoder, as `GET /v1/models` names it.
    model: String,
    /// The texts.
    input: Input,
    /// Numbers of a vector that are kept; all where it is left out.
    dimensions: Option<usize>,
    /// `float` or `base64`.
    encoding_format: Option<String>,
}

/// Vectors.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct EmbeddingsAnswer {
    object: &'static str,
    model: String,
    data: Vec<Embedding>,
    /// Words of the input, counted as they are separated by spaces; encoders count their tokens otherwise.
    usage: Value,
}

/// A vector.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Embedding {
    object: &'static str,
    index: usize,
    /// Numbers, or those of 32 bits in base64.
    embedding: Value,
}

/// Returns the name of what reads texts, where there is one.
pub(crate) fn encoder_name(model: &Loaded) -> Option<String> {
    model.engine.reader().map(|reader| reader.choice.name())
}

/// Returns the model, when it can read texts.
pub(crate) fn reading(tenant: &Tenant) -> Result<Arc<Loaded>, Error> {
    let loaded = tenant.slot.now().ok_or(Error::NoModel)?;
    match loaded.engine.reader() {
        Some(_) => Ok(loaded),
        None => Err(Error::NotFound { what: "encoder in the model", id: loaded.id.clone() }),
    }
}

/// Encodes texts on the calling thread.
pub(crate) fn encode(loaded: &Loaded, texts: &[String]) -> Result<Vectors, Error> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let Some(reader) = loaded.engine.reader() else { return Err(Error::NoModel) };
    let encoded = reader.encoder.encode(&texts, &Silent).map_err(tastemaker_engine::Error::from)?;
    Ok(encoded.vectors)
}

/// `POST /v1/embeddings`.
pub(crate) async fn embeddings(call: Call) -> Result<Answer, Error> {
    let request: EmbeddingsRequest = call.json()?;
    let wrong = |why: String| Error::Body { why };
    let loaded = reading(&call.tenant)?;
    let name = encoder_name(&loaded).unwrap_or_default();
    if request.model != name && request.model != loaded.id {
        return Err(Error::NotFound { what: "encoder", id: request.model });
    }
    let texts = match request.input {
        Input::One(text) => vec![text],
        Input::Many(texts) => texts,
    };
    if texts.is_empty() || texts.len() > MAX_TEXTS {
        return Err(wrong(format!("`input` must hold 1 to {MAX_TEXTS} texts")));
    }
    let words: usize = texts.iter().map(|text| text.split_whitespace().count()).sum();
    let is_base64 = match request.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            return Err(wrong(format!("`encoding_format` must be float or base64, is {other}")));
        }
    };
    let vectors = call.app.workers.run(move || encode(&loaded, &texts)).await?;
    let dim = request.dimensions.unwrap_or(vectors.dim());
    if dim == 0 || dim > vectors.dim() {
        return Err(wrong(format!("`dimensions` must be between 1 and {}", vectors.dim())));
    }
    let data = (0..vectors.rows()).map(|index| {
        let row = cut(vectors.row(index), dim);
        let embedding = if is_base64 {
            let bytes: Vec<u8> = row.iter().flat_map(|number| number.to_le_bytes()).collect();
            Value::String(STANDARD.encode(bytes))
        } else {
            json!(row)
        };
        Embedding { object: "embedding", index, embedding }
    });
    Answer::json(&EmbeddingsAnswer {
        object: "list",
        model: name,
        data: data.collect(),
        usage: json!({ "prompt_tokens": words, "total_tokens": words }),
    })
}

/// Keeps the first numbers of a vector, at length 1 again.
fn cut(row: &[f32], dim: usize) -> Vec<f32> {
    let head = &row[..dim];
    if dim == row.len() {
        return head.to_vec();
    }
    let length = head.iter().map(|x| x * x).sum::<f32>().sqrt();
    head.iter().map(|x| if length > 0.0 { x / length } else { *x }).collect()
}
