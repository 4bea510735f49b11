//! Why items are recommended, and whether the reasons given are the ones.

mod deletion;
mod explain;
mod reword;

pub use deletion::{Faithfulness, FaithfulnessSettings};
pub use explain::Reason;
