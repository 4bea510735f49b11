//! Models that write, behind `POST {url}/chat/completions`.

mod answer;
mod body;
mod model;
mod sse;
mod stop;
mod validate;

pub use model::RemoteChat;
pub(crate) use stop::Stopper;
