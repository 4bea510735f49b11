//! One trial: a fit with a share of what a whole one takes, judged on validation events.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rand::seq::SliceRandom;
use serde_json::{Value, json};
use tastemaker_core::{
    Features, FitError, Histories, HistoriesBuilder, Judge, Progress, Tokens, TrainData, Vectors,
    seed,
};
use tastemaker_train::search::{Ask, Failure, Journal, Keeper};

use super::folder::Folder;
use super::space::settings;
use crate::config::Loaded;
use crate::registry::{Kind, Model};
use crate::{Error, memory};

/// Least users that a fit with a share of them gets.
const FEW: usize = 100;

/// Tries settings of one model.
pub(super) struct Bench<'a> {
    pub(super) kind: Kind,
    pub(super) loaded: &'a Loaded,
    pub(super) train: &'a Histories,
    pub(super) n_items: usize,
    pub(super) vectors: Option<&'a Vectors>,
    pub(super) tokens: Option<&'a Tokens>,
    pub(super) features: Option<&'a Features>,
    pub(super) judge: &'a dyn Judge,
    pub(super) progress: &'a dyn Progress,
    pub(super) folder: &'a Folder,
    /// Trials at once, as set by hand; 0 = as many as there is room for.
    pub(super) wanted_jobs: usize,
    pub(super) machine: Machine,
}

/// What the first trial told of the machine.
#[derive(Debug, Default)]
pub(super) struct Machine {
    /// Bytes that it took.
    bytes: AtomicU64,
    /// Trials that run at once.
    jobs: AtomicUsize,
}

/// Passes the wish to end on, and nothing else: several trials at once would show one another's bars.
struct Quiet<'a>(&'a dyn Progress);

impl Progress for Quiet<'_> {
    fn report(&self, _task: &str, _done: usize, _total: usize) {}

    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// What a share is a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    /// Times through the data, under this key.
    Rounds(&'static str, usize),
    /// Users whose events are learnt from.
    Users,
}

impl Resource {
    /// Finds what a model with these settings can be given less of.
    pub(super) fn of(settings: &Value) -> Self {
        let rounds = |key: &'static str| {
            let n = settings.get(key)?.as_u64()?;
            Some(Self::Rounds(key, usize::try_from(n).unwrap_or(usize::MAX)))
        };
        rounds("epochs").or_else(|| rounds("iterations")).unwrap_or(Self::Users)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rounds(key, _) => key,
            Self::Users => "users",
        }
    }
}

/// Returns the number of rounds that a share of `all` comes to.
fn rounds(all: usize, share: f64) -> usize {
    ((all as f64 * share).round() as usize).clamp(1, all.max(1))
}

/// Gives a fit a share of the rounds; a learning rate that falls until the last one still falls as if all were run.
fn with_rounds(settings: &mut Value, (key, all): (&str, usize), share: f64) {
    settings[key] = json!(rounds(all, share));
    if let Some(horizon) = settings.pointer_mut("/optimizer/horizon")
        && horizon.is_null()
    {
        *horizon = json!(all);
    }
}

/// Keeps the events of a share of the users; a larger share keeps those of a smaller one.
fn some_users(histories: &Histories, share: f64, seed: u64) -> Histories {
    let mut order: Vec<usize> =
        (0..histories.n_users()).filter(|&user| !histories.row(user).is_empty()).collect();
    order.shuffle(&mut seed::stream(seed, "search/share"));
    let n = (order.len() as f64 * share).ceil() as usize;
    order.truncate(n.max(FEW));
    let mut stays = vec![false; histories.n_users()];
    order.into_iter().for_each(|user| stays[user] = true);
    let mut builder = HistoriesBuilder::default();
    for (history, stays) in histories.iter().zip(stays) {
        if stays {
            builder.extend(history);
        }
        builder.end_user();
    }
    builder.build()
}

impl Bench<'_> {
    fn fit(&self, ask: Ask<'_>) -> Result<f64, Error> {
        let mut settings = settings(self.kind, self.loaded, ask.settings);
        let seed = self.loaded.config.run.seed;
        let mut histories = Cow::Borrowed(self.train);
        if ask.share < 1.0 {
            match Resource::of(&settings) {
                Resource::Rounds(key, all) => with_rounds(&mut settings, (key, all), ask.share),
                Resource::Users => {
                    histories = Cow::Owned(some_users(self.train, ask.share, seed));
                }
            }
        }
        let quiet = Quiet(self.progress);
        let data = TrainData {
            vectors: self.vectors,
            tokens: self.tokens,
            features: self.features,
            seed,
            progress: &quiet,
            judge: Some(self.judge),
            ..TrainData::new(&histories, self.n_items)
        };
        let model = Model::fit(self.kind, &settings, &data)?;
        Ok(self.judge.judge(&model))
    }

    /// Fits with a share of the cores when several trials run at once.
    fn on_its_cores(&self, ask: Ask<'_>) -> Result<f64, Error> {
        let jobs = self.machine.jobs.load(Ordering::Relaxed);
        if jobs < 2 {
            return self.fit(ask);
        }
        let threads = (rayon::current_num_threads() / jobs).max(1);
        match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
            Ok(pool) => pool.install(|| self.fit(ask)),
            Err(_) => self.fit(ask),
        }
    }
}

impl Keeper for Bench<'_> {
    fn attempt(&self, ask: Ask<'_>) -> Result<f64, Failure> {
        let is_first = self.machine.jobs.load(Ordering::Relaxed) == 0;
        let before = memory::resident_bytes();
        if is_first {
            memory::reset_peak();
        }
        let outcome = self.on_its_cores(ask);
        if is_first {
            let taken = memory::peak_bytes().saturating_sub(before);
            self.machine.bytes.store(taken, Ordering::Relaxed);
        }
        match outcome {
            Err(Error::Fit { source: FitError::Cancelled { .. }, .. }) => Err(Failure::Cancelled),
            // What a model without epochs ends with when it is asked to stop is no lasting fact.
            _ if self.progress.is_cancelled() => Err(Failure::Cancelled),
            outcome => outcome.map_err(|error| Failure::Impossible(error.to_string())),
        }
    }

    fn keep(&self, journal: &Journal) -> Result<(), String> {
        self.folder.put_journal(journal).map(|_| ()).map_err(|error| error.to_string())
    }

    fn jobs(&self, left: usize) -> usize {
        let jobs = match self.wanted_jobs {
            0 => room(
                rayon::current_num_threads(),
                memory::available_bytes(),
                self.machine.bytes.load(Ordering::Relaxed),
            ),
            wanted => wanted,
        };
        // Cores are shared among those that run.
        let jobs = jobs.min(left).max(1);
        self.machine.jobs.store(jobs, Ordering::Relaxed);
        jobs
    }
}

/// Returns how many trials may run at once: one a core, as long as each may take twice what the first one took, out of four
/// fifths of the memory that is free.
fn room(cores: usize, available: u64, taken: u64) -> usize {
    if available == 0 {
        return 1;
    }
    let by_memory = available / 5 * 4 / (2 * taken).max(1);
    usize::try_from(by_memory).unwrap_or(usize::MAX).clamp(1, cores.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_one_of_epochs_of_iterations_or_of_users() {
        let mut sasrec = json!({ "epochs": 90, "optimizer": { "horizon": null } });
        assert_eq!(Resource::of(&sasrec), Resource::Rounds("epochs", 90));
        with_rounds(&mut sasrec, ("epochs", 90), 1.0 / 9.0);
        assert_eq!(sasrec, json!({ "epochs": 10, "optimizer": { "horizon": 90 } }));
        assert_eq!(Resource::of(&json!({ "iterations": 7 })), Resource::Rounds("iterations", 7));
        assert_eq!(Resource::of(&json!({ "lambda": 7.0 })), Resource::Users);
        assert_eq!([rounds(90, 1.0 / 27.0), rounds(2, 0.1), rounds(90, 1.0)], [3, 1, 90]);
    }

    #[test]
    fn a_larger_share_of_users_holds_the_smaller_one() {
        let mut builder = HistoriesBuilder::default();
        for user in 0..1000 {
            builder.push(tastemaker_core::ItemId::from_index(user % 7), 1.0, 0);
            builder.end_user();
        }
        let all = builder.build();
        let third = some_users(&all, 1.0 / 3.0, 1);
        let tiny = some_users(&all, 0.01, 1);
        assert_eq!((third.n_users(), third.n_events(), tiny.n_events()), (1000, 334, FEW));
        let stays = |h: &Histories, user| !h.row(user).is_empty();
        assert!((0..1000).all(|user| !stays(&tiny, user) || stays(&third, user)));
    }

    #[test]
    fn as_many_run_at_once_as_cores_and_memory_allow() {
        let gb = 1 << 30;
        assert_eq!(room(8, 16 * gb, gb), 6);
        assert_eq!(room(2, 16 * gb, gb), 2);
        assert_eq!(room(8, gb, 4 * gb), 1);
        assert_eq!(room(8, 0, gb), 1, "where the system does not tell");
        assert_eq!(room(8, gb, 0), 8);
    }
}
