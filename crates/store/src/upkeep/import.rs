//! Rows in bulk, out of files. What was erased is not brought back by a file that is older than its erasure.

use std::collections::HashMap;

use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::{Error, Event, Item, Repeat, User};

/// Ids that are looked for at once.
const IDS: usize = 200;

/// Rows of one kind.
#[derive(Clone, Debug)]
pub enum Rows {
    /// What users did. Left out are events up to the time at which their user or item was erased.
    Events(Vec<Event>, Repeat),
    /// Items; one that was erased is put back, as by whoever puts a single one.
    Items(Vec<Item>),
    /// Users. Left out are those who were erased: a file does not say that they came back.
    Users(Vec<User>),
}

impl Rows {
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Events(events, _) => events.iter().try_for_each(Event::check),
            Self::Items(items) => items.iter().try_for_each(Item::check),
            Self::Users(users) => users.iter().try_for_each(User::check),
        }
    }

    /// Counts them.
    pub fn len(&self) -> usize {
        match self {
            Self::Events(events, _) => events.len(),
            Self::Items(items) => items.len(),
            Self::Users(users) => users.len(),
        }
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns about how many bytes they take in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Events(events, _) => events.iter().map(Event::bytes).sum(),
            Self::Items(items) => items.iter().map(Item::bytes).sum(),
            Self::Users(users) => users.iter().map(User::bytes).sum(),
        }
    }
}

/// Returns the events that happened after their user and their item were erased, or whose were not.
pub(crate) async fn living_events(
    conn: &mut AnyConnection,
    tenant: &str,
    events: &[Event],
) -> Result<Vec<Event>, Error> {
    let ids = |of: fn(&Event) -> &str| distinct(events.iter().map(of));
    let users = erased(conn, (tenant, "user"), &ids(|event| &event.user)).await?;
    let items = erased(conn, (tenant, "item"), &ids(|event| &event.item)).await?;
    let lives = |event: &&Event| {
        let since = [users.get(&event.user), items.get(&event.item)];
        since.into_iter().flatten().all(|erased| event.time > *erased)
    };
    Ok(events.iter().filter(lives).cloned().collect())
}

/// Returns the users who were not erased.
pub(crate) async fn living_users(
    conn: &mut AnyConnection,
    tenant: &str,
    users: &[User],
) -> Result<Vec<User>, Error> {
    let ids = distinct(users.iter().map(|user| user.id.as_str()));
    let gone = erased(conn, (tenant, "user"), &ids).await?;
    Ok(users.iter().filter(|user| !gone.contains_key(&user.id)).cloned().collect())
}

fn distinct<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

async fn erased(
    conn: &mut AnyConnection,
    (tenant, kind): (&str, &'static str),
    ids: &[&str],
) -> Result<HashMap<String, i64>, Error> {
    let mut found = HashMap::new();
    for ids in ids.chunks(IDS) {
        let places: Vec<String> = (3..ids.len() + 3).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT id, time FROM erased WHERE tenant = $1 AND kind = $2 AND id IN ({})",
            places.join(", ")
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(tenant.to_owned()).bind(kind);
        let query = ids.iter().fold(query, |query, id| query.bind((*id).to_owned()));
        for row in query.fetch_all(&mut *conn).await? {
            found.insert(row.try_get(0)?, row.try_get(1)?);
        }
    }
    Ok(found)
}
