//! What the loop asks of something that learns.

use tastemaker_core::{PersistError, Saved};

/// What one epoch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// Mean loss of a sample.
    pub loss: f64,
    /// Samples gone through.
    pub samples: usize,
}

/// Learns by epochs, and can be stopped and gone on with between any two of them.
///
/// Everything random must follow from the seed and the number of the epoch, so that a run that was interrupted ends with
/// the same bits as one that was not.
pub trait Learner {
    /// Goes once through what there is to learn from. `epoch` counts from 0. May break off when the work is cancelled.
    fn epoch(&mut self, epoch: usize) -> Step;

    /// Returns how good the learner is on events it does not learn from, higher being better; `None` without a judge.
    fn validate(&self) -> Option<f64>;

    /// Returns the loss of a sample that guessing all alike costs, where that is known: a loss far above it has run away.
    fn guessing(&self) -> Option<f64> {
        None
    }

    /// Returns the weights.
    fn weights(&self) -> Saved;

    /// Takes weights back.
    fn set_weights(&mut self, weights: Saved) -> Result<(), PersistError>;

    /// Returns what the optimiser has gathered.
    fn momentum(&self) -> Saved;

    /// Takes back what the optimiser had gathered.
    fn set_momentum(&mut self, momentum: Saved) -> Result<(), PersistError>;
}
