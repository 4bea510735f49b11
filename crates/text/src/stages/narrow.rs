//! The first numbers of a vector alone, of length 1 again: models trained as Matryoshka put the most into those (Kusupati et al. 2022).

use tastemaker_core::{Progress, Tokens, Vectors};

use crate::{Encoded, Encoder, Error};

/// An encoder of which the first numbers of each vector are kept.
pub struct Narrowed<E> {
    inner: E,
    dim: usize,
}

impl<E: Encoder> Narrowed<E> {
    /// Keeps `dim` numbers, 1 up to as many as a vector has.
    pub fn new(inner: E, dim: usize) -> Result<Self, Error> {
        let most = inner.dim();
        if !(1..=most).contains(&dim) {
            let problem = format!("must be between 1 and {most} for this encoder, is {dim}");
            return Err(Error::setting("dim", problem));
        }
        Ok(Self { inner, dim })
    }
}

impl<E: Encoder> Encoder for Narrowed<E> {
    fn id(&self) -> String {
        format!("{}/first {}", self.inner.id(), self.dim)
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn tokens(&self, texts: &[&str]) -> Result<Tokens, Error> {
        self.inner.tokens(texts)
    }

    fn encode(&self, texts: &[&str], progress: &dyn Progress) -> Result<Encoded, Error> {
        let encoded = self.inner.encode(texts, progress)?;
        let mut vectors = Vectors::zeros(texts.len(), self.dim);
        for row in 0..texts.len() {
            vectors.row_mut(row).copy_from_slice(&encoded.vectors.row(row)[..self.dim]);
        }
        vectors.normalise();
        Ok(Encoded { vectors, ..encoded })
    }
}
