//! The training loop, whatever learns: epochs, optimisers, schedules, early stopping, checkpoints.
//! Knows nothing of models or items: what learns keeps [`Learner`], and files are the business of who keeps checkpoints.

mod adam;
mod curve;
mod learner;
mod optimizer;
mod run;
mod schedule;
pub mod search;
mod sgd;
mod update;

pub use adam::{Adam, AdamSettings};
pub use curve::Curve;
pub use learner::{Learner, Step};
pub use optimizer::{Decay, Method, Optimizer, OptimizerSettings};
pub use run::{Failed, Outcome, Plan, run};
pub use schedule::Schedule;
pub use sgd::{Sgd, SgdSettings};
pub use tastemaker_core::Epoch;
pub use update::{Gradients, Updates, norm};
