//! Experiments: which there are, what became of those who took part, and lists that were drawn with known chances.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::read::{SHOWN, page, shown};
use crate::{Applied, Error, Page, Shown, Store};

/// An experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiment {
    /// Whose.
    pub tenant: String,
    /// Its name, unlike that of any other of the tenant.
    pub name: String,
    /// Its arms and all else, as JSON.
    pub definition: String,
    /// When it began.
    pub started: i64,
    /// When it ended; 0 = it has not.
    pub ended: i64,
    /// What came of it, as JSON; empty until then.
    pub results: String,
}

/// Which participants of an experiment are wanted. Each counts within a window that begins with the first list they are shown.
#[derive(Clone, Copy, Debug)]
pub struct Participants<'a> {
    /// Whose.
    pub tenant: &'a str,
    /// Of which experiment.
    pub experiment: &'a str,
    /// Milliseconds of the window.
    pub lasts: i64,
    /// The kinds of events that count; all but impressions when empty.
    pub kinds: &'a [String],
    /// Lists and events up to here.
    pub until: i64,
}

/// What somebody did within their window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Who.
    pub user: String,
    /// Which arm they were in.
    pub arm: String,
    /// When it began.
    pub began: i64,
    /// Lists they were shown.
    pub lists: i64,
    /// Lists that they took something from.
    pub taken: i64,
    /// Items that a client says they saw.
    pub impressions: i64,
    /// Events that count.
    pub successes: i64,
}

const EXPERIMENT: &str =
    "SELECT tenant, name, definition, started, ended, results FROM experiments";

fn experiment(row: &AnyRow) -> Result<Experiment, sqlx::Error> {
    Ok(Experiment {
        tenant: row.try_get(0)?,
        name: row.try_get(1)?,
        definition: row.try_get(2)?,
        started: row.try_get(3)?,
        ended: row.try_get(4)?,
        results: row.try_get(5)?,
    })
}

fn participant(row: &AnyRow) -> Result<Participant, sqlx::Error> {
    Ok(Participant {
        user: row.try_get(0)?,
        arm: row.try_get(1)?,
        began: row.try_get(2)?,
        lists: row.try_get(3)?,
        taken: row.try_get(4)?,
        impressions: row.try_get(5)?,
        successes: row.try_get(6)?,
    })
}

/// Says of an event `e` whether it is of one of so many kinds, which are bound from place `first` on.
fn is_of(kinds: usize, first: usize) -> String {
    let places: Vec<String> = (first..first + kinds).map(|place| format!("${place}")).collect();
    match kinds {
        0 => "e.kind <> 'impression'".into(),
        _ => format!("e.kind IN ({})", places.join(", ")),
    }
}

impl Store {
    /// Finds an experiment.
    pub async fn experiment(&self, tenant: &str, name: &str) -> Result<Option<Experiment>, Error> {
        let sql = format!("{EXPERIMENT} WHERE tenant = $1 AND name = $2 LIMIT $3");
        Ok(self.list(sql, (&[tenant, name], 1), experiment).await?.pop())
    }

    /// Finds the experiment that has not ended.
    pub async fn running_experiment(&self, tenant: &str) -> Result<Option<Experiment>, Error> {
        let sql = format!("{EXPERIMENT} WHERE tenant = $1 AND ended = 0 LIMIT $2");
        Ok(self.list(sql, (&[tenant], 1), experiment).await?.pop())
    }

    /// Lists experiments, the one that began last first.
    pub async fn experiments(&self, tenant: &str, n: usize) -> Result<Vec<Experiment>, Error> {
        let sql = format!("{EXPERIMENT} WHERE tenant = $1 ORDER BY started DESC, name LIMIT $2");
        self.list(sql, (&[tenant], n), experiment).await
    }

    /// Lists the participants of an experiment in the order of their ids. An event counts for a list that it names, when it is of the list's
    /// user and not older than the list.
    pub async fn participants(
        &self,
        of: &Participants<'_>,
        cursor: &str,
        n: usize,
    ) -> Result<Page<Participant>, Error> {
        // The condition on `experiment` is there twice for the index, which holds lists of experiments alone. SQLite takes a cross join's
        // tables in their order: people first, else it reads all lists for every page.
        let success = is_of(of.kinds.len(), 7);
        let sql = format!(
            "WITH people AS ( \
               SELECT user_id, MIN(arm) AS arm, MIN(time) AS began FROM recommendations \
               WHERE tenant = $1 AND experiment = $2 AND experiment <> '' AND user_id > $3 AND time <= $4 \
               GROUP BY user_id ORDER BY user_id LIMIT $6), \
             lists AS ( \
               SELECT t.user_id, t.arm, t.began, r.id, r.time FROM people t CROSS JOIN recommendations r \
               WHERE r.tenant = $1 AND r.experiment = $2 AND r.experiment <> '' AND r.user_id = t.user_id \
               AND r.time <= t.began + $5 AND r.time <= $4) \
             SELECT l.user_id, MIN(l.arm), MIN(l.began), COUNT(DISTINCT l.id), COUNT(DISTINCT CASE WHEN {success} THEN l.id END), \
               COUNT(CASE WHEN e.kind = 'impression' THEN 1 END), COUNT(CASE WHEN {success} THEN 1 END) \
             FROM lists l LEFT JOIN events e ON e.tenant = $1 AND e.user_id = l.user_id AND e.time >= l.time \
               AND e.time <= l.began + $5 AND e.time <= $4 AND e.recommendation = l.id \
             GROUP BY l.user_id ORDER BY l.user_id"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(of.tenant.to_owned());
        let query = query.bind(of.experiment.to_owned()).bind(cursor.to_owned());
        let query = query.bind(of.until).bind(of.lasts).bind(i64::try_from(n).unwrap_or(i64::MAX));
        let query = of.kinds.iter().fold(query, |query, kind| query.bind(kind.clone()));
        let rows = query.fetch_all(&self.read).await?;
        let rows = rows.iter().map(participant).collect::<Result<_, _>>()?;
        Ok(page(rows, n, |one: &Participant| one.user.clone()))
    }

    /// Lists the newest lists of users that were drawn between two times, each with what its user took of it within `lasts` milliseconds
    /// by events of some kinds, all but impressions when none is named.
    pub async fn drawn(
        &self,
        (tenant, (since, until)): (&str, (i64, i64)),
        (kinds, lasts): (&[String], i64),
        n: usize,
    ) -> Result<Vec<(Shown, Vec<String>)>, Error> {
        let success = is_of(kinds.len(), 6);
        let columns = SHOWN.replace(", ", ", l.");
        let sql = format!(
            "SELECT l.{columns}, COALESCE(e.item_id, '') FROM ( \
               SELECT {SHOWN} FROM recommendations WHERE tenant = $1 AND chances <> '' AND user_id <> '' AND time >= $2 AND time <= $5 \
               ORDER BY time DESC, id DESC LIMIT $3) l \
             LEFT JOIN events e ON e.tenant = $1 AND e.user_id = l.user_id AND e.time >= l.time AND e.time <= l.time + $4 \
               AND e.recommendation = l.id AND {success} \
             ORDER BY l.time DESC, l.id DESC"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(tenant.to_owned()).bind(since);
        let query = query.bind(i64::try_from(n).unwrap_or(i64::MAX)).bind(lasts).bind(until);
        let query = kinds.iter().fold(query, |query, kind| query.bind(kind.clone()));
        let mut lists: Vec<(Shown, Vec<String>)> = Vec::new();
        for row in query.fetch_all(&self.read).await? {
            let (list, taken) =
                (shown(&row)?, row.try_get::<String, _>(SHOWN.split(", ").count())?);
            if lists.last().is_none_or(|(last, _)| last.id != list.id) {
                lists.push((list, Vec::new()));
            }
            if let Some((_, all)) = lists.last_mut().filter(|_| !taken.is_empty()) {
                all.push(taken);
            }
        }
        Ok(lists)
    }
}

/// Begins an experiment, if there is none of this name and none that runs.
pub(crate) async fn begin(conn: &mut AnyConnection, new: &Experiment) -> Result<Applied, Error> {
    let sql = "INSERT INTO experiments (tenant, name, definition, started, ended, results) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let query = sqlx::query(sql).bind(new.tenant.clone()).bind(new.name.clone());
    let query = query.bind(new.definition.clone()).bind(new.started).bind(new.ended);
    let done = query.bind(new.results.clone()).execute(conn).await?;
    Ok(Applied::rows(done.rows_affected()))
}

/// Ends an experiment, or says what came of one that has ended.
pub(crate) async fn end(conn: &mut AnyConnection, old: &Experiment) -> Result<Applied, Error> {
    let sql = "UPDATE experiments SET ended = $1, results = $2 WHERE tenant = $3 AND name = $4 AND (ended = 0 OR ended = $1)";
    let query = sqlx::query(sql).bind(old.ended).bind(old.results.clone());
    let done = query.bind(old.tenant.clone()).bind(old.name.clone()).execute(conn).await?;
    Ok(Applied::rows(done.rows_affected()))
}
