//! Losses with their gradients: of whole catalogues, of sampled and in-batch candidates, of single scores and of graded lists.

#[cfg(test)]
mod check;
mod cross_entropy;
mod half;
mod in_batch;
mod lanes;
mod pointwise;
mod ranking;
mod sampled;

pub use cross_entropy::{CrossEntropy, ItemTable, LossScratch, Precision};
pub use in_batch::{Direction, InBatch, InBatchGradients, InBatchScratch};
pub use pointwise::{Multiclass, Pointwise, PointwiseLoss};
pub use ranking::{GradedList, RankingLoss, RankingScratch};
pub use sampled::{Sampled, SampledGradients, SampledLoss, SampledScratch};
