//! All that can be changed, and the SQL that does it. Values are bound, never written into a statement.

use std::collections::HashSet;

use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::upkeep::{self, Act, Rows};
use crate::{
    Error, Event, Experiment, Item, KeyRecord, Promotion, Shown, User, experiments, is_id,
    is_tenant,
};

/// Rows of a statement that writes many.
const ROWS: usize = 32;

/// What happens to an event whose id is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The old one stays.
    Keep,
    /// The newer one stays; of two of one time the one that comes last.
    Newer,
    /// The newer one stays; of two of one time the old one.
    Later,
    /// The old one goes.
    Replace,
}

/// Something to be written.
#[derive(Clone, Debug)]
pub enum Change {
    /// Nothing; committed like all others.
    Nothing,
    /// Events happened.
    Events {
        /// Whose.
        tenant: String,
        /// Which.
        events: Vec<Event>,
        /// What about those that are known.
        repeat: Repeat,
    },
    /// Items appear or become others.
    Items {
        /// Whose.
        tenant: String,
        /// Which.
        items: Vec<Item>,
    },
    /// Users appear or become others.
    Users {
        /// Whose.
        tenant: String,
        /// Which.
        users: Vec<User>,
    },
    /// An item goes, with its events.
    EraseItem {
        /// Whose.
        tenant: String,
        /// Which.
        id: String,
        /// When.
        time: i64,
    },
    /// A user goes, with their events and the lists they were shown.
    EraseUser {
        /// Whose.
        tenant: String,
        /// Who.
        id: String,
        /// When.
        time: i64,
    },
    /// Events of a user with an item go.
    DropEvents {
        /// Whose.
        tenant: String,
        /// Of what kind; all when `None`.
        kind: Option<String>,
        /// Who.
        user: String,
        /// With what.
        item: String,
    },
    /// Lists were shown.
    Shown(Vec<Shown>),
    /// Lists that were shown before a time are forgotten, but those of experiments that have not ended.
    ForgetShown {
        /// The time.
        before: i64,
    },
    /// An experiment begins, if there is none of its name and none of its tenant that runs.
    Begin(Experiment),
    /// An experiment ends at its time, or what came of it is written down.
    End(Experiment),
    /// A key is given out.
    Key(KeyRecord),
    /// A key does not open any more.
    RevokeKey {
        /// Its id.
        id: String,
        /// When.
        time: i64,
    },
    /// Rows come out of a file.
    Import {
        /// Whose.
        tenant: String,
        /// Which.
        rows: Rows,
    },
    /// Somebody changed something.
    Act(Act),
    /// Another model answers.
    Promoted(Promotion),
    /// What was done before a time is forgotten.
    ForgetActs {
        /// The time.
        before: i64,
    },
}

/// What a change did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Rows that are new, others or gone.
    pub rows: u64,
    /// For each event whether it changed anything; empty for other changes.
    pub fresh: Vec<bool>,
    /// Rows of an import that were left out, because whom they are about was erased.
    pub left_out: u64,
}

impl Applied {
    pub(crate) fn rows(rows: u64) -> Self {
        Self { rows, ..Self::default() }
    }

    fn events(fresh: Vec<bool>) -> Self {
        let rows = fresh.iter().filter(|fresh| **fresh).count() as u64;
        Self { rows, fresh, left_out: 0 }
    }
}

const EVENT: &str = "INSERT INTO events (tenant, id, user_id, item_id, kind, value, time, recommendation, comment, detail) VALUES ";
const SHOWN: &str = "INSERT INTO recommendations (tenant, id, time, user_id, model, request, list, experiment, arm, chances) VALUES ";
const FORGET: &str = "DELETE FROM recommendations WHERE time < $1 AND (experiment = '' OR NOT EXISTS (SELECT 1 FROM experiments AS e \
     WHERE e.tenant = recommendations.tenant AND e.name = recommendations.experiment AND e.ended = 0))";
const OTHER_EVENT: &str = " ON CONFLICT (tenant, id) DO UPDATE SET user_id = excluded.user_id, item_id = excluded.item_id, kind = excluded.kind, \
     value = excluded.value, time = excluded.time, recommendation = excluded.recommendation, comment = excluded.comment, detail = excluded.detail";
const ITEM: &str = "INSERT INTO items (tenant, id, hidden, categories, fields, comment, time) VALUES ($1, $2, $3, $4, $5, $6, $7) \
     ON CONFLICT (tenant, id) DO UPDATE SET hidden = excluded.hidden, categories = excluded.categories, fields = excluded.fields, \
     comment = excluded.comment, time = excluded.time";
const USER: &str = "INSERT INTO users (tenant, id, fields, comment) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (tenant, id) DO UPDATE SET fields = excluded.fields, comment = excluded.comment";
const ERASED: &str = "INSERT INTO erased (tenant, kind, id, time) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (tenant, kind, id) DO UPDATE SET time = excluded.time";
const KEY: &str = "INSERT INTO api_keys (tenant, id, label, hash, scope, created, revoked) VALUES ($1, $2, $3, $4, $5, $6, $7)";

impl Change {
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Events { events, .. } => events.iter().try_for_each(Event::check),
            Self::Items { items, .. } => items.iter().try_for_each(Item::check),
            Self::Users { users, .. } => users.iter().try_for_each(User::check),
            Self::EraseItem { id, .. } if !is_id(id) => {
                Err(Error::Id { field: "the id of an item" })
            }
            Self::EraseUser { id, .. } if !is_id(id) => {
                Err(Error::Id { field: "the id of a user" })
            }
            Self::DropEvents { user, item, kind, .. }
                if ![user, item].into_iter().chain(kind).all(|id| is_id(id)) =>
            {
                Err(Error::Id { field: "each part of the event" })
            }
            Self::Key(key) if !is_tenant(&key.tenant) => {
                Err(Error::Tenant { name: key.tenant.clone() })
            }
            Self::Key(key) if key.label.contains('\0') => {
                Err(Error::ZeroByte { field: "the label" })
            }
            Self::Import { tenant, .. } if !is_tenant(tenant) => {
                Err(Error::Tenant { name: tenant.clone() })
            }
            Self::Import { rows, .. } => rows.check(),
            Self::Act(act) => act.check(),
            Self::Promoted(promotion) => promotion.check(),
            _ => Ok(()),
        }
    }

    /// Names the tenant of whom a server keeps something in memory that this changes, and tells whether it changes items.
    pub(crate) fn touches(&self) -> Option<(&str, bool)> {
        match self {
            Self::Events { tenant, .. }
            | Self::EraseUser { tenant, .. }
            | Self::DropEvents { tenant, .. } => Some((tenant, false)),
            Self::Items { tenant, .. } | Self::EraseItem { tenant, .. } => Some((tenant, true)),
            Self::Import { tenant, rows } => Some((tenant, matches!(rows, Rows::Items(_)))),
            _ => None,
        }
    }

    /// Counts the rows it is about.
    pub(crate) fn rows(&self) -> u64 {
        let rows = match self {
            Self::Events { events, .. } => events.len(),
            Self::Items { items, .. } => items.len(),
            Self::Users { users, .. } => users.len(),
            Self::Shown(lists) => lists.len(),
            Self::Import { rows, .. } => rows.len(),
            _ => 1,
        };
        rows as u64
    }

    /// Returns about how many bytes it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Events { events, .. } => events.iter().map(Event::bytes).sum(),
            Self::Items { items, .. } => items.iter().map(Item::bytes).sum(),
            Self::Users { users, .. } => users.iter().map(User::bytes).sum(),
            Self::Shown(lists) => lists.iter().map(Shown::bytes).sum(),
            Self::Begin(experiment) | Self::End(experiment) => {
                1024 + experiment.definition.len() + experiment.results.len()
            }
            Self::Import { rows, .. } => rows.bytes(),
            _ => 1024,
        }
    }

    pub(crate) async fn apply(&self, conn: &mut AnyConnection) -> Result<Applied, Error> {
        match self {
            Self::Nothing => Ok(Applied::default()),
            Self::Events { tenant, events, repeat } => {
                put_events(conn, tenant, events, *repeat).await
            }
            Self::Items { tenant, items } => put_items(conn, tenant, items).await,
            Self::Users { tenant, users } => put_users(conn, tenant, users).await,
            Self::EraseItem { tenant, id, time } => erase(conn, (tenant, "item", id), *time).await,
            Self::EraseUser { tenant, id, time } => erase(conn, (tenant, "user", id), *time).await,
            Self::DropEvents { tenant, kind, user, item } => {
                let sql = "DELETE FROM events WHERE tenant = $1 AND user_id = $2 AND item_id = $3 AND ($4 = '' OR kind = $4)";
                let query =
                    sqlx::query(sql).bind(tenant.clone()).bind(user.clone()).bind(item.clone());
                let done = query.bind(kind.clone().unwrap_or_default()).execute(conn).await?;
                Ok(Applied::rows(done.rows_affected()))
            }
            Self::Shown(lists) => put_shown(conn, lists).await,
            Self::ForgetShown { before } => {
                let query = sqlx::query(FORGET).bind(*before);
                Ok(Applied::rows(query.execute(conn).await?.rows_affected()))
            }
            Self::Begin(experiment) => experiments::begin(conn, experiment).await,
            Self::End(experiment) => experiments::end(conn, experiment).await,
            Self::Key(key) => put_key(conn, key).await,
            Self::RevokeKey { id, time } => {
                let sql = "UPDATE api_keys SET revoked = $1 WHERE id = $2 AND revoked = 0";
                let done = sqlx::query(sql).bind(*time).bind(id.clone()).execute(conn).await?;
                Ok(Applied::rows(done.rows_affected()))
            }
            Self::Import { tenant, rows } => import(conn, tenant, rows).await,
            Self::Act(act) => upkeep::put_act(conn, act).await,
            Self::Promoted(promotion) => upkeep::put_promotion(conn, promotion).await,
            Self::ForgetActs { before } => upkeep::forget_acts(conn, *before).await,
        }
    }
}

async fn import(conn: &mut AnyConnection, tenant: &str, rows: &Rows) -> Result<Applied, Error> {
    let (applied, kept) = match rows {
        Rows::Events(events, repeat) => {
            let living = upkeep::living_events(conn, tenant, events).await?;
            (put_events(conn, tenant, &living, *repeat).await?, living.len())
        }
        Rows::Items(items) => (put_items(conn, tenant, items).await?, items.len()),
        Rows::Users(users) => {
            let living = upkeep::living_users(conn, tenant, users).await?;
            (put_users(conn, tenant, &living).await?, living.len())
        }
    };
    Ok(Applied { left_out: (rows.len() - kept) as u64, ..applied })
}

async fn put_events(
    conn: &mut AnyConnection,
    tenant: &str,
    events: &[Event],
    repeat: Repeat,
) -> Result<Applied, Error> {
    match repeat {
        Repeat::Keep => keep_events(conn, tenant, events).await,
        Repeat::Newer => {
            replace_events(conn, tenant, events, " WHERE excluded.time >= events.time").await
        }
        Repeat::Later => {
            replace_events(conn, tenant, events, " WHERE excluded.time > events.time").await
        }
        Repeat::Replace => replace_events(conn, tenant, events, "").await,
    }
}

/// Writes `rows` groups of `width` numbered places.
fn places(rows: usize, width: usize) -> String {
    let row = |row: usize| {
        let all: Vec<String> =
            (1..=width).map(|column| format!("${}", row * width + column)).collect();
        format!("({})", all.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>;

fn bind_event<'q>(query: Query<'q>, tenant: &str, event: &Event) -> Query<'q> {
    let query = query.bind(tenant.to_owned()).bind(event.id.clone()).bind(event.user.clone());
    let query =
        query.bind(event.item.clone()).bind(event.kind.clone()).bind(event.value).bind(event.time);
    query.bind(event.recommendation.clone()).bind(event.comment.clone()).bind(event.detail.clone())
}

async fn keep_events(
    conn: &mut AnyConnection,
    tenant: &str,
    events: &[Event],
) -> Result<Applied, Error> {
    let mut fresh = Vec::with_capacity(events.len());
    for chunk in statements(events) {
        let sql = format!(
            "{EVENT}{} ON CONFLICT (tenant, id) DO NOTHING RETURNING id",
            places(chunk.len(), 10)
        );
        let query = sqlx::query(AssertSqlSafe(sql));
        let query = chunk.iter().fold(query, |query, event| bind_event(query, tenant, event));
        let rows = query.fetch_all(&mut *conn).await?;
        let mut written = HashSet::new();
        for row in rows {
            written.insert(row.try_get::<String, _>(0)?);
        }
        // Of two with one id in a statement the first was written.
        fresh.extend(chunk.iter().map(|event| written.remove(&event.id)));
    }
    Ok(Applied::events(fresh))
}

/// Cuts rows into statements of few sizes, so that prepared ones are found again.
fn statements<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let (many, few) = rows.split_at(rows.len() / ROWS * ROWS);
    many.chunks(ROWS).chain(few.chunks(1))
}

async fn replace_events(
    conn: &mut AnyConnection,
    tenant: &str,
    events: &[Event],
    only: &'static str,
) -> Result<Applied, Error> {
    let sql = format!("{EVENT}{}{OTHER_EVENT}{only}", places(1, 10));
    let mut fresh = Vec::with_capacity(events.len());
    for event in events {
        let query = bind_event(sqlx::query(AssertSqlSafe(sql.clone())), tenant, event);
        fresh.push(query.execute(&mut *conn).await?.rows_affected() > 0);
    }
    Ok(Applied::events(fresh))
}

async fn put_items(
    conn: &mut AnyConnection,
    tenant: &str,
    items: &[Item],
) -> Result<Applied, Error> {
    for item in items {
        let query = sqlx::query(ITEM)
            .bind(tenant.to_owned())
            .bind(item.id.clone())
            .bind(i64::from(item.hidden));
        let query = query
            .bind(item.categories.clone())
            .bind(item.fields.clone())
            .bind(item.comment.clone());
        query.bind(item.time).execute(&mut *conn).await?;
        // Who puts an item back wants it recommended again.
        let query =
            sqlx::query("DELETE FROM erased WHERE tenant = $1 AND kind = 'item' AND id = $2");
        query.bind(tenant.to_owned()).bind(item.id.clone()).execute(&mut *conn).await?;
    }
    Ok(Applied::rows(items.len() as u64))
}

async fn put_users(
    conn: &mut AnyConnection,
    tenant: &str,
    users: &[User],
) -> Result<Applied, Error> {
    for user in users {
        let query = sqlx::query(USER).bind(tenant.to_owned()).bind(user.id.clone());
        query.bind(user.fields.clone()).bind(user.comment.clone()).execute(&mut *conn).await?;
    }
    Ok(Applied::rows(users.len() as u64))
}

async fn put_shown(conn: &mut AnyConnection, lists: &[Shown]) -> Result<Applied, Error> {
    for chunk in statements(lists) {
        let sql = format!("{SHOWN}{} ON CONFLICT (tenant, id) DO NOTHING", places(chunk.len(), 10));
        let bind = |query: Query<'static>, shown: &Shown| {
            let query = query.bind(shown.tenant.clone()).bind(shown.id.clone()).bind(shown.time);
            let query = query.bind(shown.user.clone()).bind(shown.model.clone());
            let query = query.bind(shown.request.clone()).bind(shown.list.clone());
            query.bind(shown.experiment.clone()).bind(shown.arm.clone()).bind(shown.chances.clone())
        };
        chunk.iter().fold(sqlx::query(AssertSqlSafe(sql)), bind).execute(&mut *conn).await?;
    }
    Ok(Applied::rows(lists.len() as u64))
}

async fn put_key(conn: &mut AnyConnection, key: &KeyRecord) -> Result<Applied, Error> {
    let sql = "INSERT INTO tenants (name, created) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    sqlx::query(sql).bind(key.tenant.clone()).bind(key.created).execute(&mut *conn).await?;
    let query =
        sqlx::query(KEY).bind(key.tenant.clone()).bind(key.id.clone()).bind(key.label.clone());
    let query = query.bind(key.hash.clone()).bind(key.scope.to_string());
    let done = query.bind(key.created).bind(key.revoked).execute(&mut *conn).await?;
    Ok(Applied::rows(done.rows_affected()))
}

/// Removes somebody or something with all that hangs on it, and remembers that it is gone: models may still know it.
async fn erase(
    conn: &mut AnyConnection,
    (tenant, kind, id): (&str, &'static str, &str),
    time: i64,
) -> Result<Applied, Error> {
    let all: &[&'static str] = match kind {
        "user" => &[
            "DELETE FROM events WHERE tenant = $1 AND user_id = $2",
            "DELETE FROM recommendations WHERE tenant = $1 AND user_id = $2",
            "DELETE FROM users WHERE tenant = $1 AND id = $2",
        ],
        _ => &[
            "DELETE FROM events WHERE tenant = $1 AND item_id = $2",
            "DELETE FROM items WHERE tenant = $1 AND id = $2",
        ],
    };
    let mut rows = 0;
    for sql in all {
        let query = sqlx::query(*sql).bind(tenant.to_owned()).bind(id.to_owned());
        rows += query.execute(&mut *conn).await?.rows_affected();
    }
    let query =
        sqlx::query(ERASED).bind(tenant.to_owned()).bind(kind).bind(id.to_owned()).bind(time);
    query.execute(&mut *conn).await?;
    Ok(Applied::rows(rows))
}
