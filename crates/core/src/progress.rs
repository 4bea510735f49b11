//! How far long work has come; the door decides how to show it.

use serde::{Deserialize, Serialize};

/// One epoch of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean loss of a sample.
    pub loss: f64,
    /// Result on validation events, where there is a judge.
    pub validation: Option<f64>,
    /// Samples gone through.
    pub samples: usize,
    /// Seconds of training, without validation.
    pub seconds: f64,
}

/// Is told of progress. Implementations must be cheap and may be called from any thread.
pub trait Progress: Send + Sync {
    /// Reports that `done` of `total` steps of `task` are finished.
    fn report(&self, task: &str, done: usize, total: usize);

    /// Reports how `task` is doing, in a few words: a loss, a speed.
    fn note(&self, _task: &str, _note: &str) {}

    /// Reports how epoch `number`, counted from 0, of `task` went. A run that goes on reports its earlier epochs again.
    fn epoch(&self, _task: &str, _number: usize, _epoch: &Epoch) {}

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
