//! Work that takes long, and can be ended from outside and gone on with.

mod chat;
mod curves;
#[expect(dead_code, reason = "the tests of `text` use more of it")]
#[path = "../../../../text/tests/gguf/tiny.rs"]
mod gguf;
mod language;
mod pipelines;
mod reading;
mod remote;
mod resume;
mod search;
#[expect(dead_code, reason = "the tests of `text` use more of it")]
#[path = "../../../../text/tests/remote/server.rs"]
mod server;
mod serving;
mod talk;
#[path = "../../../../text/tests/bert/tiny.rs"]
mod tiny;
