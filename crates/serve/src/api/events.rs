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
        match self {
            Self::Number(number) if number.abs() >= EARLIEST_MS => Ok(*number as i64),
            Self::Number(seconds) => Ok((seconds * 1000.0) as i64),
            Self::Text(text) => date(text).ok_or_else(|| Error::Body {
                why: format!("`{text}` is no time: write 2026-02-24T10:00:00Z, or unix seconds"),
            }),
        }
    }
}

/// Reads a date, with or without time and zone.
pub(crate) fn date(text: &str) -> Option<i64> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok()?;
    Some(jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?.as_millisecond())
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
        assert_eq!(iso(day), "2022-02-24T00:00:00Z");
    }
}
