//! The contract of everything that writes: turns of a talk in, a reply out, piece by piece.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Who sets the task.
    System,
    /// Who asks.
    User,
    /// Who answers.
    Assistant,
}

/// One turn of a talk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Turn {
    /// Makes a turn.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// What a reply may look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ReplyForm {
    /// Anything.
    #[default]
    Free,
    /// Exactly one of these texts, none of them empty.
    Choice(Vec<String>),
    /// JSON that a schema allows.
    Json(serde_json::Value),
}

/// How a reply is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReplySettings {
    /// Tokens of a reply, at most; 1 to 32768.
    pub max_tokens: usize,
    /// Divides the logits; 0 = always the most likely token. 0 to 2.
    pub temperature: f32,
    /// Draws from the smallest set of tokens that holds this much probability (Holtzman et al. 2020); above 0, up to 1.
    pub top_p: f32,
    /// Seed of what is drawn.
    pub seed: u64,
    /// Texts that end a reply; they do not become part of it. At most 16.
    pub stop: Vec<String>,
}

impl Default for ReplySettings {
    fn default() -> Self {
        Self { max_tokens: 256, temperature: 0.0, top_p: 1.0, seed: 0, stop: Vec::new() }
    }
}

/// What is asked of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// The talk so far.
    pub turns: Vec<Turn>,
    /// What the reply may look like.
    pub form: ReplyForm,
    /// How it is drawn.
    pub settings: ReplySettings,
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// It was said to the end.
    Stop,
    /// It had as many tokens as were allowed.
    Length,
    /// Who listened wanted no more.
    Interrupted,
}

/// What a model said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reply {
    /// The whole text.
    pub text: String,
    /// Why it ended.
    pub ended: Ended,
    /// Tokens of what was asked.
    pub prompt_tokens: usize,
    /// Those of them that were not read again, because the last talk began with the same.
    pub cached_tokens: usize,
    /// Tokens of the reply.
    pub reply_tokens: usize,
}

/// The probability of a text, given what was said before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LogProb {
    /// Natural logarithm of the probability of all its tokens in a row.
    pub sum: f64,
    /// How many tokens it has.
    pub tokens: usize,
}

/// Answers turns of a talk.
pub trait ChatModel: Send + Sync {
    /// Names the model with everything its replies depend on.
    fn id(&self) -> String;

    /// Answers; each piece of text is handed to `listen` as soon as it is certain, which returns whether to go on.
    fn reply(
        &self,
        request: &ChatRequest,
        listen: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Reply, Error>;
}

/// Kept by models that tell how likely a text is.
pub trait Likelihood: Send + Sync {
    /// Returns how likely the assistant is to begin its next turn with each of `continuations`.
    fn log_probs(&self, turns: &[Turn], continuations: &[&str]) -> Result<Vec<LogProb>, Error>;

    /// Does the same as long as `go_on` says so; `None` where it said no.
    fn log_probs_while(
        &self,
        turns: &[Turn],
        continuations: &[&str],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Vec<LogProb>>, Error> {
        if go_on() { self.log_probs(turns, continuations).map(Some) } else { Ok(None) }
    }
}
