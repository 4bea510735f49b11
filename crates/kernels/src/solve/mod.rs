//! Linear systems and eigenvectors.

mod conjugate;
mod dense;

pub use conjugate::{ConjugateScratch, DiagonalPlusRows, RightSide, Stop};
pub use dense::{NotPositiveDefinite, Real, cholesky_solve, spd_inverse, symmetric_eigen};
