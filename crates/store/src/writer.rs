//! The one task that writes: takes all that waits, writes it in one transaction, commits once, then says so to everybody.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::{AnyConnection, AnyPool, Connection as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::upkeep::outside::{self, Tells};
use crate::{Applied, Change, Error};

/// Most changes of one commit.
const GROUP: usize = 512;

/// Tells who waits what became of a change.
pub(crate) type Done = oneshot::Sender<Result<Applied, Error>>;

/// A change and who waits for it.
pub(crate) struct Waiting {
    pub(crate) change: Change,
    pub(crate) done: Option<Done>,
    /// The memory it takes while it waits.
    pub(crate) room: OwnedSemaphorePermit,
}

/// How the writer fares.
#[derive(Debug, Default)]
pub(crate) struct Load {
    commits: AtomicU64,
    lost: AtomicU64,
    /// Commits in which there were items that others were told of, by tenant.
    own_items: Mutex<HashMap<String, i64>>,
}

impl Load {
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(crate) fn own_items(&self) -> HashMap<String, i64> {
        self.own_items.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count_items(&self, tenants: Vec<String>) {
        let mut own = self.own_items.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.into_iter().for_each(|tenant| *own.entry(tenant).or_default() += 1);
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Where changes are written.
pub(crate) struct Target {
    pub(crate) pool: AnyPool,
    /// What other processes are told of.
    pub(crate) tells: Tells,
}

/// Runs until nobody can hand over changes any more.
pub(crate) async fn run(target: Target, mut waiting: mpsc::Receiver<Waiting>, load: Arc<Load>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let mut group = std::mem::take(&mut group);
        gather_shown(&mut group);
        match write(&target, &group, &load).await {
            Ok(applied) => {
                load.commits.fetch_add(1, Ordering::Relaxed);
                for (waiting, applied) in group.into_iter().zip(applied) {
                    waiting.answer(Ok(applied), &load);
                }
            }
            // One bad change must not take the others with it.
            Err(Error::Sql(sqlx::Error::Database(_))) if group.len() > 1 => {
                for waiting in group {
                    let outcome = write(&target, std::slice::from_ref(&waiting), &load).await;
                    waiting.answer(
                        outcome.map(|applied| applied.into_iter().next().unwrap_or_default()),
                        &load,
                    );
                }
            }
            Err(error) => {
                for waiting in group {
                    waiting.answer(Err(Error::NotWritten { why: error.to_string() }), &load);
                }
            }
        }
    }
}

impl Waiting {
    fn answer(self, outcome: Result<Applied, Error>, load: &Load) {
        match (self.done, outcome) {
            // Who does not wait any more has given up, and reads later what became of it.
            (Some(done), outcome) => drop(done.send(outcome)),
            (None, Err(error)) => {
                load.lost.fetch_add(self.change.rows(), Ordering::Relaxed);
                tracing::warn!("{error}");
            }
            (None, Ok(_)) => {}
        }
    }
}

/// Makes one change of all lists that were shown: they are many and nobody waits for them.
fn gather_shown(group: &mut Vec<Waiting>) {
    let (lists, mut others): (Vec<_>, Vec<_>) = std::mem::take(group)
        .into_iter()
        .partition(|waiting| matches!(waiting.change, Change::Shown(_)) && waiting.done.is_none());
    // Before everything else: who asks to flush waits for them.
    let one = lists.into_iter().reduce(|mut one, mut more| {
        if let (Change::Shown(all), Change::Shown(lists)) = (&mut one.change, &mut more.change) {
            all.append(lists);
        }
        one.room.merge(more.room);
        one
    });
    group.extend(one);
    group.append(&mut others);
}

async fn write(target: &Target, group: &[Waiting], load: &Load) -> Result<Vec<Applied>, Error> {
    let mut conn = target.pool.acquire().await?;
    let outcome = transact(&mut conn, group, target.tells).await;
    if outcome.is_err() {
        // A database may end a transaction by itself when it fails, as SQLite does on a full disk, and the driver then takes it for open:
        // what came next on this connection would be acknowledged as part of it, and never committed.
        conn.detach().close_hard().await.ok();
    }
    let (applied, told) = outcome?;
    load.count_items(told);
    Ok(applied)
}

async fn transact(
    conn: &mut AnyConnection,
    group: &[Waiting],
    tells: Tells,
) -> Result<(Vec<Applied>, Vec<String>), Error> {
    let mut transaction = conn.begin().await?;
    let mut applied = Vec::with_capacity(group.len());
    let changes = group.iter().map(|waiting| &waiting.change);
    let told = match tells {
        Tells::Nothing => Vec::new(),
        tells => outside::announce(&mut transaction, changes, tells).await?,
    };
    for waiting in group {
        let conn: &mut AnyConnection = &mut transaction;
        applied.push(waiting.change.apply(&mut *conn).await?);
        if let Some(applied) = applied.last().filter(|_| tells == Tells::All) {
            outside::count(conn, &waiting.change, applied).await?;
        }
    }
    transaction.commit().await?;
    Ok((applied, told))
}
