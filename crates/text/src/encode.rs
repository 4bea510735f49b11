//! The contract of everything that turns texts into vectors.

use std::sync::Arc;

use tastemaker_core::{Progress, Vectors};

use crate::Error;

/// Turns texts into vectors. Deterministic: the same text gives the same vector, whatever stands beside it.
pub trait Encoder: Send + Sync {
    /// Names the encoder with everything its vectors depend on: weights, pooling, length limit. Cached vectors are
    /// kept under this name.
    fn id(&self) -> String;

    /// Returns the width of a vector.
    fn dim(&self) -> usize;

    /// Returns one vector per text, in the same order.
    fn encode(&self, texts: &[&str], progress: &dyn Progress) -> Result<Encoded, Error>;
}

/// Vectors of texts, and how they came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// L2-normalised rows, one per text; a zero row for a text without content.
    pub vectors: Vectors,
    /// Texts of which the end was cut off. Texts answered from a cache are not counted.
    pub truncated: usize,
    /// Texts whose vectors were taken from a cache.
    pub from_cache: usize,
}

macro_rules! delegate {
    ($($pointer:ident)*) => {$(
        impl<T: Encoder + ?Sized> Encoder for $pointer<T> {
            fn id(&self) -> String {
                (**self).id()
            }

            fn dim(&self) -> usize {
                (**self).dim()
            }

            fn encode(&self, texts: &[&str], progress: &dyn Progress) -> Result<Encoded, Error> {
                (**self).encode(texts, progress)
            }
        }
    )*};
}

delegate!(Box Arc);
