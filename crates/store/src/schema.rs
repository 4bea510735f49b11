//! The schema in numbered steps of plain SQL. A store is brought up to date when it is opened, one step a transaction.

use sqlx::{AnyConnection, Connection as _, Row as _};

use crate::Error;
use crate::open::Kind;

/// All steps, the first is version 1.
const STEPS: [&str; 2] = [
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_experiments.sql"),
];
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
    let row = sqlx::query("SELECT COALESCE(MAX(version), 0) FROM schema_version")
        .fetch_one(&mut *conn)
        .await?;
    let (found, known) = (row.try_get::<i64, _>(0)?, STEPS.len() as i64);
    if found > known {
        return Err(Error::TooNew { found, known });
    }
    for (version, step) in (1..).zip(STEPS).filter(|(version, _)| *version > found) {
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
