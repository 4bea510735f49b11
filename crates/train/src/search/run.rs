//! The search itself: trials of a rung, several at once, each kept in the journal as it ends.
//!
//! What is tried follows from the plan alone. How many trials run at once, and how often the search was interrupted, changes
//! nothing; a limit of time cuts the list short and does not change it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tastemaker_core::{Clock, Progress};

use super::{Assignment, Journal, Rung, Space, Trial, rungs, survivors};

/// Which settings are tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// All points of the grid, in order.
    Grid,
    /// The settings as they stand, then drawn ones.
    Random,
    /// As for [`Random`](Self::Random), in rungs: each keeps one in `eta` and gives it `eta` times as much.
    Halving {
        /// One in how many goes on.
        eta: usize,
        /// The least share of a fit that tells anything.
        least: f64,
    },
}

/// Where a search ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Settings that are tried at most.
    pub trials: usize,
    /// Seconds after which no trial but the first begins; those that an interrupted search kept count, by the clock.
    pub seconds: Option<f64>,
}

/// How a search is to go.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// What each setting may be.
    pub space: &'a Space,
    /// The values of the space's keys as they stand: the first trial of random search and halving. `None`: the space excludes
    /// them.
    pub start: Option<&'a Assignment>,
    /// Which settings are tried.
    pub method: Method,
    /// Where it ends.
    pub limits: Limits,
    /// Root of all draws.
    pub seed: u64,
}

/// What is asked of whoever tries settings.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Values for the keys of the space.
    pub settings: &'a Assignment,
    /// Share of a whole fit that they get.
    pub share: f64,
}

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// These settings cannot be tried; the search goes on without them.
    Impossible(String),
    /// The user ended the work.
    Cancelled,
}

/// Tries settings, keeps the journal, and knows the machine.
pub trait Keeper: Sync {
    /// Returns how good settings are, higher being better.
    fn attempt(&self, ask: Ask<'_>) -> Result<f64, Failure>;

    /// Keeps the journal, all or nothing. Failing to ends the search.
    fn keep(&self, journal: &Journal) -> Result<(), String>;

    /// Returns how many of the trials that are left may run at once; asked when the first one has ended.
    fn jobs(&self, left: usize) -> usize;
}

/// What came of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// All trials of the plan.
    pub journal: Journal,
    /// Settings that were to be tried.
    pub planned: usize,
    /// Was ended by the user before it was done.
    pub cancelled: bool,
    /// Was ended by its limit of time.
    pub cut: bool,
}

impl Plan<'_> {
    /// Lists the settings that are tried.
    pub fn candidates(&self) -> Vec<Assignment> {
        let n = self.limits.trials;
        if self.method == Method::Grid {
            return self.space.grid(n);
        }
        let mut all: Vec<Assignment> = self.start.cloned().into_iter().collect();
        let drawn = self.space.draw(n, self.seed);
        all.extend(drawn.into_iter().filter(|settings| Some(settings) != self.start));
        all.truncate(n);
        all
    }

    fn rungs(&self, n: usize) -> Vec<Rung> {
        match self.method {
            Method::Grid | Method::Random => vec![Rung { n, share: 1.0 }],
            Method::Halving { eta, least } => rungs(n, eta, least),
        }
    }
}

/// What the workers of a rung share.
struct Work<'a> {
    journal: &'a mut Journal,
    queue: VecDeque<usize>,
    error: Option<String>,
    cancelled: bool,
    cut: bool,
}

/// What they need to know.
struct Desk<'a> {
    plan: &'a Plan<'a>,
    keeper: &'a dyn Keeper,
    clock: &'a dyn Clock,
    progress: &'a dyn Progress,
    candidates: &'a [Assignment],
    start: f64,
    /// Seconds that an interrupted search had spent.
    spent: f64,
}

const TASK: &str = "searching";

/// Tries all settings of the plan that the journal does not know yet.
pub fn search(
    plan: &Plan<'_>,
    mut journal: Journal,
    keeper: &dyn Keeper,
    (clock, progress): (&dyn Clock, &dyn Progress),
) -> Result<Found, String> {
    let candidates = plan.candidates();
    let rungs = plan.rungs(candidates.len());
    let total = rungs.iter().map(|rung| rung.n).sum();
    let spent = journal.seconds;
    let start = clock.seconds();
    let desk = Desk { plan, keeper, clock, progress, candidates: &candidates, start, spent };
    let mut alive: Vec<usize> = (0..candidates.len()).collect();
    let (mut cancelled, mut cut) = (false, false);
    for (number, rung) in rungs.iter().enumerate() {
        let queue: VecDeque<usize> =
            alive.iter().copied().filter(|&trial| journal.find(trial, number).is_none()).collect();
        let mut work =
            Work { journal: &mut journal, queue, error: None, cancelled: false, cut: false };
        desk.rung(&mut work, (number, rung.share), total);
        if let Some(error) = work.error.take() {
            return Err(error);
        }
        (cancelled, cut) = (work.cancelled, work.cut);
        if cancelled || cut {
            break;
        }
        let value = |&trial: &usize| Some((trial, journal.find(trial, number)?.value));
        let values: Vec<(usize, Option<f64>)> = alive.iter().filter_map(value).collect();
        alive = survivors(&values, rungs.get(number + 1).map_or(0, |next| next.n));
    }
    progress.report(TASK, total, total);
    // What an earlier search with more trials came to is kept by the keeper, and is no part of this one.
    journal.trials.retain(|trial| trial.number < candidates.len());
    Ok(Found { journal, planned: candidates.len(), cancelled, cut })
}

impl Desk<'_> {
    /// Runs one trial, then as many at once as the machine has room for.
    fn rung(&self, work: &mut Work<'_>, rung: (usize, f64), total: usize) {
        let all = Mutex::new(work);
        if !self.one(&all, rung, total) {
            return;
        }
        let left = all.lock().unwrap_or_else(PoisonError::into_inner).queue.len();
        let jobs = self.keeper.jobs(left).clamp(1, left.max(1));
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| while self.one(&all, rung, total) {});
            }
        });
    }

    /// Runs the next trial; returns whether there may be another one.
    fn one(&self, work: &Mutex<&mut Work<'_>>, (rung, share): (usize, f64), total: usize) -> bool {
        let Some(number) = self.next(work, total) else { return false };
        let settings = &self.candidates[number];
        let start = self.clock.seconds();
        let outcome = self.keeper.attempt(Ask { settings, share });
        let seconds = self.clock.seconds() - start;
        let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
        work.journal.seconds = self.gone();
        let outcome = match outcome {
            Err(Failure::Cancelled) => {
                work.cancelled = true;
                return false;
            }
            Err(Failure::Impossible(why)) => Err(why),
            Ok(value) if value.is_nan() => Err("validation gave no number".into()),
            Ok(value) => Ok(value),
        };
        tracing::debug!(number, rung, ?outcome, seconds, "tried {}", summary(settings));
        work.journal.add(Trial::new((number, rung, share), settings.clone(), outcome, seconds));
        if let Err(error) = self.keeper.keep(work.journal) {
            work.error = Some(error);
        }
        work.error.is_none()
    }

    /// Returns the seconds of this search, those before an interruption among them.
    fn gone(&self) -> f64 {
        self.clock.seconds() - self.start + self.spent
    }

    fn next(&self, work: &Mutex<&mut Work<'_>>, total: usize) -> Option<usize> {
        let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
        let work = &mut **work;
        if work.cancelled || work.cut || work.error.is_some() {
            return None;
        }
        self.progress.report(TASK, work.journal.trials.len().min(total), total);
        if let Some(value) = work.journal.best().and_then(|best| best.value) {
            self.progress.note(TASK, &format!("best {value:.4}"));
        }
        if self.progress.is_cancelled() {
            work.cancelled = true;
            return None;
        }
        let is_late = self.plan.limits.seconds.is_some_and(|most| self.gone() >= most);
        if is_late && !work.queue.is_empty() && !work.journal.trials.is_empty() {
            work.cut = true;
            return None;
        }
        work.queue.pop_front()
    }
}

fn summary(settings: &Assignment) -> String {
    let parts: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;
    use tastemaker_core::Silent;

    use super::*;
    use crate::search::Domain;

    /// Is best at x = 3; a short fit sees the truth with an error that shrinks with the share.
    #[derive(Default)]
    struct Bowl {
        asked: AtomicUsize,
        stop_after: Option<usize>,
        jobs: usize,
        kept: Mutex<String>,
    }

    impl Keeper for Bowl {
        fn attempt(&self, ask: Ask<'_>) -> Result<f64, Failure> {
            if self.stop_after.is_some_and(|most| self.asked.load(Ordering::SeqCst) >= most) {
                return Err(Failure::Cancelled);
            }
            self.asked.fetch_add(1, Ordering::SeqCst);
            let x = ask.settings["x"].as_f64().unwrap();
            if x > 9.0 {
                return Err(Failure::Impossible("too far out".into()));
            }
            Ok(ask.share * -(x - 3.0).abs() / 3.0)
        }

        fn keep(&self, journal: &Journal) -> Result<(), String> {
            *self.kept.lock().unwrap() = json!(journal).to_string();
            Ok(())
        }

        fn jobs(&self, _: usize) -> usize {
            self.jobs
        }
    }

    /// Goes on by a second whenever it is asked.
    #[derive(Default)]
    struct Ticks(AtomicUsize);

    impl Clock for Ticks {
        fn seconds(&self) -> f64 {
            self.0.fetch_add(1, Ordering::SeqCst) as f64
        }

        fn unix_seconds(&self) -> i64 {
            0
        }
    }

    fn go(
        method: Method,
        (trials, seconds): (usize, Option<f64>),
        bowl: &Bowl,
        journal: Journal,
    ) -> Found {
        let space = Space::new([("x".to_owned(), Domain::parse("uniform(0, 10)").unwrap())]);
        let start = Assignment::from_iter([("x".to_owned(), json!(5.0))]);
        let limits = Limits { trials, seconds };
        let plan = Plan { space: &space, start: Some(&start), method, limits, seed: 1 };
        search(&plan, journal, bowl, (&Ticks::default(), &Silent)).unwrap()
    }

    /// What was tried and what came of it, without the time it took.
    fn facts(found: &Found) -> Vec<(usize, usize, String, Option<u64>)> {
        let fact = |t: &Trial| (t.rung, t.number, summary(&t.settings), t.value.map(f64::to_bits));
        found.journal.trials.iter().map(fact).collect()
    }

    const HALVING: Method = Method::Halving { eta: 3, least: 1.0 / 27.0 };

    #[test]
    fn the_first_trial_is_the_settings_as_they_stand_and_failures_are_passed_over() {
        let found = go(Method::Random, (30, None), &Bowl::default(), Journal::default());
        assert_eq!(found.journal.trials.len(), 30);
        assert_eq!(found.journal.trials[0].settings["x"], json!(5.0));
        assert!(found.journal.trials.iter().any(|t| t.failure.as_deref() == Some("too far out")));
        let best = found.journal.best().unwrap();
        assert!((best.settings["x"].as_f64().unwrap() - 3.0).abs() < 0.5, "{best:?}");
        let grid = go(Method::Grid, (30, None), &Bowl::default(), Journal::default());
        let points: Vec<_> = grid.journal.trials.iter().map(|t| t.settings["x"].clone()).collect();
        assert_eq!(points, [json!(0.0), json!(5.0), json!(10.0)]);
    }

    #[test]
    fn halving_gives_the_best_third_three_times_as_much() {
        let found = go(HALVING, (9, None), &Bowl::default(), Journal::default());
        let rung = |number| found.journal.trials.iter().filter(move |t| t.rung == number);
        assert_eq!([0, 1, 2].map(|r| rung(r).count()), [9, 3, 1]);
        assert!(rung(0).all(|t| (t.share - 1.0 / 9.0).abs() < 1e-12));
        let first: Vec<_> = rung(0).map(|t| (t.number, t.value)).collect();
        let second: Vec<_> = rung(1).map(|t| t.number).collect();
        assert_eq!(second, survivors(&first, 3));
        assert_eq!(found.journal.best().unwrap().rung, 2);
    }

    #[test]
    fn a_search_that_was_interrupted_anywhere_ends_like_one_that_was_not() {
        for method in [Method::Random, HALVING] {
            let whole = go(method, (9, None), &Bowl::default(), Journal::default());
            for stop in [0, 1, 4, 9, 11] {
                let first = Bowl { stop_after: Some(stop), ..Bowl::default() };
                let cut = go(method, (9, None), &first, Journal::default());
                assert_eq!(cut.journal.trials.len(), stop.min(whole.journal.trials.len()));
                let kept = Journal::read(&first.kept.lock().unwrap()).unwrap_or_default();
                let second = Bowl::default();
                let rest = go(method, (9, None), &second, kept);
                assert_eq!(facts(&rest), facts(&whole), "{method:?} {stop}");
                let asked = second.asked.load(Ordering::SeqCst);
                assert_eq!(asked, whole.journal.trials.len() - cut.journal.trials.len());
            }
        }
    }

    #[test]
    fn how_many_run_at_once_changes_nothing() {
        for method in [Method::Grid, Method::Random, HALVING] {
            let of = |jobs| {
                let bowl = Bowl { jobs, ..Bowl::default() };
                facts(&go(method, (20, None), &bowl, Journal::default()))
            };
            assert_eq!(of(1), of(4), "{method:?}");
            assert_eq!(of(1), of(usize::MAX), "no more threads than trials: {method:?}");
        }
    }

    #[test]
    fn a_limit_of_time_cuts_the_list_and_does_not_change_it() {
        let whole = go(Method::Random, (20, None), &Bowl::default(), Journal::default());
        let short = go(Method::Random, (20, Some(12.0)), &Bowl::default(), Journal::default());
        let n = short.journal.trials.len();
        assert!(short.cut && n > 1 && n < 20, "{n}");
        assert_eq!(facts(&short), facts(&whole)[..n]);
        // What was spent counts: going on with the same limit tries nothing more. What ran at once counts once.
        let kept = Journal { seconds: 12.0, ..short.journal.clone() };
        assert!((1.0..=13.0).contains(&short.journal.seconds), "{}", short.journal.seconds);
        let again = go(Method::Random, (20, Some(12.0)), &Bowl::default(), kept);
        assert_eq!(facts(&again), facts(&short));
    }

    #[test]
    fn trials_beyond_the_plan_are_kept_and_not_reported() {
        let whole = go(Method::Random, (20, None), &Bowl::default(), Journal::default());
        let few = go(Method::Random, (5, None), &Bowl::default(), whole.journal.clone());
        assert_eq!(facts(&few), facts(&whole)[..5]);
        let (bowl, some) = (Bowl::default(), &whole.journal.trials[7]);
        let mut journal = Journal::default();
        journal.add(some.clone());
        let few = go(Method::Random, (5, None), &bowl, journal);
        assert_eq!(facts(&few), facts(&whole)[..5]);
        assert!(Journal::read(&bowl.kept.lock().unwrap()).unwrap().find(7, 0).is_some());
    }

    #[test]
    fn a_journal_that_cannot_be_kept_ends_the_search() {
        struct Full;
        impl Keeper for Full {
            fn attempt(&self, _: Ask<'_>) -> Result<f64, Failure> {
                Ok(0.0)
            }
            fn keep(&self, _: &Journal) -> Result<(), String> {
                Err("the disk is full".into())
            }
            fn jobs(&self, _: usize) -> usize {
                2
            }
        }
        let space = Space::new([("x".to_owned(), Domain::parse("1,2").unwrap())]);
        let limits = Limits { trials: 9, seconds: None };
        let plan = Plan { space: &space, start: None, method: Method::Grid, limits, seed: 1 };
        let error = search(&plan, Journal::default(), &Full, (&Ticks::default(), &Silent));
        assert_eq!(error, Err("the disk is full".into()));
    }
}
