//! Encoders and models that write behind an address: any service with the protocol of `OpenAI`, and Text Embeddings Inference.

mod answer;
mod budget;
mod chat;
mod client;
mod encoder;
mod fault;
mod redact;
mod settings;

pub use chat::RemoteChat;
pub(crate) use chat::Stopper;
pub use client::{is_local, is_url};
pub use encoder::RemoteEncoder;
pub use fault::{Done, RemoteFault};
pub use redact::{PersonalData, Redact, Unredacted};
pub use settings::{
    ApiKey, EncodingFormat, RemoteChatSettings, RemoteKind, RemoteSettings, ServiceSettings,
};
