//! Work that takes long, and can be ended from outside and gone on with.

mod curves;
mod language;
mod pipelines;
mod reading;
mod remote;
mod resume;
mod search;
#[path = "../../../../text/tests/bert/tiny.rs"]
mod tiny;
