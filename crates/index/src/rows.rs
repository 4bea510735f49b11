//! What is searched: vectors with the ids of what they stand for.

use tastemaker_core::Vectors;

use crate::Error;

/// Vectors and their ids, row by row. All numbers are finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    ids: Vec<String>,
    vectors: Vectors,
}

impl Rows {
    /// Takes at least one vector and an id for each.
    pub fn new(ids: Vec<String>, vectors: Vectors) -> Result<Self, Error> {
        let (rows, most) = (vectors.rows(), u32::MAX as usize);
        if ids.len() != rows {
            return Err(Error::Ids { ids: ids.len(), rows });
        }
        if rows == 0 {
            return Err(Error::Empty);
        }
        if rows > most {
            return Err(Error::TooMany { rows, most });
        }
        check_finite(&vectors)?;
        Ok(Self { ids, vectors })
    }

    /// Returns the ids, row by row.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Returns the vectors.
    pub const fn vectors(&self) -> &Vectors {
        &self.vectors
    }

    pub(crate) fn into_parts(self) -> (Vec<String>, Vectors) {
        (self.ids, self.vectors)
    }
}

/// Returns an error at the first number that is not finite.
pub(crate) fn check_finite(vectors: &Vectors) -> Result<(), Error> {
    let bad = vectors.flat().iter().position(|x| !x.is_finite());
    bad.map_or(Ok(()), |at| Err(Error::NotFinite { row: at / vectors.dim() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let vectors = |flat: &[f32]| Vectors::from_flat(2, flat.to_vec()).unwrap();
        let ids = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        assert!(Rows::new(ids(2), vectors(&[1.0, 2.0, 3.0, 4.0])).is_ok());
        assert!(matches!(Rows::new(ids(0), vectors(&[])), Err(Error::Empty)));
        let short = Rows::new(ids(1), vectors(&[1.0, 2.0, 3.0, 4.0]));
        assert!(matches!(short, Err(Error::Ids { ids: 1, rows: 2 })));
        let bad = Rows::new(ids(2), vectors(&[1.0, 2.0, 3.0, f32::NAN]));
        assert!(matches!(bad, Err(Error::NotFinite { row: 1 })));
    }
}
