//! Operations along stretches of positions: convolution and pooling over ragged sequences.

mod conv;
mod pool;
mod slide;
mod vertical;

pub use conv::{CausalConv, ConvGradients, ConvShape, ConvWeights};
pub use pool::{MaxPool, mean_pool, mean_pool_backward};
pub use slide::SlidingMax;
pub use vertical::VerticalConv;
