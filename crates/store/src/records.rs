//! What is kept, as plain values. Times are unix milliseconds; texts that may be missing are empty.

use crate::{Error, is_id};

/// Somebody did something with an item.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Unlike that of any other event of the tenant; the same event sent twice counts once.
    pub id: String,
    /// Who.
    pub user: String,
    /// With what.
    pub item: String,
    /// What was done: `click`, `buy`, `star`.
    pub kind: String,
    /// Rating or strength.
    pub value: f64,
    /// When.
    pub time: i64,
    /// The list it came from.
    pub recommendation: String,
    /// Words about it.
    pub comment: String,
    /// More about it, as JSON.
    pub detail: String,
}

/// Something that can be recommended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// It is not recommended.
    pub hidden: bool,
    /// Its categories, as a JSON list.
    pub categories: String,
    /// Its fields, as JSON.
    pub fields: String,
    /// Words about it.
    pub comment: String,
    /// When it appeared.
    pub time: i64,
}

/// Somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: String,
    /// Their fields, as JSON.
    pub fields: String,
    /// Words about them.
    pub comment: String,
}

/// A list that was shown, with all that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Whose it is.
    pub tenant: String,
    /// Its id.
    pub id: String,
    /// When.
    pub time: i64,
    /// To whom; empty for a session.
    pub user: String,
    /// The model that answered.
    pub model: String,
    /// What was asked, as JSON.
    pub request: String,
    /// What was answered, as JSON.
    pub list: String,
    /// The experiment it belongs to; empty for none.
    pub experiment: String,
    /// The arm of it.
    pub arm: String,
    /// The chance with which each item came to its place, as a list of JSON; empty where nothing was drawn.
    pub chances: String,
}

fn id(field: &'static str, text: &str) -> Result<(), Error> {
    if is_id(text) { Ok(()) } else { Err(Error::Id { field }) }
}

fn text(field: &'static str, text: &str) -> Result<(), Error> {
    if text.contains('\0') { Err(Error::ZeroByte { field }) } else { Ok(()) }
}

/// Bytes of texts and of what holds them.
fn bytes<T>(texts: &[&String]) -> usize {
    size_of::<T>() + texts.iter().map(|text| text.len()).sum::<usize>()
}

impl Event {
    pub(crate) fn bytes(&self) -> usize {
        let texts = [&self.id, &self.user, &self.item, &self.kind, &self.recommendation];
        bytes::<Self>(&texts) + self.comment.len() + self.detail.len()
    }

    /// Refuses what no store can keep.
    pub fn check(&self) -> Result<(), Error> {
        id("the id of an event", &self.id)?;
        id("the user of an event", &self.user)?;
        id("the item of an event", &self.item)?;
        id("the kind of an event", &self.kind)?;
        text("the recommendation of an event", &self.recommendation)?;
        text("the comment of an event", &self.comment)?;
        text("the detail of an event", &self.detail)
    }
}

impl Item {
    pub(crate) fn bytes(&self) -> usize {
        bytes::<Self>(&[&self.id, &self.categories, &self.fields, &self.comment])
    }

    /// Refuses what no store can keep.
    pub fn check(&self) -> Result<(), Error> {
        id("the id of an item", &self.id)?;
        text("the comment of an item", &self.comment)?;
        text("the categories of an item", &self.categories)?;
        text("the fields of an item", &self.fields)
    }
}

impl Shown {
    pub(crate) fn bytes(&self) -> usize {
        let texts = [&self.tenant, &self.id, &self.user, &self.model, &self.request, &self.list];
        bytes::<Self>(&texts) + self.experiment.len() + self.arm.len() + self.chances.len()
    }
}

impl User {
    pub(crate) fn bytes(&self) -> usize {
        bytes::<Self>(&[&self.id, &self.fields, &self.comment])
    }

    /// Refuses what no store can keep.
    pub fn check(&self) -> Result<(), Error> {
        id("the id of a user", &self.id)?;
        text("the comment of a user", &self.comment)?;
        text("the fields of a user", &self.fields)
    }
}
