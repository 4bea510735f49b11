//! Which model answers for a tenant: word of one server to the others over the same database.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::{Applied, Error, Store, is_tenant};

/// The model that answers for a tenant since it was promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// Whose.
    pub tenant: String,
    /// The promotion's own id, another one each time.
    pub id: String,
    /// The model's name.
    pub model: String,
    /// When.
    pub time: i64,
}

impl Promotion {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !is_tenant(&self.tenant) {
            return Err(Error::Tenant { name: self.tenant.clone() });
        }
        match self.model.contains('\0') {
            true => Err(Error::ZeroByte { field: "the name of a model" }),
            false => Ok(()),
        }
    }
}

pub(crate) async fn put(conn: &mut AnyConnection, promotion: &Promotion) -> Result<Applied, Error> {
    let sql = "INSERT INTO promotions (tenant, id, model, time) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant) DO UPDATE SET id = excluded.id, model = excluded.model, time = excluded.time";
    let query = sqlx::query(sql).bind(promotion.tenant.clone()).bind(promotion.id.clone());
    let done = query.bind(promotion.model.clone()).bind(promotion.time).execute(conn).await?;
    Ok(Applied::rows(done.rows_affected()))
}

impl Store {
    /// Lists the last promotion of every tenant that had one.
    pub async fn promotions(&self) -> Result<Vec<Promotion>, Error> {
        let sql = "SELECT tenant, id, model, time FROM promotions ORDER BY tenant LIMIT $1";
        let read = |row: &AnyRow| {
            Ok(Promotion {
                tenant: row.try_get(0)?,
                id: row.try_get(1)?,
                model: row.try_get(2)?,
                time: row.try_get(3)?,
            })
        };
        self.list(sql, (&[], usize::MAX), read).await
    }
}
