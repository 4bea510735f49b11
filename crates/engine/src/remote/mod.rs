//! Services behind an address: encoders that `text.encoder` names, and models that write.

mod chat;
mod encoder;
mod secrets;

pub use chat::chat;
pub(crate) use encoder::{open, reopen};
pub use secrets::Secrets;
pub use tastemaker_text::{RemoteChat, RemoteChatSettings, RemoteSettings, is_url};
