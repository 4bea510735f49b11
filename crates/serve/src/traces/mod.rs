//! Traces of requests, told to a collector of OpenTelemetry over OTLP/HTTP with JSON. Off unless an address is given; what cannot be told
//! is counted and dropped, and no answer waits for it.

mod context;
mod record;
mod sender;
mod settings;
mod span;

pub(crate) use record::{Traces, child, within};
pub use settings::TraceSettings;
