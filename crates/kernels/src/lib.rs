//! Numbers, fast: fused operations on slices and shapes, on all cores, SIMD chosen at run time.
//! Knows nothing of recommending. The only crate that may use `unsafe`, block by block, each with its reason.

mod activation;
mod attention;
mod conjugate;
mod dropout;
mod conv;
mod exp;
mod gemm;
mod linear;
mod loss;
mod norm;
mod self_attention;
mod pool;
mod recurrent;
mod softmax;
mod solve;
mod tiles;
mod vector;

pub use activation::{Activation, gelu, sigmoid};
pub use attention::{AttentionScratch, attention};
pub use conjugate::{ConjugateScratch, DiagonalPlusRows, RightSide, Stop};
pub use dropout::dropout;
pub use conv::{CausalConv, ConvGradients, ConvShape, ConvWeights};
pub use exp::{exp, signed_ln_1p};
pub use gemm::{Layout, View, gemm, product};
pub use linear::{Packed, Rows};
pub use loss::{CrossEntropy, ItemTable, LossScratch, Precision};
pub use norm::{Norm, NormGradients, layer_norm};
pub use self_attention::{SelfAttention, SelfAttentionScratch};
pub use pool::{MaxPool, mean_pool, mean_pool_backward};
pub use recurrent::{Gru, Lstm, RecurrentGradients, RecurrentShape, RecurrentWeights};
pub use softmax::softmax;
pub use solve::{NotPositiveDefinite, Real, cholesky_solve, spd_inverse, symmetric_eigen};
pub use vector::{WeightedRows, axpy, dot};
