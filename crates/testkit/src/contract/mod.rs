//! One suite for each contract of `core`; a model's tests call those it keeps.

mod extras;
mod persist;
mod recommender;

pub use extras::{embed, evidence, similar};
pub use recommender::{answers, learns_the_checkerboard, recommender};
