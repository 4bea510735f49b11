//! Our own API and those of `OpenAI` and rerankers: a file for each thing, with the types that cross the wire beside its handlers.

pub(crate) mod chat;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod items;
pub(crate) mod models;
pub(crate) mod openai;
pub(crate) mod recommend;
pub(crate) mod rerank;
pub(crate) mod similar;
pub(crate) mod users;
