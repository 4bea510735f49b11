//! How a local model is opened, and what may be asked of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::Fault;

use crate::{Error, Precision, ReplySettings};

/// How a model of a GGUF file is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GgufSettings {
    /// Tokens of a talk, the reply included, at most, 16 to 1048576; the model's own limit holds too. Memory grows with the talk.
    pub context: usize,
    /// What the model multiplies: `int8`, the smallest, `bf16` or `f32`, whatever the file holds.
    pub precision: Precision,
}

impl Default for GgufSettings {
    fn default() -> Self {
        Self { context: 4096, precision: Precision::Int8 }
    }
}

impl GgufSettings {
    /// Lists impossible values.
    pub fn faults(&self) -> Vec<Fault> {
        let context = self.context;
        Fault::unless((16..=1 << 20).contains(&context), "context", || {
            format!("must be 16 to 1048576, is {context}")
        })
        .into_iter()
        .collect()
    }
}

/// Refuses settings of a reply that cannot be.
pub(super) fn check(settings: &ReplySettings) -> Result<(), Error> {
    let ReplySettings { max_tokens, temperature, top_p, stop, .. } = settings;
    if !(1..=32_768).contains(max_tokens) {
        return Err(Error::setting("max_tokens", format!("must be 1 to 32768, is {max_tokens}")));
    }
    if !(0.0..=2.0).contains(temperature) {
        return Err(Error::setting("temperature", format!("must be 0 to 2, is {temperature}")));
    }
    if !(*top_p > 0.0 && *top_p <= 1.0) {
        return Err(Error::setting("top_p", format!("must be above 0, up to 1, is {top_p}")));
    }
    if stop.len() > 16 {
        return Err(Error::setting(
            "stop",
            format!("must be at most 16 texts, are {}", stop.len()),
        ));
    }
    Ok(())
}
