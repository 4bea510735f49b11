//! What an encoder can be tuned on: each task says what a step encodes and what came of it.

mod augment;
mod choose;
mod draw;
mod labels;
mod masked;
mod objective;
mod sequence;
mod settings;
mod two_tower;
mod wide;

pub(super) use augment::{Augment, augmented};
pub use choose::TaskData;
pub(super) use choose::choose;
use draw::{Batches, apart};
pub(super) use objective::{Fact, Input, Objective, Pass, Reading};
pub use settings::{AugmentSettings, TuneTask};
