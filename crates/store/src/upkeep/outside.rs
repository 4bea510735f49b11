//! Word of what other processes wrote. A server keeps much in memory and knows its own writes; a process beside it, which was opened as
//! such, counts here what it writes, in the same transaction.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, Row as _};

use crate::{Applied, Change, Error, Store};

/// How much other processes wrote of a tenant's, ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// Commits.
    pub changes: i64,
    /// Those of them in which there were items.
    pub items: i64,
    /// Events that were new.
    pub events: i64,
}

/// Writes down that something comes. The first statement of a transaction: who writes first need not wait for the lock of SQLite later, with
/// a view of the store that has grown old.
pub(crate) async fn announce<'a>(
    conn: &mut AnyConnection,
    changes: impl Iterator<Item = &'a Change>,
) -> Result<(), Error> {
    let mut tenants: BTreeMap<&str, i64> = BTreeMap::new();
    for (tenant, has_items) in changes.filter_map(Change::touches) {
        let items = tenants.entry(tenant).or_default();
        *items = (*items).max(has_items.into());
    }
    for (tenant, items) in tenants {
        let sql = "INSERT INTO outside (tenant, changes, items, events) VALUES ($1, 1, $2, 0) \
             ON CONFLICT (tenant) DO UPDATE SET changes = outside.changes + 1, items = outside.items + excluded.items";
        sqlx::query(sql).bind(tenant.to_owned()).bind(items).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Writes down how many events of a change were new.
pub(crate) async fn count(
    conn: &mut AnyConnection,
    change: &Change,
    applied: &Applied,
) -> Result<(), Error> {
    let Some((tenant, false)) = change.touches() else { return Ok(()) };
    // Changes of events alone tell of each.
    let n = applied.fresh.iter().filter(|fresh| **fresh).count() as i64;
    if n > 0 {
        let sql = "UPDATE outside SET events = events + $1 WHERE tenant = $2";
        sqlx::query(sql).bind(n).bind(tenant.to_owned()).execute(conn).await?;
    }
    Ok(())
}

impl Store {
    /// Tells of each tenant how much other processes wrote, of those that wrote at all.
    pub async fn outside(&self) -> Result<Vec<(String, Outside)>, Error> {
        let rows =
            sqlx::query("SELECT tenant, changes, items, events FROM outside ORDER BY tenant")
                .fetch_all(&self.read)
                .await?;
        let read = |row: &sqlx::any::AnyRow| {
            let outside = Outside {
                changes: row.try_get(1)?,
                items: row.try_get(2)?,
                events: row.try_get(3)?,
            };
            Ok((row.try_get(0)?, outside))
        };
        rows.iter().map(read).collect()
    }
}
