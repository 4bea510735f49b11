//! Word of what other processes wrote. A server keeps much in memory and knows its own writes; a process beside it, which was opened as
//! such, counts here what it writes, in the same transaction. Servers that share a database count their changes of items: events of others
//! they find by reading users again every second, but a catalogue is not read again without a reason.

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

/// What other processes are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    /// Nobody else is there.
    Nothing,
    /// That items changed.
    Items,
    /// All that is written.
    All,
}

/// Writes down that something comes; returns whose items will have changed. The first statement of a transaction: who writes first need not wait for the lock of SQLite later, with
/// a view of the store that has grown old.
pub(crate) async fn announce<'a>(
    conn: &mut AnyConnection,
    changes: impl Iterator<Item = &'a Change>,
    tells: Tells,
) -> Result<Vec<String>, Error> {
    let mut tenants: BTreeMap<&str, i64> = BTreeMap::new();
    for (tenant, has_items) in changes.filter_map(Change::touches) {
        let items = tenants.entry(tenant).or_default();
        *items = (*items).max(has_items.into());
    }
    tenants.retain(|_, items| tells == Tells::All || (tells == Tells::Items && *items > 0));
    for (tenant, items) in &tenants {
        let sql = "INSERT INTO outside (tenant, changes, items, events) VALUES ($1, $2, $3, 0) \
             ON CONFLICT (tenant) DO UPDATE SET changes = outside.changes + excluded.changes, items = outside.items + excluded.items";
        let query = sqlx::query(sql).bind((*tenant).to_owned());
        query.bind(i64::from(tells == Tells::All)).bind(*items).execute(&mut *conn).await?;
    }
    let with_items = tenants.into_iter().filter(|(_, items)| *items > 0);
    Ok(with_items.map(|(tenant, _)| tenant.to_owned()).collect())
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
    /// Tells of each tenant how much other processes wrote, of those that wrote at all. Items of this process may be among them for a moment.
    pub async fn outside(&self) -> Result<Vec<(String, Outside)>, Error> {
        let own = self.load.own_items();
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
            let tenant: String = row.try_get(0)?;
            let items = outside.items - own.get(&tenant).copied().unwrap_or_default();
            Ok((tenant, Outside { items, ..outside }))
        };
        rows.iter().map(read).collect()
    }
}
