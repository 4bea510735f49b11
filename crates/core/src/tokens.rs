//! Item texts as numbered tokens: words or pieces of words in their order.

use crate::Vectors;

/// The tokens of every item's text, numbered from 0 without gaps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tokens {
    rows: Vec<Vec<u32>>,
    n_tokens: usize,
    vectors: Option<Vectors>,
}

impl Tokens {
    /// Takes the tokens of each item, each below `n_tokens`, and a vector for each token where an encoder has some.
    ///
    /// Returns `None` when a number is too high, or the vectors are not as many as the tokens or not finite.
    pub fn new(rows: Vec<Vec<u32>>, n_tokens: usize, vectors: Option<Vectors>) -> Option<Self> {
        let are_known = rows.iter().flatten().all(|&token| (token as usize) < n_tokens);
        let fits = vectors.as_ref().is_none_or(|vectors| {
            vectors.rows() == n_tokens && vectors.flat().iter().all(|x| x.is_finite())
        });
        (are_known && fits).then_some(Self { rows, n_tokens, vectors })
    }

    /// Returns the tokens of each item, in the order of its text; empty where it has none.
    pub fn rows(&self) -> &[Vec<u32>] {
        &self.rows
    }

    /// Counts the different tokens.
    pub const fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    /// Returns the encoder's vectors of the tokens, if it has any.
    pub const fn vectors(&self) -> Option<&Vectors> {
        self.vectors.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_without_a_number_or_a_vector_of_their_own_are_not_taken() {
        let rows = || vec![vec![0, 2, 0], vec![]];
        assert_eq!(Tokens::new(rows(), 3, None).map(|tokens| tokens.rows), Some(rows()));
        assert_eq!(Tokens::new(rows(), 2, None), None);
        assert!(Tokens::new(rows(), 3, Vectors::from_flat(2, vec![0.5; 6])).is_some());
        assert_eq!(Tokens::new(rows(), 3, Vectors::from_flat(2, vec![0.5; 4])), None);
        assert_eq!(Tokens::new(rows(), 3, Vectors::from_flat(2, vec![f32::NAN; 6])), None);
    }
}
