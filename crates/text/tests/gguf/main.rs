//! Models of GGUF files, on files that the tests write themselves.
#![expect(clippy::unwrap_used, reason = "a test that fails, fails loudly")]

mod damaged;
mod forms;
mod naive;
mod replies;
mod tiny;
