//! The training loop, whatever learns: epochs, optimisers, schedules, early stopping, checkpoints.
//! Knows nothing of models or items: what learns keeps [`Learner`], and files are the business of who keeps checkpoints.

mod adam;
mod curve;
mod learner;
mod run;
mod schedule;

pub use adam::{Adam, AdamSettings};
pub use curve::{Curve, Epoch};
pub use learner::{Learner, Step};
pub use run::{Failed, Outcome, Plan, run};
pub use schedule::Schedule;
