//! Products of matrices and vectors.

mod gemm;
mod packed;
pub(crate) mod tiles;
mod vector;

pub use gemm::{Layout, View, gemm, product};
pub use packed::{Packed, Rows};
pub use vector::{WeightedRows, axpy, dot};
