//! What a row of a file says: in the shape in which the API is told, or in Gorse's.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tastemaker_engine::data::FileRow;
use tastemaker_store::{Event, Item, Repeat, User, event_key_at};

use super::verbatim::member;
use crate::api::events::{When, date, no_time, sayable};
use crate::gorse::{Feedback, GorseItem, GorseUser};

/// What is wrong with a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Empty where it is the row as a whole.
    pub(super) field: String,
    pub(super) why: String,
}

type Outcome<T> = Result<T, Fault>;

fn fault<T>(field: &str, why: impl Into<String>) -> Outcome<T> {
    Err(Fault { field: field.into(), why: why.into() })
}

/// A row that knows its fields by name.
pub(super) enum Told<'a> {
    Line(&'a str, Map<String, Value>),
    Cells(Vec<(&'a str, &'a str)>),
}

const EVENT: [&str; 9] = [
    "event_id",
    "user_id",
    "item_id",
    "event_type",
    "value",
    "timestamp",
    "recommendation_id",
    "context",
    "comment",
];
const ITEM: [&str; 6] = ["item_id", "fields", "categories", "hidden", "comment", "timestamp"];
const USER: [&str; 3] = ["user_id", "fields", "comment"];

/// Reads an event, and says what about one that is known. One without a time happened `now`.
pub(super) fn event(row: FileRow<'_>, now: i64) -> Outcome<(Event, Repeat)> {
    let told = Told::new(row)?;
    if let Some(feedback) = told.gorse::<Feedback>()? {
        let event = feedback.kept(now).map_err(whole)?;
        // As the API has it: a kind, a user and an item have one together.
        return checked(event, Event::check).map(|event| (event, Repeat::Later));
    }
    told.knows(&EVENT)?;
    let (user, item) = (told.needed("user_id")?, told.needed("item_id")?);
    let kind = told.text("event_type")?.unwrap_or_else(|| "click".into());
    let time = told.time("timestamp")?;
    let id = match told.text("event_id")? {
        Some(id) => id,
        // Told again it is the same event, whenever that is.
        None => event_key_at(&kind, &user, &item, time.unwrap_or_default()),
    };
    let event = Event {
        id,
        user,
        item,
        kind,
        value: told.number("value")?.unwrap_or(1.0),
        time: time.unwrap_or(now),
        recommendation: told.text("recommendation_id")?.unwrap_or_default(),
        comment: told.text("comment")?.unwrap_or_default(),
        detail: told.json("context")?.unwrap_or_else(|| "{}".into()),
    };
    checked(event, Event::check).map(|event| (event, Repeat::Keep))
}

/// Reads an item; one without a time appeared `now`.
pub(super) fn item(row: FileRow<'_>, now: i64) -> Outcome<Item> {
    let told = Told::new(row)?;
    if let Some(item) = told.gorse::<GorseItem>()? {
        return checked(item.kept(now).map_err(whole)?, Item::check);
    }
    told.knows(&ITEM)?;
    let item = Item {
        id: told.needed("item_id")?,
        hidden: told.flag("hidden")?,
        categories: json!(told.list("categories")?).to_string(),
        fields: told.object("fields")?,
        comment: told.text("comment")?.unwrap_or_default(),
        time: told.time("timestamp")?.unwrap_or(now),
    };
    checked(item, Item::check)
}

/// Reads a user.
pub(super) fn user(row: FileRow<'_>) -> Outcome<User> {
    let told = Told::new(row)?;
    if let Some(user) = told.gorse::<GorseUser>()? {
        return checked(user.kept(), User::check);
    }
    told.knows(&USER)?;
    let user = User {
        id: told.needed("user_id")?,
        fields: told.object("fields")?,
        comment: told.text("comment")?.unwrap_or_default(),
    };
    checked(user, User::check)
}

fn whole(error: impl std::fmt::Display) -> Fault {
    Fault { field: String::new(), why: error.to_string() }
}

fn checked<T>(row: T, check: fn(&T) -> Result<(), tastemaker_store::Error>) -> Outcome<T> {
    check(&row).map_err(whole)?;
    Ok(row)
}

impl<'a> Told<'a> {
    fn new(row: FileRow<'a>) -> Outcome<Self> {
        match row {
            FileRow::Cells(cells) => Ok(Self::Cells(cells)),
            FileRow::Line(line) => match serde_json::from_str(line) {
                Ok(object) => Ok(Self::Line(line, object)),
                Err(error) => {
                    // Of what is one line, the parser says that it is line 1.
                    let why = error.to_string().replace(" at line 1 column", " at column");
                    fault("", format!("a line must be one object of JSON: {why}"))
                }
            },
        }
    }

    /// Reads a row in Gorse's shape, which is told by how its names are written.
    fn gorse<T: DeserializeOwned>(&self) -> Outcome<Option<T>> {
        match self {
            Self::Line(_, object)
                if ["UserId", "ItemId"].iter().any(|name| object.contains_key(*name)) =>
            {
                serde_json::from_value(Value::Object(object.clone())).map(Some).map_err(whole)
            }
            _ => Ok(None),
        }
    }

    fn knows(&self, known: &[&str]) -> Outcome<()> {
        let names: Vec<&str> = match self {
            Self::Line(_, object) => object.keys().map(String::as_str).collect(),
            Self::Cells(cells) => cells.iter().map(|(name, _)| *name).collect(),
        };
        match names.into_iter().find(|name| !known.contains(name)) {
            Some(name) => fault(name, format!("no such field; there are {}", known.join(", "))),
            None => Ok(()),
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Line(_, object) => object.get(name).filter(|value| !value.is_null()),
            Self::Cells(_) => None,
        }
    }

    fn cell(&self, name: &str) -> Option<&'a str> {
        match self {
            Self::Line(..) => None,
            Self::Cells(cells) => cells.iter().find(|cell| cell.0 == name).map(|cell| cell.1),
        }
    }

    /// Returns a number as it is written.
    fn digits(&self, name: &str) -> Option<String> {
        match (self, self.value(name)) {
            (Self::Line(line, _), Some(value @ Value::Number(_))) => {
                Some(member(line, name, value))
            }
            _ => None,
        }
    }

    fn text(&self, name: &str) -> Outcome<Option<String>> {
        match self.value(name) {
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string())),
            Some(other) => fault(name, format!("`{}` is no text", short(&other.to_string()))),
            None => Ok(self.cell(name).map(str::to_owned)),
        }
    }

    fn needed(&self, name: &str) -> Outcome<String> {
        match self.text(name)? {
            Some(text) => Ok(text),
            None => fault(name, "it is missing"),
        }
    }

    fn number(&self, name: &str) -> Outcome<Option<f64>> {
        let Some(text) = self.scalar(name) else { return Ok(None) };
        // Models reckon with single precision.
        let fits = |number: &f64| number.abs() <= f64::from(f32::MAX);
        match text.parse::<f64>().ok().filter(fits) {
            Some(number) => Ok(Some(number)),
            None => fault(name, format!("`{}` is no number up to 3e38", short(&text))),
        }
    }

    /// Returns what is no list and no object as text.
    fn scalar(&self, name: &str) -> Option<String> {
        let digits = self.digits(name).or_else(|| self.cell(name).map(str::to_owned));
        digits.or_else(|| {
            let value = self.value(name)?;
            Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
    }

    fn time(&self, name: &str) -> Outcome<Option<i64>> {
        let Some(text) = self.scalar(name) else { return Ok(None) };
        let ms = match text.parse::<i64>() {
            Ok(whole) if whole.unsigned_abs() >= EARLIEST_MS => Some(whole),
            Ok(seconds) => Some(seconds * 1000),
            Err(_) => seconds(&text)
                .or_else(|| text.parse().ok().and_then(|number| When::Number(number).ms().ok()))
                .or_else(|| date(&text)),
        };
        match ms.and_then(sayable) {
            Some(ms) => Ok(Some(ms)),
            None => fault(name, no_time(&short(&text))),
        }
    }

    fn flag(&self, name: &str) -> Outcome<bool> {
        match self.scalar(name).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => fault(name, format!("`{}` is neither true nor false", short(other))),
        }
    }

    /// Returns JSON as it is written.
    fn json(&self, name: &str) -> Outcome<Option<String>> {
        if let (Self::Line(line, _), Some(value)) = (self, self.value(name)) {
            return Ok(Some(member(line, name, value)));
        }
        let Some(text) = self.cell(name) else { return Ok(None) };
        // Looked at as the one member of a line.
        let line = format!("{{\"{name}\":{text}}}");
        match serde_json::from_str::<Map<String, Value>>(&line) {
            Ok(object) if object.len() == 1 => {
                let value = &object[name];
                Ok(Some(member(&line, name, value)).filter(|_| !value.is_null()))
            }
            _ => fault(name, format!("`{}` is no JSON", short(text))),
        }
    }

    /// Returns an object of JSON as it is written.
    fn object(&self, name: &str) -> Outcome<String> {
        match self.json(name)? {
            None => Ok("{}".into()),
            Some(json) if json.starts_with('{') => Ok(json),
            Some(json) => fault(name, format!("`{}` is no object", short(&json))),
        }
    }

    fn list(&self, name: &str) -> Outcome<Vec<String>> {
        let parsed = match (self.value(name), self.cell(name)) {
            (Some(value), _) => serde_json::from_value(value.clone()),
            (None, Some(text)) if text.starts_with('[') => serde_json::from_str(text),
            (None, Some(text)) => Ok(text.split('|').map(|one| one.trim().to_owned()).collect()),
            (None, None) => return Ok(Vec::new()),
        };
        parsed.or_else(|error| fault(name, format!("it is no list of texts: {error}")))
    }
}

/// Whole numbers from here up are milliseconds.
const EARLIEST_MS: u64 = 100_000_000_000;

/// Reads seconds with up to three digits behind the point, exactly.
fn seconds(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if part.is_empty() || part.len() > 3 || !digits(part) {
        return None;
    }
    let is_negative = whole.starts_with('-');
    let ms = whole.parse::<i64>().ok()?.unsigned_abs().checked_mul(1000)?;
    let ms = i64::try_from(ms.checked_add(format!("{part:0<3}").parse().ok()?)?).ok()?;
    let ms_in_seconds = ms.unsigned_abs() < EARLIEST_MS * 1000;
    ms_in_seconds.then_some(if is_negative { -ms } else { ms })
}

/// Cuts a value for a message.
fn short(text: &str) -> String {
    let mut cut: String = text.chars().take(40).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> FileRow<'_> {
        FileRow::Line(text)
    }

    #[test]
    fn events_are_told_as_to_the_api() {
        let told = r#"{"user_id":"u","item_id":7,"value":0.30000000000000004,"timestamp":1645660800.5,"context":{"a":[1, 2]},"comment":"蜜"}"#;
        let (told, repeat) = event(line(told), 9).unwrap();
        assert_eq!(
            (told.value, told.time, told.item.as_str()),
            (0.1 + 0.2, 1_645_660_800_500, "7")
        );
        assert_eq!((told.kind.as_str(), told.detail.as_str()), ("click", r#"{"a":[1,2]}"#));
        assert_eq!(
            (told.id.as_str(), repeat),
            (event_key_at("click", "u", "7", told.time).as_str(), Repeat::Keep)
        );
        // Without a time it is the same event whenever it is imported.
        let [once, again] =
            [9, 10].map(|now| event(line(r#"{"user_id":"u","item_id":"i"}"#), now).unwrap().0);
        assert_eq!((once.time, again.time, once.id == again.id), (9, 10, true));
    }

    #[test]
    fn gorse_files_are_understood() {
        let star = r#"{"FeedbackType":"star","UserId":"bob","ItemId":"ollama:ollama","Value":1.0,"Timestamp":"2022-02-24","Labels":{},"Comment":""}"#;
        let (told, repeat) = event(line(star), 9).unwrap();
        assert_eq!(
            (told.kind.as_str(), told.time, repeat),
            ("star", 1_645_660_800_000, Repeat::Later)
        );
        let put = r#"{"ItemId":"x","IsHidden":true,"Categories":["go"],"Timestamp":"2022-02-22","Labels":{"n":[0.1]},"Comment":"text"}"#;
        let told = item(line(put), 9).unwrap();
        assert_eq!((told.hidden, told.categories.as_str()), (true, r#"["go"]"#));
        let told = user(line(r#"{"UserId":"bob","Labels":{"company":"g"},"Comment":""}"#)).unwrap();
        assert_eq!((told.id.as_str(), told.fields.as_str()), ("bob", r#"{"company":"g"}"#));
        let Err(fault) = event(line(r#"{"UserId":"bob","ItemId":"x"}"#), 9) else { panic!() };
        assert!(fault.why.contains("FeedbackType"), "{fault:?}");
    }

    #[test]
    fn cells_of_tables_are_read_by_name() {
        let cells = FileRow::Cells(vec![
            ("item_id", "i"),
            ("categories", "a|b"),
            ("hidden", "true"),
            ("fields", "{\"year\": 1999.5}"),
            ("timestamp", "-0.002"),
        ]);
        let told = item(cells, 9).unwrap();
        assert_eq!((told.categories.as_str(), told.hidden, told.time), (r#"["a","b"]"#, true, -2));
        assert_eq!(told.fields, r#"{"year":1999.5}"#);
        let Err(fault) = item(FileRow::Cells(vec![("item_id", "i"), ("fields", "{},\"x\":1")]), 9)
        else {
            panic!()
        };
        assert_eq!(fault.field, "fields");
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_field() {
        for (text, field, says) in [
            ("[1]", "", "one object"),
            ("{", "", "one object"),
            (r#"{"user_id":"u"}"#, "item_id", "missing"),
            (r#"{"user_id":"u","item_id":1.5}"#, "item_id", "no text"),
            (r#"{"user_id":"u","item_id":"i","weight":1}"#, "weight", "no such field"),
            (r#"{"user_id":"u","item_id":"i","value":"many"}"#, "value", "no number"),
            (r#"{"user_id":"u","item_id":"i","value":1e39}"#, "value", "no number"),
            (r#"{"user_id":"u","item_id":"i","timestamp":"yesterday"}"#, "timestamp", "no time"),
            (
                r#"{"user_id":"u","item_id":"i","timestamp":9223372036854775807}"#,
                "timestamp",
                "years 1 to 9999",
            ),
            (r#"{"user_id":"","item_id":"i"}"#, "", "the user of an event"),
            (r#"{"user_id":"u","item_id":"i","comment":"a\u0000b"}"#, "", "zero byte"),
        ] {
            let fault = event(line(text), 9).unwrap_err();
            assert!(fault.field == field && fault.why.contains(says), "{text}: {fault:?}");
        }
        let fault = item(line(r#"{"item_id":"i","categories":[1]}"#), 9).unwrap_err();
        assert_eq!(fault.field, "categories");
        let fault = item(line(r#"{"item_id":"i","hidden":"perhaps"}"#), 9).unwrap_err();
        assert_eq!(fault.field, "hidden");
        for fields in ["[1]", "\"text\"", "1"] {
            let told = format!("{{\"item_id\":\"i\",\"user_id\":\"u\",\"fields\":{fields}}}");
            let of_item = told.replace("\"user_id\":\"u\",", "");
            let cells = FileRow::Cells(vec![("item_id", "i"), ("fields", fields)]);
            let of_user = told.replace("\"item_id\":\"i\",", "");
            for fault in [
                item(line(&of_item), 9).unwrap_err(),
                item(cells, 9).unwrap_err(),
                user(line(&of_user)).unwrap_err(),
            ] {
                assert!(fault.field == "fields" && fault.why.contains("no object"), "{fault:?}");
            }
        }
    }
}
