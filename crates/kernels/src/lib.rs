//! Numbers, fast: fused operations on slices and shapes, on all cores, SIMD chosen at run time.
//! Knows nothing of recommending. The only crate that may use `unsafe`, block by block, each with its reason.

mod activation;
mod attention;
mod conjugate;
mod exp;
mod gemm;
mod linear;
mod loss;
mod norm;
mod softmax;
mod solve;
mod vector;

pub use activation::gelu;
pub use attention::{AttentionScratch, attention};
pub use conjugate::{ConjugateScratch, DiagonalPlusRows, RightSide, Stop};
pub use exp::{exp, signed_ln_1p};
pub use gemm::{Layout, gemm};
pub use linear::{Packed, Rows};
pub use loss::{
    Direction, GradedList, InBatch, InBatchGradients, InBatchScratch, Multiclass, Pointwise,
    PointwiseLoss, RankingLoss, RankingScratch, Sampled, SampledGradients, SampledLoss,
    SampledScratch,
};
pub use norm::layer_norm;
pub use softmax::softmax;
pub use solve::{NotPositiveDefinite, Real, cholesky_solve, spd_inverse, symmetric_eigen};
pub use vector::{WeightedRows, axpy, dot};
