//! What a store has heard since a model was trained, as files of JSON lines in a folder. A file that is not there is empty.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;

/// Name of the file with one [`NewEvent`] a line.
pub const EVENTS: &str = "events.jsonl";
/// Name of the file with one [`ChangedItem`] a line.
pub const ITEMS: &str = "items.jsonl";
/// Name of the file with one [`ChangedUser`] a line.
pub const USERS: &str = "users.jsonl";
/// Name of the file with one [`Erased`] a line.
pub const ERASED: &str = "erased.jsonl";

/// Name of the file with those who were erased while the other files were written, as [`Erased`]: nothing of them is read at all.
pub const WITHDRAWN: &str = "withdrawn.jsonl";

/// Something a user did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewEvent {
    /// Who.
    pub user_id: String,
    /// With what.
    pub item_id: String,
    /// Rating or strength.
    pub value: f32,
    /// Unix seconds.
    pub timestamp: i64,
}

/// An item that is new or has become another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChangedItem {
    /// Its id.
    pub item_id: String,
    /// Its columns.
    #[serde(default)]
    pub fields: Map<String, Value>,
}

/// A user who is new or has become another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChangedUser {
    /// Their id.
    pub user_id: String,
    /// Their columns.
    #[serde(default)]
    pub fields: Map<String, Value>,
}

/// Somebody or something that the old data must not be read for any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Erased {
    /// A user.
    User(String),
    /// An item.
    Item(String),
}

/// Reads a file line by line.
pub(super) fn each<T: DeserializeOwned>(
    dir: &Path,
    name: &str,
    mut take: impl FnMut(T) -> Result<(), Error>,
) -> Result<(), Error> {
    let path = dir.join(name);
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file.map_err(Error::io(path.clone()))?,
    };
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(Error::io(path.clone()))?;
        let wrong = |error| Error::Lines {
            path: path.clone(),
            why: format!("line {}: {error}", number + 1),
        };
        take(serde_json::from_str(&line).map_err(wrong)?)?;
    }
    Ok(())
}
