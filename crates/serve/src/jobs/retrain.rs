//! A retraining from its start to its end: a snapshot, a process that trains on it, and what is made of what it says.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;
use tastemaker_engine::retrain::report_path;
use tokio::sync::watch;

use super::board::work;
use super::child::Training;
use super::job::{Job, State};
use super::snapshot::snapshot;
use crate::Error;
use crate::live::{App, Tenant};

/// Name of the folder of a model that is being trained.
const OUT: &str = "model";
/// Models that came of retraining and are kept; those that were put there by hand are not counted.
const KEPT: usize = 10;

/// What came of a training.
struct Trained {
    name: String,
    promoted: bool,
    report: Value,
}

impl App {
    /// Lets the model of a tenant be trained anew, beside everything else.
    pub(crate) fn retrain(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        because: &str,
    ) -> Result<Job, Error> {
        let folder = self.settings.folder(&tenant.name)?;
        tenant.slot.now().ok_or(Error::NoModel)?;
        if self.settings.trainer.is_empty() {
            return Err(Error::NoTrainer);
        }
        let now = self.clock.unix_ms();
        let (job, ends) = self.jobs.add((&tenant.name, &folder), because, now)?;
        tenant.heard.store(0, Ordering::Relaxed);
        tenant.trained_at.store(now, Ordering::Relaxed);
        let (app, tenant, id) = (self.clone(), tenant.clone(), job.id.clone());
        let doing =
            tokio::spawn(
                async move { app.see_through(&tenant, &id, (folder.as_path(), ends)).await },
            );
        self.jobs.does(&job.id, doing);
        Ok(job)
    }

    /// Does a job, and says how it ended, however it does.
    async fn see_through(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        id: &str,
        (folder, mut ends): (&Path, watch::Receiver<bool>),
    ) {
        let dir = work(folder).join(id);
        // What is dropped when it is told to end kills its process.
        let trained = tokio::select! {
            outcome = self.train(tenant, id, (folder, &dir)) => Some(outcome),
            () = async { ends.wait_for(|ends| *ends).await.map(drop).unwrap_or_default() } => None,
        };
        // From here on it is not ended any more: a model that answers was promoted.
        let outcome = match trained {
            Some(Ok(judged)) => {
                Some(self.take_over(tenant, folder, (&dir.join(OUT), &judged)).await)
            }
            Some(Err(error)) => Some(Err(error)),
            None => None,
        };
        // A large folder takes a while.
        tokio::task::spawn_blocking(move || std::fs::remove_dir_all(dir).ok()).await.ok();
        let ended = crate::api::events::iso(self.clock.unix_ms());
        let over = self.jobs.change(&tenant.name, id, |job| {
            job.ended = Some(ended);
            match outcome {
                Some(Ok(Trained { name, promoted, report })) => {
                    job.state = State::Done;
                    job.why = report["why"].as_str().unwrap_or_default().to_owned();
                    if !promoted && report["promote"] == true {
                        job.why.push_str("; but another model answers by now");
                    }
                    (job.model, job.promoted, job.report) = (Some(name), promoted, Some(report));
                }
                Some(Err(error)) => {
                    tracing::warn!("job {id} of {} failed: {error}", tenant.name);
                    (job.state, job.why) = (State::Failed, error.to_string());
                }
                None => (job.state, job.why) = (State::Cancelled, "it was told to end".into()),
            }
        });
        let Some(job) = over else { return };
        self.counts.count_training(&job);
        if let Err(error) = job.write(&work(folder)) {
            tracing::warn!("{error}");
        }
    }

    /// Trains in a process of its own; returns the id of the model that the new one was judged against.
    async fn train(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        id: &str,
        (folder, dir): (&Path, &Path),
    ) -> Result<String, Error> {
        let _turn = self.jobs.turn.acquire().await.map_err(|_| Error::Failed)?;
        let serving = tenant.slot.now().ok_or(Error::NoModel)?;
        let running = self.jobs.change(&tenant.name, id, |job| job.state = State::Running);
        running.map_or(Ok(()), |job| job.write(&work(folder)))?;
        let (changes, out) = (dir.join("changes"), dir.join(OUT));
        let failed = |source| Error::Write { path: changes.display().to_string(), source };
        std::fs::create_dir_all(&changes).map_err(failed)?;
        let n = snapshot(self, tenant, &serving, &changes).await?;
        tracing::info!("job {id} of {}: training begins on {n} events of the store", tenant.name);
        let mut command = self.settings.trainer.clone();
        let paths = [("--serving", &serving.dir), ("--changes", &changes), ("--out", &out)];
        command
            .extend(paths.into_iter().flat_map(|(flag, path)| [OsString::from(flag), path.into()]));
        command.push("--end-with-stdin".into());
        let failed =
            |source| Error::Train { why: format!("the process cannot be started: {source}") };
        let mut training = Training::start(&command).map_err(failed)?;
        let look = |said: String| {
            self.jobs.change(&tenant.name, id, |job| job.output = said);
        };
        let failed = |source| Error::Train { why: format!("nobody knows how it ended: {source}") };
        let status = training.end(look).await.map_err(failed)?;
        if !status.success() {
            let why = format!("the process ended with {status}: {}", last_line(&training.said()));
            return Err(Error::Train { why });
        }
        Ok(serving.id.clone())
    }

    /// Puts a trained model among the others, and lets it answer if its report says so.
    async fn take_over(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        folder: &Path,
        (out, judged): (&Path, &str),
    ) -> Result<Trained, Error> {
        let text = std::fs::read(report_path(out)).unwrap_or_default();
        let no_report = |error| Error::Train { why: format!("its report cannot be read: {error}") };
        let report: Value = serde_json::from_slice(&text).map_err(no_report)?;
        let place = self.free_place(folder);
        let failed = |source| Error::Write { path: place.display().to_string(), source };
        std::fs::rename(report_path(out), report_path(&place)).map_err(failed)?;
        std::fs::rename(out, &place).map_err(failed)?;
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Somebody may have promoted another one meanwhile, and knows better.
        let is_serving = tenant.slot.now().is_some_and(|now| now.id == judged);
        let promoted = report["promote"] == true && is_serving;
        if promoted {
            let loaded = self.promote(tenant, &name).await?;
            tracing::info!("{} answers for {} from now on", loaded.id, tenant.name);
            self.note_own_promotion(tenant, &name).await;
        }
        self.clear_old_models(tenant, folder);
        Ok(Trained { name, promoted, report })
    }

    /// Takes away the oldest models that came of retraining, but none that answers or is gone back to.
    fn clear_old_models(&self, tenant: &Tenant, folder: &Path) {
        let mut old = self.models_of(&tenant.name);
        old.retain(|name| report_path(&folder.join(name)).is_file());
        // Their names are times.
        old.sort_unstable();
        let too_many = old.len().saturating_sub(KEPT);
        let in_use = [tenant.slot.now(), tenant.slot.before()];
        for name in old.into_iter().take(too_many) {
            let dir = folder.join(&name);
            if in_use.iter().flatten().any(|model| model.dir == dir) {
                continue;
            }
            tracing::info!("{} of {} is old and goes", name, tenant.name);
            std::fs::remove_dir_all(&dir).ok();
            std::fs::remove_file(report_path(&dir)).ok();
        }
    }

    /// Names a folder for a model by the time, as no other one is.
    fn free_place(&self, folder: &Path) -> PathBuf {
        let time = crate::api::events::iso(self.clock.unix_seconds() * 1000);
        let name = time.trim_end_matches('Z').replace(':', "-");
        let mut places =
            (1..).map(|n| folder.join(if n == 1 { name.clone() } else { format!("{name}-{n}") }));
        places.find(|place| !place.exists()).expect("there are more numbers than folders")
    }
}

/// Returns the last line that says something.
fn last_line(said: &str) -> &str {
    said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing")
}
