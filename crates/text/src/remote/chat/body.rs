//! What is sent to a model that writes.

use serde_json::{Value, json};

use crate::{ChatRequest, ReplyForm, ReplySettings, Role, Turn};

/// Stop texts a service takes, at most; the rest is watched for here.
const STOPS: usize = 4;

/// What a service understands; learnt from its refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// `max_completion_tokens` in place of `max_tokens`.
    pub(super) completion_tokens: bool,
    /// `stream_options`.
    pub(super) stream_options: bool,
    /// `response_format` with a schema.
    pub(super) schema: bool,
}

impl Dialect {
    pub(super) const fn new() -> Self {
        Self { completion_tokens: false, stream_options: true, schema: true }
    }

    /// Returns how to ask after a refusal in these words; `None` when that is not what was refused.
    pub(super) fn after(self, said: &str, has_schema: bool) -> Option<Self> {
        if !self.completion_tokens && said.contains("max_completion_tokens") {
            Some(Self { completion_tokens: true, ..self })
        } else if self.stream_options && said.contains("stream_options") {
            Some(Self { stream_options: false, ..self })
        } else if has_schema && self.schema {
            Some(Self { schema: false, ..self })
        } else {
            None
        }
    }
}

/// Writes a request.
pub(super) fn body(
    model: &str,
    turns: &[Turn],
    request: &ChatRequest,
    dialect: Dialect,
    stream: bool,
) -> Value {
    let ReplySettings { max_tokens, temperature, top_p, seed, stop } = &request.settings;
    let limit = if dialect.completion_tokens { "max_completion_tokens" } else { "max_tokens" };
    let mut body = json!({
        "model": model,
        "messages": turns,
        limit: max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        // Some services read it as a signed number.
        "seed": seed & i64::MAX as u64,
        "stream": stream,
    });
    let stops: Vec<&String> = stop.iter().filter(|stop| !stop.is_empty()).take(STOPS).collect();
    if !stops.is_empty() {
        body["stop"] = json!(stops);
    }
    if stream && dialect.stream_options {
        body["stream_options"] = json!({ "include_usage": true });
    }
    if let (ReplyForm::Json(schema), true) = (&request.form, dialect.schema) {
        let schema = json!({ "name": "reply", "schema": schema, "strict": true });
        body["response_format"] = json!({ "type": "json_schema", "json_schema": schema });
    }
    body
}

/// Adds to the turns what the reply must look like.
pub(super) fn instructed(turns: &[Turn], form: &ReplyForm, dialect: Dialect) -> Vec<Turn> {
    let words = match form {
        ReplyForm::Choice(choices) => {
            let list: Vec<String> = choices.iter().map(|choice| format!("\n{choice}")).collect();
            let list = list.concat();
            format!(
                "Answer with exactly one of the following lines, to the letter, and nothing else:{list}"
            )
        }
        ReplyForm::Json(schema) if !dialect.schema => {
            format!(
                "Answer with JSON alone, without words around it, that this JSON Schema allows: {schema}"
            )
        }
        ReplyForm::Free | ReplyForm::Json(_) => return turns.to_vec(),
    };
    let mut turns = turns.to_vec();
    match turns.first_mut() {
        Some(first) if first.role == Role::System => {
            first.content = format!("{}\n\n{words}", first.content);
        }
        _ => turns.insert(0, Turn::new(Role::System, words)),
    }
    turns
}

/// Returns the words that ask again after a reply that was not of the form.
pub(super) fn again(form: &ReplyForm) -> &'static str {
    match form {
        ReplyForm::Choice(_) => {
            "This is not one of the lines. Answer with exactly one of them, to the letter, and nothing else."
        }
        ReplyForm::Json(_) | ReplyForm::Free => {
            "This is not JSON that the schema allows. Answer with such JSON alone, and nothing else."
        }
    }
}
