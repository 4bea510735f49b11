//! Work of one kind that several wait for: whoever gets a turn does it for some of the others too, which takes less than a turn for each.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Workers;
use super::workers::Turn;
use crate::Error;
use crate::traces::child;

/// Most that one turn is for: the last of them waits for all of it.
const MOST: usize = 4;

/// What can be done for several at once.
pub(crate) trait Job: Send + 'static {
    /// What comes of it.
    type Done: Send + 'static;

    /// Tells whether it can be done together with another one.
    fn goes_with(&self, other: &Self) -> bool;

    /// Does all of `jobs`, and says in their order what has come of them.
    fn done(jobs: &[Self]) -> Vec<Result<Self::Done, Error>>
    where
        Self: Sized;
}

type Reply<J> = oneshot::Sender<Result<<J as Job>::Done, Error>>;

struct Waiting<J: Job> {
    number: u64,
    job: J,
    reply: Reply<J>,
}

/// Those who wait.
pub(crate) struct Together<J: Job> {
    line: Mutex<VecDeque<Waiting<J>>>,
    numbers: AtomicU64,
}

impl<J: Job> Default for Together<J> {
    fn default() -> Self {
        Self { line: Mutex::default(), numbers: AtomicU64::default() }
    }
}

impl<J: Job> Together<J> {
    /// Does a job when it is its turn, or that of another one it goes with; turns away when too many wait.
    pub(crate) async fn run(&self, workers: &Workers, job: J) -> Result<J::Done, Error> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        self.line().push_back(Waiting { number, job, reply });
        let _place = Place { together: self, number };
        let own = match child("wait for a worker", self.wait(workers, number, answer)).await {
            Ended::Answered(done) => return done,
            Ended::Turn(turn, own) => turn.compute(move || Ok(own.done())),
        };
        own.await?
    }

    /// Waits for the answer, or for a turn.
    async fn wait(
        &self,
        workers: &Workers,
        number: u64,
        mut answer: oneshot::Receiver<Result<J::Done, Error>>,
    ) -> Ended<J> {
        let turn = tokio::select! {
            biased;
            done = &mut answer => return Ended::Answered(done.unwrap_or(Err(Error::Failed))),
            turn = workers.turn() => turn,
        };
        match turn.map(|turn| (self.take(number, workers.free()), turn)) {
            Ok((Some(own), turn)) => Ended::Turn(turn, own),
            // Another turn has taken it along, and this one is for somebody else.
            Ok((None, turn)) => {
                drop(turn);
                Ended::Answered(answer.await.unwrap_or(Err(Error::Failed)))
            }
            Err(error) => Ended::Answered(Err(error)),
        }
    }

    fn line(&self) -> MutexGuard<'_, VecDeque<Waiting<J>>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the job with this number out of the line, if it is still there, and others that find none of the `free` turns.
    fn take(&self, number: u64, free: usize) -> Option<Taken<J>> {
        let mut line = self.line();
        let own = line.iter().position(|one| one.number == number)?;
        let Waiting { job, reply: _own, .. } = line.remove(own)?;
        let mut taken = Taken { jobs: vec![job], replies: Vec::new() };
        let mut place = 0;
        while taken.jobs.len() < MOST && line.len() > free && place < line.len() {
            match line[place].job.goes_with(&taken.jobs[0]) {
                true => {
                    let Waiting { job, reply, .. } = line.remove(place)?;
                    taken.jobs.push(job);
                    taken.replies.push(reply);
                }
                false => place += 1,
            }
        }
        Some(taken)
    }
}

/// How waiting ends.
enum Ended<J: Job> {
    Answered(Result<J::Done, Error>),
    Turn(Turn, Taken<J>),
}

/// Jobs for one turn: its own, and others with those who wait for them.
struct Taken<J: Job> {
    jobs: Vec<J>,
    replies: Vec<Reply<J>>,
}

impl<J: Job> Taken<J> {
    /// Does them, answers the others and returns what has come of its own. Where doing all at once panics each is done alone, so that nobody
    /// suffers for another one.
    fn done(self) -> Result<J::Done, Error> {
        let done = |jobs: &[J]| catch_unwind(AssertUnwindSafe(|| J::done(jobs)));
        let alone = |job| {
            let mut one = done(std::slice::from_ref(job)).unwrap_or_else(|_| {
                tracing::error!("computing an answer failed");
                Vec::new()
            });
            one.pop().unwrap_or(Err(Error::Failed))
        };
        let all = done(&self.jobs).unwrap_or_else(|_| self.jobs.iter().map(alone).collect());
        let mut all = all.into_iter();
        let own = all.next().unwrap_or(Err(Error::Failed));
        for (done, reply) in all.zip(self.replies) {
            // Whoever does not wait any more needs no answer.
            drop(reply.send(done));
        }
        own
    }
}

/// A place in line, given up however waiting ends.
struct Place<'a, J: Job> {
    together: &'a Together<J>,
    number: u64,
}

impl<J: Job> Drop for Place<'_, J> {
    fn drop(&mut self) {
        self.together.line().retain(|one| one.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;

    /// A kind that panics.
    const BAD: u8 = 9;

    /// Tells how many were done together; waits for a word before that, if it is to.
    struct Counted {
        kind: u8,
        word: Option<Mutex<Receiver<()>>>,
    }

    impl Counted {
        fn new(kind: u8) -> Self {
            Self { kind, word: None }
        }
    }

    impl Job for Counted {
        type Done = usize;

        fn goes_with(&self, other: &Self) -> bool {
            self.kind == other.kind || self.kind == BAD
        }

        fn done(jobs: &[Self]) -> Vec<Result<usize, Error>> {
            assert!(jobs.iter().all(|job| job.kind != BAD), "this one cannot be done");
            for word in jobs.iter().filter_map(|job| job.word.as_ref()) {
                word.lock().unwrap().recv().unwrap();
            }
            jobs.iter().map(|_| Ok(jobs.len())).collect()
        }
    }

    #[tokio::test]
    async fn those_who_wait_for_the_same_are_served_together_and_all_are_served() {
        let (workers, together) = (Arc::new(Workers::new(1, 99)), Arc::new(Together::default()));
        let (speak, word) = channel();
        let ask = |job| {
            let (workers, together) = (workers.clone(), together.clone());
            tokio::spawn(async move { together.run(&workers, job).await.unwrap() })
        };
        let first = ask(Counted { kind: 0, word: Some(Mutex::new(word)) });
        while workers.free() > 0 || !together.line().is_empty() {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = [1, 1, 2, 1, 1, 1].map(Counted::new).map(ask).into_iter().collect();
        while together.line().len() < 6 {
            tokio::task::yield_now().await;
        }
        speak.send(()).unwrap();
        assert_eq!(first.await.unwrap(), 1);
        let mut sizes = Vec::new();
        for other in others {
            sizes.push(other.await.unwrap());
        }
        assert_eq!(sizes, [4, 4, 1, 4, 4, 1]);
        assert!(together.line().is_empty() && workers.waiting() == 0);
    }

    type Answer = oneshot::Receiver<Result<usize, Error>>;

    fn wait(together: &Together<Counted>, number: u64, kind: u8) -> Answer {
        let (reply, answer) = oneshot::channel();
        together.line().push_back(Waiting { number, job: Counted::new(kind), reply });
        answer
    }

    #[tokio::test]
    async fn nobody_is_taken_along_who_could_have_a_turn_of_their_own() {
        let together = Together::default();
        let [first, _second, _third] =
            [wait(&together, 0, 1), wait(&together, 1, 1), wait(&together, 2, 1)];
        assert_eq!(together.take(1, 1).unwrap().done().unwrap(), 2);
        assert_eq!(first.await.unwrap().unwrap(), 2);
        assert!(together.take(0, 0).is_none(), "it was taken along");
        assert_eq!(together.line().len(), 1, "one of the others has a turn of its own");
        assert_eq!(together.take(2, 1).unwrap().done().unwrap(), 1);
    }

    #[tokio::test]
    async fn nobody_suffers_for_another_one() {
        let together = Together::default();
        let [_own, bad, good] =
            [wait(&together, 0, 1), wait(&together, 1, BAD), wait(&together, 2, 1)];
        assert_eq!(together.take(0, 0).unwrap().done().unwrap(), 1);
        assert!(bad.await.unwrap().is_err());
        assert_eq!(good.await.unwrap().unwrap(), 1);
    }

    #[tokio::test]
    async fn who_is_turned_away_or_goes_leaves_no_work_behind() {
        let (full, together) = (Arc::new(Workers::new(1, 0)), Arc::new(Together::default()));
        assert!(matches!(together.run(&full, Counted::new(1)).await, Err(Error::Busy)));
        assert!(together.line().is_empty());
        let workers = Arc::new(Workers::new(1, 9));
        let (_speak, word) = channel();
        let (busy, line) = (workers.clone(), together.clone());
        let long = Counted { kind: 0, word: Some(Mutex::new(word)) };
        let long = tokio::spawn(async move { line.run(&busy, long).await });
        while workers.free() > 0 {
            tokio::task::yield_now().await;
        }
        let short = Duration::from_millis(20);
        let gone = tokio::time::timeout(short, together.run(&workers, Counted::new(1))).await;
        assert!(gone.is_err() && together.line().is_empty());
        long.abort();
    }
}
