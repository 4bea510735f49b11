//! How a service is spoken to: what both encoders and models that write need, and what each needs beside.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::Fault;

/// A secret that no message shows.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes a key, which is printable ASCII.
    pub fn new(key: &str) -> Option<Self> {
        let key = key.trim();
        let is_good = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        is_good.then(|| Self(key.to_owned()))
    }

    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Strikes the key out of what a service said.
    pub(super) fn strike(&self, said: &str) -> String {
        said.replace(&self.0, "***")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

/// How a service is called, and what it may cost. Ceilings hold for one run of the program.
// No `deny_unknown_fields`: serde does not check it in structs that are flattened into others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServiceSettings {
    /// Name of the model at the service.
    pub model: String,
    /// Environment variable that holds the API key, in capitals; empty = none is sent. The key itself is never a setting.
    pub key_env: String,
    /// Strikes e-mail addresses, telephone numbers and long numbers out of every text before it leaves this machine.
    pub redact: bool,
    /// Seconds to find and reach the service; .01 to 600.
    pub connect_s: f64,
    /// Seconds for a whole answer; of one that streams, seconds without a sign of life. .01 to 3600.
    pub timeout_s: f64,
    /// How often a call is tried again after a broken connection or the answers 408, 429 and 5xx; 0 to 100.
    pub retries: usize,
    /// Seconds before the first retry, doubled for each that follows, up to a minute; the service may ask for more, up to two. 0 to 60.
    pub backoff_s: f64,
    /// Calls a minute, at most; further ones wait. 0 = no limit.
    pub requests_per_minute: f64,
    /// Tokens in total, as the service counts them, or else by length. 0 = no limit.
    pub max_tokens_total: u64,
    /// Price of a million tokens that are sent, in your currency.
    pub price_per_million_tokens: f64,
    /// What all calls may cost, at most. 0 = no limit.
    pub max_cost: f64,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            model: String::new(),
            key_env: String::new(),
            redact: true,
            connect_s: 5.0,
            timeout_s: 60.0,
            retries: 5,
            backoff_s: 0.5,
            requests_per_minute: 0.0,
            max_tokens_total: 0,
            price_per_million_tokens: 0.0,
            max_cost: 0.0,
        }
    }
}

impl ServiceSettings {
    fn faults(&self) -> impl Iterator<Item = Fault> {
        let within = |x: f64, field, least: f64, most: f64| {
            Fault::unless(x >= least && x <= most, field, || {
                format!("must be {least} to {most}, is {x}")
            })
        };
        let is_name = |c: char| c == '_' || c.is_ascii_uppercase() || c.is_ascii_digit();
        [
            within(self.connect_s, "connect_s", 0.01, 600.0),
            within(self.timeout_s, "timeout_s", 0.01, 3600.0),
            within(self.backoff_s, "backoff_s", 0.0, 60.0),
            within(self.requests_per_minute, "requests_per_minute", 0.0, 1e6),
            within(self.price_per_million_tokens, "price_per_million_tokens", 0.0, 1e12),
            within(self.max_cost, "max_cost", 0.0, 1e12),
            Fault::unless(self.retries <= 100, "retries", || {
                format!("must be at most 100, is {}", self.retries)
            }),
            // What else stands there may be the key itself, and is not repeated.
            Fault::unless(self.key_env.chars().all(is_name), "key_env", || {
                "must be the name of an environment variable, in capitals, and not the key".into()
            }),
        ]
        .into_iter()
        .flatten()
    }

    fn unpriced(&self, prices: f64) -> Option<Fault> {
        Fault::unless(self.max_cost <= 0.0 || prices > 0.0, "max_cost", || {
            "needs a price: set `price_per_million_tokens`".into()
        })
    }
}

/// Which protocol a service of vectors speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RemoteKind {
    /// `openai` where there is such an address, else `tei`.
    #[default]
    Auto,
    /// `POST {url}/embeddings`, as `OpenAI`, vLLM, Ollama, llama.cpp and others have it.
    Openai,
    /// `POST {url}/embed` of Text Embeddings Inference.
    Tei,
}

/// How numbers of a vector are asked for; both are read, whatever comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EncodingFormat {
    /// As numbers.
    #[default]
    Float,
    /// As bytes of `f32`, a quarter of the length.
    Base64,
}

/// An encoder behind an address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RemoteSettings {
    /// The protocol: `auto`, `openai` or `tei`.
    pub kind: RemoteKind,
    /// How the service is called.
    #[serde(flatten)]
    pub service: ServiceSettings,
    /// Texts of a call, at most; 1 to 2048. TEI takes 32 unless told otherwise.
    pub batch: usize,
    /// Calls under way at once; 1 to 64.
    pub concurrency: usize,
    /// Width of the vectors asked for, of models that have several; 0 = the model's own. At most 16384.
    pub dimensions: usize,
    /// How numbers are asked for: `float`, or `base64`, which is shorter.
    pub encoding_format: EncodingFormat,
    /// Characters read of each text; 0 = all, and the service cuts or refuses what is too long for it.
    pub max_chars: usize,
}

/// Widest vector that is taken.
pub(super) const MAX_DIM: usize = 16_384;

impl Default for RemoteSettings {
    fn default() -> Self {
        Self {
            kind: RemoteKind::default(),
            service: ServiceSettings::default(),
            batch: 32,
            concurrency: 4,
            dimensions: 0,
            encoding_format: EncodingFormat::default(),
            max_chars: 8000,
        }
    }
}

impl RemoteSettings {
    /// Lists what cannot be.
    pub fn faults(&self) -> Vec<Fault> {
        let within = |n: usize, field, least: usize, most: usize| {
            Fault::unless((least..=most).contains(&n), field, || {
                format!("must be {least} to {most}, is {n}")
            })
        };
        let own = [
            within(self.batch, "batch", 1, 2048),
            within(self.concurrency, "concurrency", 1, 64),
            within(self.dimensions, "dimensions", 0, MAX_DIM),
            self.service.unpriced(self.service.price_per_million_tokens),
        ];
        self.service.faults().chain(own.into_iter().flatten()).collect()
    }
}

/// A model that writes, behind an address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RemoteChatSettings {
    /// How the service is called.
    #[serde(flatten)]
    pub service: ServiceSettings,
    /// Price of a million tokens of replies, in your currency.
    pub price_per_million_reply_tokens: f64,
    /// Takes replies piece by piece.
    pub stream: bool,
    /// How often a reply that is not of the form asked for is asked for again; 0 to 10.
    pub reasks: usize,
}

impl Default for RemoteChatSettings {
    fn default() -> Self {
        Self {
            service: ServiceSettings::default(),
            price_per_million_reply_tokens: 0.0,
            stream: true,
            reasks: 2,
        }
    }
}

impl RemoteChatSettings {
    /// Lists what cannot be.
    pub fn faults(&self) -> Vec<Fault> {
        let price = self.price_per_million_reply_tokens;
        let own = [
            Fault::unless((0.0..=1e12).contains(&price), "price_per_million_reply_tokens", || {
                format!("must be 0 to 1e12, is {price}")
            }),
            Fault::unless(self.reasks <= 10, "reasks", || {
                format!("must be at most 10, is {}", self.reasks)
            }),
            self.service.unpriced(price.max(self.service.price_per_million_tokens)),
        ];
        self.service.faults().chain(own.into_iter().flatten()).collect()
    }
}
