//! Answers that are computed or wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Error;
use crate::traces::child;

/// Turns for computing. The engine is synchronous: an answer takes a thread as long as it is computed.
#[derive(Debug)]
pub(crate) struct Workers {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
}

impl Workers {
    pub(crate) fn new(workers: usize, queue: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(workers.max(1))),
            waiting: AtomicUsize::new(0),
            queue,
        }
    }

    /// Counts who waits.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Counts the turns that nobody has.
    pub(super) fn free(&self) -> usize {
        self.turns.available_permits()
    }

    /// Computes on a thread of its own when it is its turn; turns away when too many wait.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = child("wait for a worker", self.turn()).await?;
        turn.compute(work).await
    }

    /// Waits for a turn; turns away when too many wait.
    pub(super) async fn turn(&self) -> Result<Turn, Error> {
        let _place = Place::take(&self.waiting, self.queue)?;
        let turn = self.turns.clone().acquire_owned().await;
        Ok(Turn { _permit: turn.map_err(|_| Error::Busy)? })
    }
}

/// May compute.
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    /// Computes on a thread of its own. Work goes on when nobody waits for it any more, and its turn with it.
    pub(super) async fn compute<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let work = move || {
            let _turn = self;
            work()
        };
        let done = child("compute", tokio::task::spawn_blocking(work)).await;
        done.unwrap_or_else(|error| {
            tracing::error!("computing an answer failed: {error}");
            Err(Error::Failed)
        })
    }
}

/// A place in the queue, given back however waiting ends.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, queue: usize) -> Result<Self, Error> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= queue { Err(Error::Busy) } else { Ok(place) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_finds_the_queue_full_is_turned_away_and_places_are_given_back() {
        let workers = Workers::new(1, 0);
        assert!(matches!(workers.run(|| Ok(1)).await, Err(Error::Busy)));
        assert_eq!(workers.waiting(), 0);
        let workers = Workers::new(1, 1);
        assert_eq!(workers.run(|| Ok(1)).await.unwrap(), 1);
        assert_eq!(workers.waiting(), 0);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_keeps_its_turn() {
        let workers = Workers::new(1, 1);
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let long = workers.run(move || Ok(ended.recv().is_ok()));
        let short = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(short, long).await.is_err());
        assert!(tokio::time::timeout(short, workers.run(|| Ok(1))).await.is_err());
        end.send(()).unwrap();
        assert_eq!(workers.run(|| Ok(1)).await.unwrap(), 1);
    }
}
