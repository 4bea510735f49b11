//! Spans as OTLP writes them in JSON: ids in hex, whole numbers of 64 bits as texts.

use serde_json::{Value, json};

/// A piece of work with its beginning and its end, in unix nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) trace: u128,
    pub(super) id: u64,
    /// What it is a part of; 0 = nothing.
    pub(super) parent: u64,
    pub(super) name: String,
    /// The whole of a request that was asked from outside.
    pub(super) is_server: bool,
    pub(super) times: (u64, u64),
    pub(super) attributes: Vec<(&'static str, Value)>,
    /// It failed by a fault of the server's.
    pub(super) is_error: bool,
}

impl Span {
    fn json(&self) -> Value {
        let attribute = |(key, value): &(&'static str, Value)| {
            let value = match value {
                Value::Number(number) => json!({ "intValue": number.to_string() }),
                Value::String(text) => json!({ "stringValue": text }),
                other => json!({ "stringValue": other.to_string() }),
            };
            json!({ "key": key, "value": value })
        };
        let mut span = json!({
            "traceId": format!("{:032x}", self.trace),
            "spanId": format!("{:016x}", self.id),
            "name": self.name,
            // SPAN_KIND_SERVER and SPAN_KIND_INTERNAL.
            "kind": if self.is_server { 2 } else { 1 },
            "startTimeUnixNano": self.times.0.to_string(),
            "endTimeUnixNano": self.times.1.to_string(),
            "attributes": self.attributes.iter().map(attribute).collect::<Vec<_>>(),
        });
        if self.parent != 0 {
            span["parentSpanId"] = json!(format!("{:016x}", self.parent));
        }
        if self.is_error {
            // STATUS_CODE_ERROR.
            span["status"] = json!({ "code": 2 });
        }
        span
    }
}

/// Makes the body of a request to the collector.
pub(super) fn body(spans: &[Span]) -> Vec<u8> {
    let service = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let version = env!("CARGO_PKG_VERSION");
    let body = json!({ "resourceSpans": [{
        "resource": { "attributes": [service("service.name", "tastemaker"), service("service.version", version)] },
        "scopeSpans": [{
            "scope": { "name": "tastemaker", "version": version },
            "spans": spans.iter().map(Span::json).collect::<Vec<_>>(),
        }],
    }] });
    body.to_string().into_bytes()
}
