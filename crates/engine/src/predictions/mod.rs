//! Clicks, likes and ratings: columns as features, judges of models on validation events, and what models predict, side by side.

mod features;
mod judge;
mod labels;
mod report;

pub use features::features;
pub(crate) use judge::OnValidation;
pub use judge::Task;
pub(crate) use labels::{labels, named_labels, single_labels};
pub use report::{Predicted, PredictedRow, predictions};
