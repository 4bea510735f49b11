//! Numbers, fast: fused operations on slices and shapes, on all cores, SIMD chosen at run time.
//! Knows nothing of recommending. The only crate that may use `unsafe`, block by block, each with its reason.

mod activation;
mod attention;
mod decode;
mod dropout;
mod exp;
mod linear;
mod loss;
mod matrix;
mod norm;
mod recurrent;
mod softmax;
mod solve;
mod stretch;

pub use activation::{Activation, gelu, sigmoid, swiglu};
pub use attention::{
    AttentionScratch, HalfAttentionScratch, PairBias, SelfAttention, SelfAttentionScratch,
    attention, half_attention, half_attention_serves,
};
pub use decode::{CachedAttention, Span, WideLinear};
pub use dropout::dropout;
pub use exp::{exp, signed_ln_1p};
pub use linear::{LinearScratch, LinearWeights, Then, WeightFormat};
pub use loss::{
    CrossEntropy, Direction, GradedList, InBatch, InBatchGradients, InBatchScratch, ItemTable,
    LossScratch, Multiclass, Pointwise, PointwiseLoss, Precision, RankingLoss, RankingScratch,
    Sampled, SampledGradients, SampledLoss, SampledScratch,
};
pub use matrix::{Layout, Packed, Rows, View, WeightedRows, axpy, dot, gemm, product};
pub use norm::{Norm, NormGradients, layer_norm};
pub use recurrent::{Gru, Lstm, RecurrentGradients, RecurrentShape, RecurrentWeights};
pub use softmax::softmax;
pub use solve::{
    ConjugateScratch, DiagonalPlusRows, NotPositiveDefinite, Real, RightSide, Stop, cholesky_solve,
    inverse_root, spd_inverse, symmetric_eigen,
};
pub use stretch::{
    CausalConv, ConvGradients, ConvShape, ConvWeights, MaxPool, SlidingMax, VerticalConv,
    mean_pool, mean_pool_backward,
};
