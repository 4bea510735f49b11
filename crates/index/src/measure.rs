//! How near two vectors are, and the contract of everything that finds the nearest.

use tastemaker_core::{Scored, Vectors};

use crate::Error;
use crate::rows::check_finite;

/// How near two vectors are; higher is nearer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// Their product.
    #[default]
    Dot,
    /// The cosine of the angle between them; 0 where one has no length.
    Cosine,
}

impl Measure {
    /// Returns its name in results and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dot => "dot",
            Self::Cosine => "cosine",
        }
    }
}

/// Finds the nearest of a set of vectors.
pub trait Nearest: Send + Sync {
    /// Returns the ids of the vectors, row by row.
    fn ids(&self) -> &[String];

    /// Counts the numbers of a vector.
    fn dim(&self) -> usize;

    /// Returns up to `k` rows for each query, nearest first, ties by row; [`Scored::item`] is the row.
    ///
    /// Runs on all cores; what comes back does not depend on how many there are.
    fn search(&self, queries: &Vectors, k: usize) -> Result<Vec<Vec<Scored>>, Error>;

    /// Returns an error when a query has another width or a number that is not finite.
    fn check(&self, queries: &Vectors) -> Result<(), Error> {
        if queries.dim() != self.dim() {
            return Err(Error::Dim { got: queries.dim(), want: self.dim() });
        }
        check_finite(queries)
    }
}
