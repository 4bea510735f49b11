//! For tests alone: worlds whose right answers are known, and the suites that every keeper of a contract runs.

mod checkerboard;
mod close;
pub mod contract;
mod tiny;
mod world;

pub use checkerboard::Checkerboard;
pub use close::{assert_all_close, assert_close, is_close};
pub use tiny::tiny;
pub use world::World;
