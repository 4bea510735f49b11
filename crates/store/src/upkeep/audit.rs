//! Who changed what: acts of administrators and erasures. No secrets and no bodies of requests.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::read::page;
use crate::{Applied, Error, Page, Store, is_tenant, new_id};

/// Longest subject that is kept, in bytes.
const MAX_SUBJECT: usize = 512;

/// Something that was done, or tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// In whose data.
    pub tenant: String,
    /// Its id; ids sort by time.
    pub id: String,
    /// When.
    pub time: i64,
    /// The open part of the key it was done with, `open` without one, `command line`, or `server`.
    pub who: String,
    /// What: a route, or a command.
    pub act: String,
    /// To whom or what; empty where there is nothing to name.
    pub subject: String,
    /// What came of it.
    pub outcome: String,
}

impl Act {
    /// Makes the record of something done at a time.
    pub fn new(tenant: &str, time: i64, who: &str, act: &str) -> Self {
        Self {
            tenant: tenant.into(),
            id: new_id(time),
            time,
            who: who.into(),
            act: act.into(),
            subject: String::new(),
            outcome: "done".into(),
        }
    }

    /// Names to whom or what; a long name is cut.
    #[must_use]
    pub fn on(mut self, subject: &str) -> Self {
        let mut end = subject.len().min(MAX_SUBJECT);
        while !subject.is_char_boundary(end) {
            end -= 1;
        }
        self.subject = subject[..end].replace('\0', "");
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if !is_tenant(&self.tenant) {
            return Err(Error::Tenant { name: self.tenant.clone() });
        }
        let texts = [&self.who, &self.act, &self.subject, &self.outcome];
        match texts.iter().any(|text| text.contains('\0')) {
            true => Err(Error::ZeroByte { field: "the record of an act" }),
            false => Ok(()),
        }
    }
}

pub(crate) async fn put(conn: &mut AnyConnection, act: &Act) -> Result<Applied, Error> {
    let sql = "INSERT INTO audit (tenant, id, time, who, act, subject, outcome) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let query = sqlx::query(sql).bind(act.tenant.clone()).bind(act.id.clone()).bind(act.time);
    let query = query.bind(act.who.clone()).bind(act.act.clone());
    let done = query.bind(act.subject.clone()).bind(act.outcome.clone()).execute(conn).await?;
    Ok(Applied::rows(done.rows_affected()))
}

pub(crate) async fn forget(conn: &mut AnyConnection, before: i64) -> Result<Applied, Error> {
    let query = sqlx::query("DELETE FROM audit WHERE time < $1").bind(before);
    Ok(Applied::rows(query.execute(conn).await?.rows_affected()))
}

impl Store {
    /// Lists what was done in a tenant's data, newest first.
    pub async fn acts(&self, tenant: &str, cursor: &str, n: usize) -> Result<Page<Act>, Error> {
        let sql = "SELECT tenant, id, time, who, act, subject, outcome FROM audit \
             WHERE tenant = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3";
        let read = |row: &AnyRow| {
            Ok(Act {
                tenant: row.try_get(0)?,
                id: row.try_get(1)?,
                time: row.try_get(2)?,
                who: row.try_get(3)?,
                act: row.try_get(4)?,
                subject: row.try_get(5)?,
                outcome: row.try_get(6)?,
            })
        };
        let rows = self.list(sql, (&[tenant, cursor], n), read).await?;
        Ok(page(rows, n, |act: &Act| act.id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_subject_is_cut_between_characters() {
        let act = Act::new("a", 1, "open", "x").on(&format!("x{}", "蜜".repeat(300)));
        assert_eq!(act.subject.len(), 1 + 3 * 170);
        assert!(act.check().is_ok());
    }
}
