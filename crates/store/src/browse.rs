//! What people look for who do not know ids: users by the beginning of their id, and what of a page is known here already.

use std::collections::HashSet;

use sqlx::{AssertSqlSafe, Row as _};

use crate::read::page;
use crate::{Error, Page, Store};

/// Longest list of ids that is asked for at once; SQLite takes some hundred values in a statement.
const MAX_IDS: usize = 200;

impl Store {
    /// Lists the ids of users that begin with a text: those with fields, and those who only did something.
    pub async fn user_ids(
        &self,
        tenant: &str,
        (beginning, cursor): (&str, &str),
        n: usize,
    ) -> Result<Page<String>, Error> {
        let from = |table: &str, column: &str| {
            format!(
                "SELECT {column} FROM (SELECT DISTINCT {column} FROM {table} WHERE tenant = $1 AND {column} > $2 \
                 AND {column} >= $3 AND substr({column}, 1, length($3)) = $3 ORDER BY {column} LIMIT $4) AS {table}_found"
            )
        };
        let sql = format!(
            "{} UNION {} ORDER BY 1 LIMIT $4",
            from("users", "id"),
            from("events", "user_id")
        );
        let binds = [tenant, cursor, beginning];
        let rows = self.list(sql, (&binds, n), |row| row.try_get(0)).await?;
        Ok(page(rows, n, String::clone))
    }

    /// Returns those of some users that are listed here, or were erased.
    pub async fn users_among(&self, tenant: &str, ids: &[&str]) -> Result<HashSet<String>, Error> {
        let wheres = [("id", "users", ""), ("user_id", "events", ""), ERASED_USER];
        self.among(tenant, ids, &wheres).await
    }

    /// Returns those of some items that are listed here, or were erased.
    pub async fn items_among(&self, tenant: &str, ids: &[&str]) -> Result<HashSet<String>, Error> {
        self.among(tenant, ids, &[("id", "items", ""), ERASED_ITEM]).await
    }

    async fn among(
        &self,
        tenant: &str,
        ids: &[&str],
        wheres: &[(&str, &str, &str)],
    ) -> Result<HashSet<String>, Error> {
        let mut found = HashSet::new();
        for ids in ids.chunks(MAX_IDS) {
            let places: Vec<String> = (2..ids.len() + 2).map(|n| format!("${n}")).collect();
            let places = places.join(", ");
            let select = |(column, table, more): &(&str, &str, &str)| {
                format!(
                    "SELECT {column} FROM {table} WHERE tenant = $1 AND {column} IN ({places}){more}"
                )
            };
            let sql = wheres.iter().map(select).collect::<Vec<_>>().join(" UNION ");
            let query = sqlx::query(AssertSqlSafe(sql)).bind(tenant.to_owned());
            let query = ids.iter().fold(query, |query, id| query.bind((*id).to_owned()));
            for row in query.fetch_all(&self.read).await? {
                found.insert(row.try_get(0)?);
            }
        }
        Ok(found)
    }
}

const ERASED_USER: (&str, &str, &str) = ("id", "erased", " AND kind = 'user'");
const ERASED_ITEM: (&str, &str, &str) = ("id", "erased", " AND kind = 'item'");
