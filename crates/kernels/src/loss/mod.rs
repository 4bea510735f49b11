//! Losses fused with the last linear layer: products with item vectors become a loss and gradients, and are not kept.

mod cross_entropy;
mod half;

pub use cross_entropy::{CrossEntropy, ItemTable, LossScratch, Precision};
