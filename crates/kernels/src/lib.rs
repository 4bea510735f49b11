//! Numbers, fast: fused operations on slices and shapes, on all cores, SIMD chosen at run time.
//! Knows nothing of recommending. The only crate that may use `unsafe`, block by block, each with its reason.

mod activation;
mod attention;
mod conjugate;
mod conv;
mod exp;
mod gemm;
mod linear;
mod norm;
mod pool;
mod recurrent;
mod softmax;
mod solve;
mod vector;

pub use activation::gelu;
pub use attention::{AttentionScratch, attention};
pub use conjugate::{ConjugateScratch, DiagonalPlusRows, RightSide, Stop};
pub use conv::{CausalConv, ConvGradients, ConvShape, ConvWeights};
pub use exp::{exp, signed_ln_1p};
pub use gemm::{Layout, gemm};
pub use linear::{Packed, Rows};
pub use norm::layer_norm;
pub use pool::{MaxPool, mean_pool, mean_pool_backward};
pub use recurrent::{Gru, Lstm, RecurrentGradients, RecurrentShape, RecurrentWeights};
pub use softmax::softmax;
pub use solve::{NotPositiveDefinite, Real, cholesky_solve, spd_inverse, symmetric_eigen};
pub use vector::{WeightedRows, axpy, dot};
