//! All jobs: those under way, which can be ended, and the last ones that are over.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tastemaker_store::new_id;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::job::{Job, Kind, State};
use crate::Error;
use crate::api::events::iso;

/// Folder beside a tenant's models for jobs and their work.
const WORK: &str = ".work";
/// Jobs of a tenant that are remembered.
const KEPT: usize = 50;
/// Longest time in which a job must have ended when the server does.
const GRACE: Duration = Duration::from_secs(5);

/// A job that is held by the server that does it, by a lock that ends with its process however it ends.
struct Held {
    path: PathBuf,
    _lock: File,
}

impl Held {
    /// Takes a job, unless another process holds it.
    fn take(dir: &Path, id: &str) -> Option<Self> {
        std::fs::create_dir_all(dir).ok()?;
        let path = held(dir, id);
        let lock = File::options().create(true).append(true).open(&path).ok()?;
        lock.try_lock().ok()?;
        Some(Self { path, _lock: lock })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

fn held(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("{id}.lock"))
}

/// A job under way.
struct Under {
    _held: Option<Held>,
    end: watch::Sender<bool>,
    work: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Known {
    /// By tenant, oldest first.
    jobs: HashMap<String, Vec<Job>>,
    /// By id.
    under_way: HashMap<String, Under>,
}

/// The jobs of all tenants.
pub(crate) struct Board {
    known: Mutex<Known>,
    /// Training takes all cores: one at a time.
    pub(super) turn: Semaphore,
}

/// Returns where the jobs of a tenant lie, whose models are in `folder`.
pub(super) fn work(folder: &Path) -> PathBuf {
    folder.join(WORK)
}

impl Board {
    /// Reads the jobs of servers before this one; what those left under way is lost.
    pub(crate) fn open(folders: impl Iterator<Item = (String, PathBuf)>, now: i64) -> Self {
        let mut known = Known::default();
        for (tenant, folder) in folders {
            let dir = work(&folder);
            let mut jobs = Job::all(&dir);
            for job in jobs.iter_mut().filter(|job| !job.state.is_over()) {
                // Another server over the same folder may be at it.
                let Some(_held) = Held::take(&dir, &job.id) else { continue };
                job.state = State::Lost;
                job.ended = Some(iso(now));
                job.why = "the server ended while it was under way".into();
                if let Err(error) = job.write(&dir) {
                    tracing::warn!("{error}");
                }
                std::fs::remove_dir_all(dir.join(&job.id)).ok();
            }
            // Those of others are theirs to tell.
            jobs.retain(|job| job.state.is_over());
            known.jobs.insert(tenant, jobs);
        }
        Self { known: Mutex::new(known), turn: Semaphore::new(1) }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a job on, unless the tenant has one that is not over. Returns it, and what comes true when it is to end.
    pub(super) fn add(
        &self,
        (tenant, folder): (&str, &Path),
        because: &str,
        now: i64,
    ) -> Result<(Job, watch::Receiver<bool>), Error> {
        let mut known = self.lock();
        let jobs = known.jobs.entry(tenant.to_owned()).or_default();
        if let Some(job) = jobs.iter().find(|job| !job.state.is_over()) {
            return Err(Error::JobRuns { id: job.id.clone() });
        }
        let job = Job {
            id: new_id(now),
            kind: Kind::Retrain,
            state: State::Waiting,
            because: because.to_owned(),
            created: iso(now),
            ended: None,
            model: None,
            promoted: false,
            why: String::new(),
            report: None,
            output: String::new(),
        };
        let held = Held::take(&work(folder), &job.id);
        job.write(&work(folder))?;
        jobs.push(job.clone());
        let old = jobs.len().saturating_sub(KEPT);
        jobs.drain(..old).for_each(|job| job.forget(&work(folder)));
        let (end, ends) = watch::channel(false);
        known.under_way.insert(job.id.clone(), Under { _held: held, end, work: None });
        Ok((job, ends))
    }

    /// Remembers what does a job, so that the end of the server waits for it.
    pub(super) fn does(&self, id: &str, work: JoinHandle<()>) {
        if let Some(under) = self.lock().under_way.get_mut(id) {
            under.work = Some(work);
        }
    }

    /// Changes a job; returns what it is then.
    pub(super) fn change(&self, tenant: &str, id: &str, how: impl FnOnce(&mut Job)) -> Option<Job> {
        let mut known = self.lock();
        let job = known.jobs.get_mut(tenant)?.iter_mut().find(|job| job.id == id)?;
        how(job);
        let job = job.clone();
        if job.state.is_over() {
            known.under_way.remove(id);
        }
        Some(job)
    }

    /// Counts the jobs that are not over.
    pub(crate) fn under_way(&self) -> usize {
        self.lock().under_way.len()
    }

    /// Lists the jobs of a tenant, newest first.
    pub(super) fn of(&self, tenant: &str) -> Vec<Job> {
        self.lock().jobs.get(tenant).into_iter().flatten().rev().cloned().collect()
    }

    /// Finds a job.
    pub(super) fn find(&self, tenant: &str, id: &str) -> Result<Job, Error> {
        let found = self.of(tenant).into_iter().find(|job| job.id == id);
        found.ok_or_else(|| Error::NotFound { what: "job", id: id.to_owned() })
    }

    /// Tells a job to end.
    pub(super) fn end(&self, id: &str) {
        if let Some(under) = self.lock().under_way.get(id) {
            under.end.send_replace(true);
        }
    }

    /// Ends all jobs, because the server does.
    pub(crate) async fn end_all(&self) {
        let works: Vec<JoinHandle<()>> = {
            let mut known = self.lock();
            let all = known.under_way.values_mut();
            all.filter_map(|under| {
                under.end.send_replace(true);
                under.work.take()
            })
            .collect()
        };
        for work in works {
            if tokio::time::timeout(GRACE, work).await.is_err() {
                tracing::warn!("a job was not over in time");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_of_another_server_is_left_alone_and_one_of_a_dead_server_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let folders = || std::iter::once(("shop".to_owned(), dir.path().to_owned()));
        let first = Board::open(folders(), 1);
        let (job, _ends) = first.add(("shop", dir.path()), "asked", 1).unwrap();
        std::fs::create_dir(work(dir.path()).join(&job.id)).unwrap();
        let second = Board::open(folders(), 2);
        assert!(second.of("shop").is_empty());
        assert!(work(dir.path()).join(&job.id).is_dir(), "its work goes on");
        drop(first);
        let third = Board::open(folders(), 3);
        assert_eq!(third.of("shop")[0].state, State::Lost);
        assert!(!work(dir.path()).join(&job.id).exists());
    }
}
