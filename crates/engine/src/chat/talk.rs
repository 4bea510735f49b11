//! A reply, and what it took.

use serde::Serialize;
use tastemaker_core::Clock;
use tastemaker_text::{ChatModel, ChatRequest, Reply};

use crate::{Error, memory};

/// A reply with its times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Talked {
    /// What was said.
    #[serde(flatten)]
    pub reply: Reply,
    /// Seconds until the first piece came.
    pub read_seconds: f64,
    /// Seconds from there to the end.
    pub write_seconds: f64,
    /// Tokens of the prompt that were read in a second, those that had been read before left out; `None` without any.
    pub read_per_second: Option<f64>,
    /// Tokens after the first that were written in a second; `None` without any.
    pub written_per_second: Option<f64>,
    /// Memory of the process.
    pub memory_bytes: u64,
}

/// Asks a model and measures.
pub fn talk(
    model: &dyn ChatModel,
    request: &ChatRequest,
    clock: &dyn Clock,
    listen: &mut dyn FnMut(&str) -> bool,
) -> Result<Talked, Error> {
    let start = clock.seconds();
    let mut first = None;
    let mut heard = |piece: &str| {
        if !piece.is_empty() && first.is_none() {
            first = Some(clock.seconds());
        }
        listen(piece)
    };
    let reply = model.reply(request, &mut heard)?;
    let end = clock.seconds();
    let (read_seconds, write_seconds) = (first.unwrap_or(end) - start, end - first.unwrap_or(end));
    let rate = |tokens: usize, seconds: f64| {
        (tokens > 0 && seconds > 0.0).then(|| tokens as f64 / seconds)
    };
    Ok(Talked {
        read_per_second: rate(reply.prompt_tokens - reply.cached_tokens, read_seconds),
        written_per_second: rate(reply.reply_tokens.saturating_sub(1), write_seconds),
        reply,
        read_seconds,
        write_seconds,
        memory_bytes: memory::resident_bytes(),
    })
}
