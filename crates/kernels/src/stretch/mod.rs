//! Operations along stretches of positions: convolution and pooling over ragged sequences.

mod conv;
mod pool;

pub use conv::{CausalConv, ConvGradients, ConvShape, ConvWeights};
pub use pool::{MaxPool, mean_pool, mean_pool_backward};
