//! Which model writes, and how it is opened.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::Fault;
use tastemaker_text::{GgufSettings, Precision};

/// A model that writes, for `chat`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChatSettings {
    /// A name of `weights list`, a GGUF file of the Qwen2, Qwen3 or Llama family, or the address of a service, as in
    /// `http://localhost:8080/v1`, which `[remote_chat]` describes.
    pub model: String,
    /// Tokens of a talk with a model of this machine, the reply included, at most; 16 to 1048576. The model's own limit holds too.
    pub context: usize,
    /// What a model of this machine multiplies: `int8`, the smallest; `bf16`; or `f32`, exactly what the file says.
    pub precision: Precision,
}

impl Default for ChatSettings {
    fn default() -> Self {
        let GgufSettings { context, precision } = GgufSettings::default();
        Self { model: "qwen-0.5b".into(), context, precision }
    }
}

impl ChatSettings {
    /// Lists impossible values.
    pub fn faults(&self) -> Vec<Fault> {
        let named =
            Fault::unless(!self.model.is_empty(), "model", || "must name a model".to_owned());
        self.local().faults().into_iter().chain(named).collect()
    }

    /// Returns what concerns a model of this machine.
    pub const fn local(&self) -> GgufSettings {
        GgufSettings { context: self.context, precision: self.precision }
    }
}
