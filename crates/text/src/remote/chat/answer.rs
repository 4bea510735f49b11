//! Answers of a model that writes: whole, or as a stream of pieces.

use serde::Deserialize;

use crate::Ended;
use crate::remote::RemoteFault;
use crate::remote::fault::short;

/// What one answer, or one event of a stream, says.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    choices: Vec<Choice>,
    pub(super) usage: Option<Usage>,
    error: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    /// Of a whole answer.
    message: Option<Said>,
    /// Of a stream.
    delta: Option<Said>,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Said {
    content: Option<String>,
}

/// Tokens as the service counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    prompt_tokens_details: Option<Details>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
}

impl Usage {
    /// Takes tokens that were not counted but guessed.
    pub(super) fn guessed(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self { prompt_tokens, completion_tokens, prompt_tokens_details: None }
    }

    pub(super) fn cached_tokens(self) -> u64 {
        self.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0)
    }
}

impl Answer {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, RemoteFault> {
        serde_json::from_slice(bytes)
            .map_err(|e| RemoteFault::NotUnderstood { why: short(&e.to_string()) })
    }

    /// Returns the text of a whole answer or a piece; empty where none is said.
    pub(super) fn take_text(&mut self) -> String {
        let choice = self.choices.first_mut();
        let said = choice.and_then(|choice| choice.message.take().or(choice.delta.take()));
        said.and_then(|said| said.content).unwrap_or_default()
    }

    /// Tells whether it holds a reply at all.
    pub(super) fn has_choice(&self) -> bool {
        !self.choices.is_empty()
    }

    /// Returns the words of an error that came in place of a reply.
    pub(super) fn error(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        let message = error.get("message").unwrap_or(error);
        Some(message.as_str().map_or_else(|| message.to_string(), str::to_owned))
    }

    /// Tells why the reply ended; `None` as long as it goes on.
    pub(super) fn ended(&self) -> Result<Option<Ended>, RemoteFault> {
        match self.choices.first().and_then(|choice| choice.finish_reason.as_deref()) {
            None | Some("") => Ok(None),
            Some("stop" | "eos" | "eos_token" | "stop_sequence") => Ok(Some(Ended::Stop)),
            Some("length") => Ok(Some(Ended::Length)),
            Some(reason) => Err(RemoteFault::NoReply { reason: short(reason) }),
        }
    }
}
