//! Judging what people were really shown: arms of an experiment, which may be looked at any time, and policies that were not shown, from
//! what was logged of another one.

mod contrast;
mod mismatch;
mod off_policy;
mod share;
mod tails;

pub use contrast::Contrast;
pub use mismatch::{SUSPICIOUS, mismatch};
pub use off_policy::{Logged, OffPolicy, off_policy};
pub use share::{PerList, Share};
