//! Progress bars on stderr, one a task, shown once a task has taken a while.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tastemaker_engine::core::{Clock, Progress, SystemClock};

/// Tasks shorter than this show no bar.
const QUIET_SECONDS: f64 = 0.5;

/// Shows what long work is at.
pub(crate) struct Bars {
    all: MultiProgress,
    bars: Mutex<HashMap<String, (f64, Option<ProgressBar>)>>,
    clock: SystemClock,
    cancelled: AtomicBool,
}

impl Bars {
    /// Shows bars on a terminal's stderr; elsewhere, or when not wanted, nothing.
    pub(crate) fn new(wanted: bool) -> Self {
        let target =
            if wanted { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            all: MultiProgress::with_draw_target(target),
            bars: Mutex::default(),
            clock: SystemClock::default(),
            cancelled: AtomicBool::new(false),
        }
    }

    /// Asks the work to end where it can be gone on with; returns whether it had been asked before.
    pub(crate) fn cancel(&self) -> bool {
        self.cancelled.swap(true, Ordering::Relaxed)
    }

    /// Takes all bars away.
    pub(crate) fn clear(&self) {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner).clear();
        // Nothing to be done about a terminal that cannot be cleared.
        self.all.clear().ok();
    }

    /// Runs something that prints, with the bars out of its way.
    pub(crate) fn pause<T>(&self, print: impl FnOnce() -> T) -> T {
        self.all.suspend(print)
    }

    fn open(&self, task: &str, total: usize) -> ProgressBar {
        let bar = self.all.add(ProgressBar::new(total as u64));
        let template = if total > 0 {
            "  {msg:<36} {bar:28} {pos}/{len} {eta}"
        } else {
            "  {msg:<36} {spinner} {pos}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━━─"));
        }
        bar.set_message(task.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

impl Progress for Bars {
    fn report(&self, task: &str, done: usize, total: usize) {
        let now = self.clock.seconds();
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        if total > 0 && done >= total {
            if let Some((_, Some(bar))) = bars.remove(task) {
                bar.finish_and_clear();
            }
            return;
        }
        let (since, bar) = bars.entry(task.to_owned()).or_insert((now, None));
        if bar.is_none() && now - *since >= QUIET_SECONDS {
            let opened = self.open(task, total);
            // What was done before, by a run that was interrupted, says nothing of the speed.
            opened.set_position(done as u64);
            opened.reset_eta();
            *bar = Some(opened);
        }
        if let Some(bar) = bar {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        }
    }

    fn note(&self, task: &str, note: &str) {
        let bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, Some(bar))) = bars.get(task) {
            bar.set_message(format!("{task}: {note}"));
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
