//! Everything that is asked of the store. Pages begin after a cursor, which is the place of the last row of the one before.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

use crate::open::Kind;
use crate::{Error, Event, Item, KeyRecord, Shown, Store, User};

/// Which events are wanted; `None` = all.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFilter<'a> {
    /// Of whom.
    pub user: Option<&'a str>,
    /// With what.
    pub item: Option<&'a str>,
    /// Of what kind.
    pub kind: Option<&'a str>,
}

/// Rows, and where the next ones begin.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where to go on; empty at the end.
    pub cursor: String,
}

const EVENT: &str =
    "SELECT id, user_id, item_id, kind, value, time, recommendation, comment, detail FROM events";
const ITEM: &str = "SELECT id, hidden, categories, fields, comment, time FROM items";
const USER: &str = "SELECT id, fields, comment FROM users";

pub(crate) const SHOWN: &str =
    "tenant, id, time, user_id, model, request, list, experiment, arm, chances";

fn event(row: &AnyRow) -> Result<Event, sqlx::Error> {
    Ok(Event {
        id: row.try_get(0)?,
        user: row.try_get(1)?,
        item: row.try_get(2)?,
        kind: row.try_get(3)?,
        value: row.try_get(4)?,
        time: row.try_get(5)?,
        recommendation: row.try_get(6)?,
        comment: row.try_get(7)?,
        detail: row.try_get(8)?,
    })
}

fn item(row: &AnyRow) -> Result<Item, sqlx::Error> {
    Ok(Item {
        id: row.try_get(0)?,
        hidden: row.try_get::<i64, _>(1)? != 0,
        categories: row.try_get(2)?,
        fields: row.try_get(3)?,
        comment: row.try_get(4)?,
        time: row.try_get(5)?,
    })
}

fn user(row: &AnyRow) -> Result<User, sqlx::Error> {
    Ok(User { id: row.try_get(0)?, fields: row.try_get(1)?, comment: row.try_get(2)? })
}

pub(crate) fn shown(row: &AnyRow) -> Result<Shown, sqlx::Error> {
    Ok(Shown {
        tenant: row.try_get(0)?,
        id: row.try_get(1)?,
        time: row.try_get(2)?,
        user: row.try_get(3)?,
        model: row.try_get(4)?,
        request: row.try_get(5)?,
        list: row.try_get(6)?,
        experiment: row.try_get(7)?,
        arm: row.try_get(8)?,
        chances: row.try_get(9)?,
    })
}

/// Returns the pattern of whatever holds a text.
fn holding(text: &str) -> String {
    format!("%{}%", text.replace('!', "!!").replace('%', "!%").replace('_', "!_"))
}

pub(crate) fn page<T>(rows: Vec<T>, n: usize, place: impl Fn(&T) -> String) -> Page<T> {
    let is_full = rows.len() >= n;
    let cursor = rows.last().filter(|_| is_full).map(place).unwrap_or_default();
    Page { rows, cursor }
}

impl Store {
    async fn rows(
        &self,
        sql: impl Into<String>,
        binds: &[&str],
        n: i64,
    ) -> Result<Vec<AnyRow>, Error> {
        let query = sqlx::query(AssertSqlSafe(sql.into()));
        let query = binds.iter().fold(query, |query, text| query.bind((*text).to_owned()));
        Ok(query.bind(n).fetch_all(&self.read).await?)
    }

    pub(crate) async fn list<T>(
        &self,
        sql: impl Into<String>,
        (binds, n): (&[&str], usize),
        read: fn(&AnyRow) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, Error> {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        let rows = self.rows(sql, binds, n).await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Returns the last `n` things a user did up to an event, which is given by its time and id, oldest first; all of them up to
    /// `(i64::MAX, "")`. What was only shown to them is left out.
    pub async fn history(
        &self,
        (tenant, user): (&str, &str),
        (time, id): (i64, &str),
        n: usize,
    ) -> Result<Vec<Event>, Error> {
        let sql = format!(
            "{EVENT} WHERE tenant = $1 AND user_id = $2 AND kind <> 'impression' AND (time < $3 OR (time = $3 AND id <= $4)) \
             ORDER BY time DESC, id DESC LIMIT $5"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(tenant.to_owned()).bind(user.to_owned());
        let query = query.bind(time).bind(id.to_owned()).bind(i64::try_from(n).unwrap_or(i64::MAX));
        let rows = query.fetch_all(&self.read).await?;
        let mut events: Vec<Event> = rows.iter().map(event).collect::<Result<_, _>>()?;
        events.reverse();
        Ok(events)
    }

    /// Lists the items that somebody took, by their ids.
    pub async fn taken_items(
        &self,
        tenant: &str,
        cursor: &str,
        n: usize,
    ) -> Result<Page<String>, Error> {
        let sql = "SELECT item_id FROM events WHERE tenant = $1 AND item_id > $2 AND kind <> 'impression' GROUP BY item_id ORDER BY item_id LIMIT $3";
        let rows = self.list(sql, (&[tenant, cursor], n), |row| row.try_get(0)).await?;
        Ok(page(rows, n, String::clone))
    }

    /// Lists who took an item last, with the values of their events, the last first. Who was erased is left out, also if they came back.
    pub async fn takers(
        &self,
        (tenant, item): (&str, &str),
        n: usize,
    ) -> Result<Vec<(String, f64)>, Error> {
        let sql = "SELECT user_id, value FROM events WHERE tenant = $1 AND item_id = $2 AND kind <> 'impression' AND NOT EXISTS \
             (SELECT 1 FROM erased WHERE erased.tenant = events.tenant AND erased.kind = 'user' AND erased.id = events.user_id) \
             ORDER BY time DESC, id DESC LIMIT $3";
        self.list(sql, (&[tenant, item], n), |row| Ok((row.try_get(0)?, row.try_get(1)?))).await
    }

    /// Lists the items a user took before an event, which is given by its time and id, the last taken first.
    pub async fn taken_before(
        &self,
        (tenant, user): (&str, &str),
        (time, id): (i64, &str),
        n: usize,
    ) -> Result<Vec<String>, Error> {
        let sql = "SELECT item_id FROM events WHERE tenant = $1 AND user_id = $2 AND kind <> 'impression' \
             AND (time < $3 OR (time = $3 AND id < $4)) GROUP BY item_id ORDER BY MAX(time) DESC, item_id LIMIT $5";
        let query = sqlx::query(sql).bind(tenant.to_owned()).bind(user.to_owned());
        let query = query.bind(time).bind(id.to_owned()).bind(i64::try_from(n).unwrap_or(i64::MAX));
        let rows = query.fetch_all(&self.read).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Lists events in the order of their ids.
    pub async fn events(
        &self,
        tenant: &str,
        filter: &EventFilter<'_>,
        cursor: &str,
        n: usize,
    ) -> Result<Page<Event>, Error> {
        let mut sql = format!("{EVENT} WHERE tenant = $1 AND id > $2");
        let mut binds = vec![tenant, cursor];
        for (column, value) in
            [("user_id", filter.user), ("item_id", filter.item), ("kind", filter.kind)]
        {
            if let Some(value) = value {
                binds.push(value);
                sql.push_str(&format!(" AND {column} = ${}", binds.len()));
            }
        }
        sql.push_str(&format!(" ORDER BY id LIMIT ${}", binds.len() + 1));
        let rows = self.list(sql, (&binds, n), event).await?;
        Ok(page(rows, n, |event| event.id.clone()))
    }

    /// Finds an item.
    pub async fn item(&self, tenant: &str, id: &str) -> Result<Option<Item>, Error> {
        let sql = format!("{ITEM} WHERE tenant = $1 AND id = $2 LIMIT $3");
        Ok(self.list(sql, (&[tenant, id], 1), item).await?.pop())
    }

    /// Lists items in the order of their ids.
    pub async fn items(&self, tenant: &str, cursor: &str, n: usize) -> Result<Page<Item>, Error> {
        let sql = format!("{ITEM} WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3");
        Ok(page(self.list(sql, (&[tenant, cursor], n), item).await?, n, |item| item.id.clone()))
    }

    /// Lists the newest items that are not hidden.
    pub async fn latest(&self, tenant: &str, n: usize) -> Result<Vec<Item>, Error> {
        let sql =
            format!("{ITEM} WHERE tenant = $1 AND hidden = 0 ORDER BY time DESC, id LIMIT $2");
        self.list(sql, (&[tenant], n), item).await
    }

    /// Lists the ids of items in a category.
    pub async fn in_category(&self, tenant: &str, category: &str) -> Result<Vec<String>, Error> {
        let sql = "SELECT id, categories FROM items WHERE tenant = $1 AND categories LIKE $2 ESCAPE '!' LIMIT $3";
        // Categories are kept as a JSON list: the one that is looked for stands in it as JSON writes it. Engines differ in whether small
        // letters are like capitals, so what is found is looked at again.
        let pattern = holding(&serde_json::Value::from(category).to_string());
        let read = |row: &AnyRow| Ok((row.try_get(0)?, row.try_get(1)?));
        let found: Vec<(String, String)> =
            self.list(sql, (&[tenant, &pattern], usize::MAX), read).await?;
        let holds = |list: &str| {
            let list: Vec<String> = serde_json::from_str(list).unwrap_or_default();
            list.iter().any(|own| own == category)
        };
        Ok(found.into_iter().filter(|(_, list)| holds(list)).map(|(id, _)| id).collect())
    }

    /// Lists items whose id, comment or fields hold all words of a text; the first eight words count.
    pub async fn search_items(
        &self,
        tenant: &str,
        words: &str,
        n: usize,
    ) -> Result<Vec<Item>, Error> {
        // SQLite makes small letters of ASCII alone, and the words must be written as it writes what it looks in.
        let words = match self.kind {
            Kind::Sqlite => words.to_ascii_lowercase(),
            Kind::Postgres => words.to_lowercase(),
        };
        let words = words.replace('\0', " ");
        let patterns: Vec<String> = words.split_whitespace().take(8).map(holding).collect();
        let mut sql = format!("{ITEM} WHERE tenant = $1");
        let mut binds = vec![tenant];
        for pattern in &patterns {
            binds.push(pattern);
            let place = binds.len();
            sql.push_str(&format!(
                " AND LOWER(id || ' ' || comment || ' ' || fields) LIKE ${place} ESCAPE '!'"
            ));
        }
        sql.push_str(&format!(" ORDER BY id LIMIT ${}", binds.len() + 1));
        self.list(sql, (&binds, n), item).await
    }

    /// Counts the users of each item, the most taken first.
    pub async fn popular(&self, tenant: &str, n: usize) -> Result<Vec<(String, i64)>, Error> {
        let sql = "SELECT item_id, COUNT(DISTINCT user_id) AS takers FROM events WHERE tenant = $1 AND kind <> 'impression' \
             GROUP BY item_id ORDER BY takers DESC, item_id LIMIT $2";
        self.list(sql, (&[tenant], n), |row| Ok((row.try_get(0)?, row.try_get(1)?))).await
    }

    /// Lists the ids of items that must not be recommended: hidden or erased.
    pub async fn barred(&self, tenant: &str) -> Result<Vec<String>, Error> {
        let sql = "SELECT id FROM items WHERE tenant = $1 AND hidden = 1 UNION \
             SELECT id FROM erased WHERE tenant = $1 AND kind = 'item' LIMIT $2";
        self.list(sql, (&[tenant], usize::MAX), |row| row.try_get(0)).await
    }

    /// Tells when something or somebody was erased.
    async fn erased(&self, (tenant, kind, id): (&str, &str, &str)) -> Result<Option<i64>, Error> {
        let sql = "SELECT time FROM erased WHERE tenant = $1 AND kind = $2 AND id = $3 LIMIT $4";
        Ok(self.list(sql, (&[tenant, kind, id], 1), |row| row.try_get(0)).await?.pop())
    }

    /// Lists erased users or items in the order of their ids, with when that was.
    pub async fn erased_since_ever(
        &self,
        (tenant, kind): (&str, &str),
        cursor: &str,
        n: usize,
    ) -> Result<Page<(String, i64)>, Error> {
        let sql = "SELECT id, time FROM erased WHERE tenant = $1 AND kind = $2 AND id > $3 ORDER BY id LIMIT $4";
        let read = |row: &AnyRow| Ok((row.try_get(0)?, row.try_get(1)?));
        let rows: Vec<(String, i64)> = self.list(sql, (&[tenant, kind, cursor], n), read).await?;
        Ok(page(rows, n, |(id, _)| id.clone()))
    }

    /// Tells when a user was erased.
    pub async fn erased_user(&self, tenant: &str, id: &str) -> Result<Option<i64>, Error> {
        self.erased((tenant, "user", id)).await
    }

    /// Tells when an item was erased.
    pub async fn erased_item(&self, tenant: &str, id: &str) -> Result<Option<i64>, Error> {
        self.erased((tenant, "item", id)).await
    }

    /// Finds a user.
    pub async fn user(&self, tenant: &str, id: &str) -> Result<Option<User>, Error> {
        let sql = format!("{USER} WHERE tenant = $1 AND id = $2 LIMIT $3");
        Ok(self.list(sql, (&[tenant, id], 1), user).await?.pop())
    }

    /// Lists users in the order of their ids.
    pub async fn users(&self, tenant: &str, cursor: &str, n: usize) -> Result<Page<User>, Error> {
        let sql = format!("{USER} WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3");
        Ok(page(self.list(sql, (&[tenant, cursor], n), user).await?, n, |user| user.id.clone()))
    }

    /// Finds a list that was shown.
    pub async fn shown(&self, tenant: &str, id: &str) -> Result<Option<Shown>, Error> {
        let sql =
            format!("SELECT {SHOWN} FROM recommendations WHERE tenant = $1 AND id = $2 LIMIT $3");
        Ok(self.list(sql, (&[tenant, id], 1), shown).await?.pop())
    }

    /// Lists all keys, the revoked ones too.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, Error> {
        let sql = "SELECT tenant, id, label, hash, scope, created, revoked FROM api_keys ORDER BY created, id";
        let rows = sqlx::query(sql).fetch_all(&self.read).await?;
        rows.iter()
            .map(|row| {
                Ok(KeyRecord {
                    tenant: row.try_get(0)?,
                    id: row.try_get(1)?,
                    label: row.try_get(2)?,
                    hash: row.try_get(3)?,
                    scope: row.try_get::<String, _>(4)?.parse()?,
                    created: row.try_get(5)?,
                    revoked: row.try_get(6)?,
                })
            })
            .collect()
    }

    /// Counts what users did after a time.
    pub async fn events_after(&self, tenant: &str, time: i64) -> Result<i64, Error> {
        let sql =
            "SELECT COUNT(*) FROM events WHERE tenant = $1 AND time > $2 AND kind <> 'impression'";
        let query = sqlx::query(sql).bind(tenant.to_owned()).bind(time);
        Ok(query.fetch_one(&self.read).await?.try_get(0)?)
    }

    /// Counts users, items, events and lists that were shown.
    pub async fn counts(&self, tenant: &str) -> Result<[i64; 4], Error> {
        let sql = "SELECT (SELECT COUNT(*) FROM users WHERE tenant = $1), (SELECT COUNT(*) FROM items WHERE tenant = $1), \
             (SELECT COUNT(*) FROM events WHERE tenant = $1), (SELECT COUNT(*) FROM recommendations WHERE tenant = $1)";
        let row = sqlx::query(sql).bind(tenant.to_owned()).fetch_one(&self.read).await?;
        Ok([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?])
    }
}
