//! Linear systems and eigenvectors.

mod conjugate;
mod dense;

pub use conjugate::{ConjugateScratch, DiagonalPlusRows, RightSide, Stop};
pub use dense::{
    NotPositiveDefinite, Real, cholesky_solve, inverse_root, spd_inverse, symmetric_eigen,
};
