//! What users did, told by clients: one event or many. Acknowledged when they are on disk.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tastemaker_store::{Event, EventFilter, Repeat, new_id};

use crate::Error;
use crate::call::{Answer, Call, at_most};

/// Numbers from here up are milliseconds: the year 5138 in seconds.
const EARLIEST_MS: f64 = 1e11;

/// The first moment of the year 1.
const YEAR_1: i64 = -62_135_596_800_000;

/// When something happened: unix seconds, unix milliseconds, or a date as ISO 8601 writes it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum When {
    /// Unix seconds or milliseconds.
    Number(f64),
    /// A date and time, or a date.
    Text(String),
}

impl When {
    /// Returns unix milliseconds.
    pub(crate) fn ms(&self) -> Result<i64, Error> {
        let (ms, told) = match self {
            Self::Number(number) if number.abs() >= EARLIEST_MS => {
                (sayable(*number as i64), number.to_string())
            }
            Self::Number(seconds) => (sayable((seconds * 1000.0) as i64), seconds.to_string()),
            Self::Text(text) => (date(text), text.clone()),
        };
        ms.ok_or_else(|| Error::Body { why: no_time(&told) })
    }
}

/// Says what is wrong with a time.
pub(crate) fn no_time(told: &str) -> String {
    format!(
        "`{told}` is no time of the years 1 to 9999: write 2026-02-24T10:00:00Z, or unix seconds"
    )
}

/// Returns a time in unix milliseconds, if a date can say it: others come back as something else from one format or another.
pub(crate) fn sayable(unix_ms: i64) -> Option<i64> {
    (YEAR_1..=Timestamp::MAX.as_millisecond()).contains(&unix_ms).then_some(unix_ms)
}

/// Reads a date, with or without time and zone.
pub(crate) fn date(text: &str) -> Option<i64> {
    let timestamp = text.parse::<Timestamp>().ok().or_else(|| {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()
    });
    sayable(timestamp?.as_millisecond())
}

/// Writes a time as ISO 8601 does.
pub(crate) fn iso(unix_ms: i64) -> String {
    Timestamp::from_millisecond(unix_ms)
        .map_or_else(|_| unix_ms.to_string(), |time| time.to_string())
}

/// One event.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventIn {
    /// Unlike that of any other event: the same event sent twice counts once. One is made where there is none.
    event_id: Option<String>,
    /// Who.
    user_id: String,
    /// With what.
    item_id: String,
    /// What was done; `impression` says that the item was shown, and is no part of a history.
    #[serde(default = "click")]
    event_type: String,
    /// Rating or strength.
    #[serde(default = "one")]
    value: f64,
    /// When; now where it is left out.
    timestamp: Option<When>,
    /// The list it came from.
    #[serde(default)]
    recommendation_id: String,
    /// More about it.
    #[serde(default)]
    context: Map<String, Value>,
    /// Words about it.
    #[serde(default)]
    comment: String,
}

fn click() -> String {
    "click".into()
}

const fn one() -> f64 {
    1.0
}

/// Many events, or one.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum EventsRequest {
    /// Many.
    Many {
        /// The events.
        events: Vec<EventIn>,
    },
    /// One.
    One(Box<EventIn>),
}

/// What became of events.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct EventsAnswer {
    /// Events that are on disk now and were not before.
    accepted: u64,
    /// Events whose ids were there already.
    repeated: u64,
    /// The ids of all, in the order in which they came.
    event_ids: Vec<String>,
}

/// One event as it was kept.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct EventOut {
    event_id: String,
    user_id: String,
    item_id: String,
    event_type: String,
    value: f64,
    timestamp: String,
    recommendation_id: String,
    context: Value,
    #[serde(skip_serializing_if = "String::is_empty")]
    comment: String,
}

/// Events, and where the next ones begin.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct EventsPage {
    /// The events in the order of their ids.
    events: Vec<EventOut>,
    /// Send it as `cursor` to go on; empty at the end.
    cursor: String,
}

/// `POST /v1/events`.
pub(crate) async fn post(call: Call) -> Result<Answer, Error> {
    let events = match call.json()? {
        EventsRequest::Many { events } => events,
        EventsRequest::One(event) => vec![*event],
    };
    let now = call.app.clock.unix_ms();
    let events: Vec<Event> =
        at_most(events)?.into_iter().map(|event| kept(event, now)).collect::<Result<_, _>>()?;
    let event_ids: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
    let applied = call.app.take_events(&call.tenant, events, Repeat::Keep).await?;
    let repeated = event_ids.len() as u64 - applied.rows;
    Answer::json(&EventsAnswer { accepted: applied.rows, repeated, event_ids })
}

fn kept(event: EventIn, now: i64) -> Result<Event, Error> {
    // Models reckon with single precision.
    if event.value.abs() > f64::from(f32::MAX) || event.value.is_nan() {
        return Err(Error::Body { why: "`value` must be a number up to 3e38".into() });
    }
    Ok(Event {
        id: event.event_id.unwrap_or_else(|| new_id(now)),
        user: event.user_id,
        item: event.item_id,
        kind: event.event_type,
        value: event.value,
        time: event.timestamp.map_or(Ok(now), |when| when.ms())?,
        recommendation: event.recommendation_id,
        comment: event.comment,
        detail: Value::Object(event.context).to_string(),
    })
}

/// `GET /v1/events`.
pub(crate) async fn list(call: Call) -> Result<Answer, Error> {
    let filter = EventFilter {
        user: call.text("user_id"),
        item: call.text("item_id"),
        kind: call.text("event_type"),
    };
    let cursor = call.text("cursor").unwrap_or_default();
    let page = call.app.store.events(&call.tenant.name, &filter, cursor, call.n(100)?).await?;
    let event = |event: Event| EventOut {
        event_id: event.id,
        user_id: event.user,
        item_id: event.item,
        event_type: event.kind,
        value: event.value,
        timestamp: iso(event.time),
        recommendation_id: event.recommendation,
        context: serde_json::from_str(&event.detail).unwrap_or_default(),
        comment: event.comment,
    };
    Answer::json(&EventsPage {
        events: page.rows.into_iter().map(event).collect(),
        cursor: page.cursor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_milliseconds_or_dates() {
        let day = 1_645_660_800_000;
        assert_eq!(When::Number(1_645_660_800.0).ms().unwrap(), day);
        assert_eq!(When::Number(day as f64).ms().unwrap(), day);
        for text in [
            "2022-02-24",
            "2022-02-24T00:00:00",
            "2022-02-24T01:00:00+01:00",
            "2022-02-24 00:00:00Z",
        ] {
            assert_eq!(When::Text(text.into()).ms().unwrap(), day, "{text}");
        }
        assert!(When::Text("yesterday".into()).ms().is_err());
        for number in [9e18, -9e18, 1e300, -62_135_596_800_001.0, 253_402_300_800_000.0] {
            let error = When::Number(number).ms().unwrap_err().to_string();
            assert!(error.contains("years 1 to 9999"), "{error}");
        }
        assert!(When::Text("-000001-01-01T00:00:00Z".into()).ms().is_err());
        for text in ["0001-01-01T00:00:00Z", "9999-12-30T22:00:00Z"] {
            assert_eq!(iso(When::Text(text.into()).ms().unwrap()), text);
        }
        assert_eq!(iso(day), "2022-02-24T00:00:00Z");
    }
}
