//! Documents ordered by how much they are like a question, as clients of Cohere and Jina ask for it: cosines of the model's encoder.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::openai::{MAX_TEXTS, encode, encoder_name, reading};
use crate::Error;
use crate::call::{Answer, Call};

/// A document.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Document {
    /// As a text.
    Text(String),
    /// As an object.
    Object {
        /// The text.
        text: String,
    },
}

/// Documents to be ordered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct RerankRequest {
    /// The encoder, as `GET /v1/models` names it; the only one where it is left out.
    model: Option<String>,
    /// The question.
    query: String,
    /// The documents.
    documents: Vec<Document>,
    /// How many come back; all where it is left out.
    top_n: Option<usize>,
    /// Sends the documents back too.
    #[serde(default)]
    return_documents: bool,
}

/// Documents, the best first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RerankAnswer {
    model: String,
    results: Vec<Ranked>,
}

/// A document at its place.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Ranked {
    /// Its place in the request, from 0.
    index: usize,
    /// The cosine.
    relevance_score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Document>,
}

/// `POST /v1/rerank`.
pub(crate) async fn answer(call: Call) -> Result<Answer, Error> {
    let request: RerankRequest = call.json()?;
    let loaded = reading(&call.tenant)?;
    let name = encoder_name(&loaded).unwrap_or_default();
    if let Some(other) = request.model.filter(|model| *model != name && *model != loaded.id) {
        return Err(Error::NotFound { what: "encoder", id: other });
    }
    if request.documents.is_empty() || request.documents.len() > MAX_TEXTS {
        return Err(Error::Body {
            why: format!("`documents` must hold 1 to {MAX_TEXTS} documents"),
        });
    }
    let text = |document: &Document| match document {
        Document::Text(text) | Document::Object { text } => text.clone(),
    };
    let mut texts: Vec<String> = request.documents.iter().map(text).collect();
    texts.push(request.query);
    let vectors = call.app.workers.run(move || encode(&loaded, &texts)).await?;
    let question = vectors.row(vectors.rows() - 1);
    let mut results: Vec<Ranked> = (0..vectors.rows() - 1)
        .map(|index| Ranked {
            index,
            relevance_score: vectors.row(index).iter().zip(question).map(|(x, y)| x * y).sum(),
            document: request.return_documents.then(|| request.documents[index].clone()),
        })
        .collect();
    results.sort_by(|a, b| {
        b.relevance_score.total_cmp(&a.relevance_score).then(a.index.cmp(&b.index))
    });
    results.truncate(request.top_n.unwrap_or(usize::MAX));
    Answer::json(&RerankAnswer { model: name, results })
}
