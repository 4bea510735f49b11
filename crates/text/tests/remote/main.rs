//! Encoders and models that write behind an address, against a service on this machine that does right and wrong.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails, fails loudly")]

mod chat;
mod encoder;
mod failures;
mod forms;
mod server;
