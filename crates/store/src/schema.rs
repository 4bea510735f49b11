//! The schema in numbered steps of plain SQL. A store is brought up to date when it is opened, one step a transaction.

use sqlx::{AnyConnection, Connection as _, Row as _};

use crate::Error;
use crate::open::Kind;

/// All steps with their versions, in order.
const STEPS: [(i64, &str); 4] = [
    (1, include_str!("../migrations/0001_first.sql")),
    (2, include_str!("../migrations/0002_experiments.sql")),
    (3, include_str!("../migrations/0003_upkeep.sql")),
    (4, include_str!("../migrations/0004_promotions.sql")),
];
/// The newest version that is known.
pub(crate) const KNOWN: i64 = STEPS[STEPS.len() - 1].0;
/// Servers that open one Postgres at the same time take turns by this number.
const LOCK: &str = "SELECT pg_advisory_lock(7236529)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(7236529)";

pub(crate) async fn bring_up_to_date(conn: &mut AnyConnection, kind: Kind) -> Result<(), Error> {
    if kind == Kind::Postgres {
        sqlx::query(LOCK).execute(&mut *conn).await?;
    }
    let outcome = steps(conn).await;
    if kind == Kind::Postgres {
        sqlx::query(UNLOCK).execute(&mut *conn).await?;
    }
    outcome
}

async fn steps(conn: &mut AnyConnection) -> Result<(), Error> {
    sqlx::query("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY)")
        .execute(&mut *conn)
        .await?;
    let rows = sqlx::query("SELECT version FROM schema_version").fetch_all(&mut *conn).await?;
    let there: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    if let Some(found) = there.iter().copied().find(|version| *version > KNOWN) {
        return Err(Error::TooNew { found, known: KNOWN });
    }
    for (version, step) in STEPS.into_iter().filter(|(version, _)| !there.contains(version)) {
        let mut transaction = conn.begin().await?;
        let sql: String = step.lines().filter(|line| !line.starts_with("--")).collect();
        for statement in sql.split(';') {
            sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query("INSERT INTO schema_version (version) VALUES ($1)")
            .bind(version)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    Ok(())
}
