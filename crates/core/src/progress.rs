//! How far long work has come; the door decides how to show it.

/// Is told of progress. Implementations must be cheap and may be called from any thread.
pub trait Progress: Send + Sync {
    /// Reports that `done` of `total` steps of `task` are finished.
    fn report(&self, task: &str, done: usize, total: usize);

    /// Reports how `task` is doing, in a few words: a loss, a speed.
    fn note(&self, _task: &str, _note: &str) {}

    /// Tells whether the work should end early and leave what can be gone on with.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _task: &str, _done: usize, _total: usize) {}
}
