//! Work of one kind that several wait for: whoever gets a turn does it for some of the others too, which takes less than a turn for each.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Workers;
use crate::Error;

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
    pub(crate) async fn run(
        self: &Arc<Self>,
        workers: &Arc<Workers>,
        job: J,
    ) -> Result<J::Done, Error> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (reply, mut answer) = oneshot::channel();
        self.line().push_back(Waiting { number, job, reply });
        let _place = Place { together: self, number };
        let turn = {
            let (this, all) = (self.clone(), workers.clone());
            move || Ok(this.take_turn(number, all.free()))
        };
        tokio::select! {
            biased;
            done = &mut answer => return done.unwrap_or(Err(Error::Failed)),
            own = workers.run(turn) => if let Some((done, _reply)) = own? {
                return done;
            },
        }
        // Another turn has taken it along.
        answer.await.unwrap_or(Err(Error::Failed))
    }

    fn line(&self) -> MutexGuard<'_, VecDeque<Waiting<J>>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the job with this number, if it still waits, and others that would find none of the `free` turns. Returns what has come of
    /// it with the sender of its reply: as long as that is there, nobody takes the reply for lost.
    fn take_turn(&self, number: u64, free: usize) -> Option<(Result<J::Done, Error>, Reply<J>)> {
        let (jobs, replies): (Vec<J>, Vec<_>) = {
            let mut line = self.line();
            let own = line.iter().position(|one| one.number == number)?;
            let mut taken: Vec<Waiting<J>> = line.remove(own).into_iter().collect();
            let mut place = 0;
            while taken.len() < MOST && line.len() > free && place < line.len() {
                match line[place].job.goes_with(&taken[0].job) {
                    true => taken.extend(line.remove(place)),
                    false => place += 1,
                }
            }
            taken.into_iter().map(|one| (one.job, one.reply)).unzip()
        };
        let mut all = J::done(&jobs).into_iter().zip(replies);
        let own = all.next();
        for (done, reply) in all {
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
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;

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
            self.kind == other.kind
        }

        fn done(jobs: &[Self]) -> Vec<Result<usize, Error>> {
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
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let others: Vec<_> = [1, 1, 2, 1, 1, 1].map(Counted::new).map(ask).into_iter().collect();
        while together.line().len() < 6 {
            tokio::time::sleep(Duration::from_millis(1)).await;
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

    #[tokio::test]
    async fn nobody_is_taken_along_who_could_have_a_turn_of_their_own() {
        let together = Together::default();
        let wait = |number, kind| {
            let (reply, answer) = oneshot::channel();
            together.line().push_back(Waiting { number, job: Counted::new(kind), reply });
            answer
        };
        let [first, _second, _third] = [wait(0, 1), wait(1, 1), wait(2, 1)];
        assert_eq!(together.take_turn(1, 1).unwrap().0.unwrap(), 2);
        assert_eq!(first.await.unwrap().unwrap(), 2);
        assert!(together.take_turn(0, 0).is_none(), "it was taken along");
        assert_eq!(together.line().len(), 1, "one of the others has a turn of its own");
        assert_eq!(together.take_turn(2, 1).unwrap().0.unwrap(), 1);
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
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let short = Duration::from_millis(20);
        let gone = tokio::time::timeout(short, together.run(&workers, Counted::new(1))).await;
        assert!(gone.is_err() && together.line().is_empty());
        long.abort();
    }
}
