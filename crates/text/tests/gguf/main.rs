//! Models of GGUF files, on files that the tests write themselves.

mod damaged;
mod forms;
mod naive;
mod replies;
mod tiny;
