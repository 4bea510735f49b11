//! The keepers of [`Metric`](crate::Metric) and the measures over all lists, a family per file.

mod binary;
pub(crate) mod calibration;
pub(crate) mod coverage;
pub(crate) mod diversity;
pub(crate) mod hit;
pub(crate) mod novelty;
pub(crate) mod ranking;
mod rating;

pub use binary::{auc, log_loss, platt};
pub use rating::{Ratings, ratings};
