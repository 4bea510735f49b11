//! Load on a server that runs, and how long its answers take.

mod client;
mod report;
mod run;

pub use report::{Latencies, Report};
pub use run::{Load, load};
