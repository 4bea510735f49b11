//! Products of matrices and vectors.

pub(crate) mod aligned;
pub(crate) mod bytes;
mod gemm;
mod packed;
pub(crate) mod tiles;
mod vector;
pub(crate) mod words;

pub use gemm::{Layout, View, gemm, product};
pub use packed::{Packed, Rows};
pub(crate) use tiles::pair;
pub use vector::{WeightedRows, axpy, dot};
