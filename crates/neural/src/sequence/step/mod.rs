//! What one step does with a batch: what is asked of it, views of it, and the passes through the network.

mod lane;
mod pass;
mod task;
mod views;

pub(super) use lane::{Lane, Shared};
pub use task::Task;
pub(super) use views::Contrast;
pub use views::Views;
