//! What is known beside events: dense vectors in rows, one per item or per text, item texts as numbered tokens, and columns of users
//! and items as numbers, whose names are kept for messages.

use std::sync::Arc;

use crate::ItemId;

/// A row-major matrix `[rows, dim]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vectors {
    dim: usize,
    data: Vec<f32>,
}

impl Vectors {
    /// Makes `rows` zero vectors.
    pub fn zeros(rows: usize, dim: usize) -> Self {
        Self { dim, data: vec![0.0; rows * dim] }
    }

    /// Takes a row-major buffer, or returns `None` when its length is not a multiple of `dim`.
    pub fn from_flat(dim: usize, data: Vec<f32>) -> Option<Self> {
        (dim > 0 && data.len().is_multiple_of(dim)).then_some(Self { dim, data })
    }

    /// Counts the vectors.
    pub fn rows(&self) -> usize {
        self.data.len().checked_div(self.dim).unwrap_or(0)
    }

    /// Returns the width of a vector.
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// Returns vector `row`.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.dim..(row + 1) * self.dim]
    }

    /// Returns vector `row` for writing.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.dim..(row + 1) * self.dim]
    }

    /// Returns all values, row after row.
    pub fn flat(&self) -> &[f32] {
        &self.data
    }

    /// Returns all values for writing, row after row.
    pub fn flat_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Appends the rows of `other`.
    ///
    /// # Panics
    /// When the widths differ.
    pub fn append(&mut self, other: &Self) {
        assert_eq!(self.dim, other.dim, "appended vectors have the same width");
        self.data.extend_from_slice(&other.data);
    }

    /// Scales every row to length 1; zero rows stay zero.
    pub fn normalise(&mut self) {
        for row in self.data.chunks_exact_mut(self.dim.max(1)) {
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            if length > 0.0 {
                row.iter_mut().for_each(|x| *x /= length);
            }
        }
    }
}

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

/// Columns of users and of items. Either side may have none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// Columns of the users; row = user number.
    pub users: Vec<Feature>,
    /// Columns of the items; row = item number.
    pub items: Vec<Feature>,
}

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Its name in the source.
    pub name: String,
    /// One value per row; rows beyond the end have none.
    pub values: FeatureValues,
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureValues {
    /// Any number of labels per row, each a number below `n_labels`.
    Labels {
        /// Different labels of the column.
        n_labels: usize,
        /// The labels of each row.
        rows: Vec<Vec<u32>>,
    },
    /// A finite number per row, or none where it is missing.
    Numbers(Vec<Option<f32>>),
}

/// The labels of items, such as genres.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// Which labels each item has; one that is not listed has none.
    pub rows: Arc<Vec<Vec<u32>>>,
    /// How many there are: labels lie below.
    pub n_labels: usize,
}

impl Labels {
    /// Returns the labels of an item.
    pub fn of(&self, item: usize) -> &[u32] {
        self.rows.get(item).map_or(&[], Vec::as_slice)
    }

    /// Returns the mixture of labels, `[n_labels]`, of some items, each item counting 1 and shared evenly by its labels; it sums to 1, or to 0
    /// where no item has a label.
    pub fn mixture(&self, items: impl Iterator<Item = ItemId>) -> Vec<f64> {
        let mut mixture = vec![0.0; self.n_labels];
        let mut n = 0.0;
        for labels in items.map(|item| self.of(item.index())).filter(|labels| !labels.is_empty()) {
            n += 1.0;
            let share = 1.0 / labels.len() as f64;
            labels.iter().for_each(|&label| mixture[label as usize] += share);
        }
        mixture.iter_mut().for_each(|share| *share /= f64::max(n, 1.0));
        mixture
    }
}

/// Share of the wanted mixture that is added to the other one, so that a label it lacks costs a finite amount.
pub const MIXED_IN: f64 = 0.01;

/// Returns the Kullback-Leibler divergence `Σ p ln (p / q)` of a mixture of labels from the wanted one, `q` with one part in a hundred of `p`
/// (Steck 2018); 0 where nothing is wanted.
pub fn divergence(wanted: &[f64], shown: &[f64]) -> f64 {
    let both = wanted.iter().zip(shown).filter(|(p, _)| **p > 0.0);
    both.map(|(p, q)| p * (p / ((1.0 - MIXED_IN) * q + MIXED_IN * p)).ln()).sum()
}

/// A value that cannot be learnt from.
#[derive(Clone, Debug, PartialEq)]
pub struct BadFeature {
    /// Where it stands, as in "column `age` of user number 3".
    pub place: String,
    /// The value.
    pub value: String,
}

impl Features {
    /// Returns the first value that is not finite, or that is no label of its column.
    pub fn check(&self) -> Result<(), BadFeature> {
        let sides = [("user", &self.users), ("item", &self.items)];
        for (side, column) in sides.iter().flat_map(|(s, all)| all.iter().map(move |c| (s, c))) {
            let bad = match &column.values {
                FeatureValues::Numbers(rows) => rows.iter().enumerate().find_map(|(row, x)| {
                    x.filter(|x| !x.is_finite()).map(|x| (row, x.to_string()))
                }),
                FeatureValues::Labels { n_labels, rows } => {
                    rows.iter().enumerate().find_map(|(row, labels)| {
                        let beyond = labels.iter().find(|&&label| label as usize >= *n_labels);
                        beyond.map(|label| (row, format!("label {label} of {n_labels}")))
                    })
                }
            };
            if let Some((row, value)) = bad {
                let place = format!("column `{}` of {side} number {row}", column.name);
                return Err(BadFeature { place, value });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_cannot_be_learnt_from_is_named_with_its_place() {
        let column = |values| vec![Feature { name: "age".into(), values }];
        let numbers = |x| column(FeatureValues::Numbers(vec![Some(1.0), None, x]));
        let users = |users| Features { users, items: Vec::new() };
        assert!(users(numbers(Some(2.0))).check().is_ok());
        let bad = users(numbers(Some(f32::NAN))).check().unwrap_err();
        assert_eq!(bad.place, "column `age` of user number 2");
        let labels = FeatureValues::Labels { n_labels: 2, rows: vec![vec![0, 1], vec![2]] };
        let items = Features { users: Vec::new(), items: column(labels) };
        assert_eq!(items.check().unwrap_err().value, "label 2 of 2");
    }

    #[test]
    fn tokens_without_a_number_or_a_vector_of_their_own_are_not_taken() {
        let rows = || vec![vec![0, 2, 0], vec![]];
        assert_eq!(Tokens::new(rows(), 3, None).map(|tokens| tokens.rows), Some(rows()));
        assert_eq!(Tokens::new(rows(), 2, None), None);
        assert!(Tokens::new(rows(), 3, Vectors::from_flat(2, vec![0.5; 6])).is_some());
        assert_eq!(Tokens::new(rows(), 3, Vectors::from_flat(2, vec![0.5; 4])), None);
        assert_eq!(Tokens::new(rows(), 3, Vectors::from_flat(2, vec![f32::NAN; 6])), None);
    }

    #[test]
    fn items_share_their_weight_evenly_among_their_labels() {
        let rows = vec![vec![0], vec![1], vec![0, 1], vec![], vec![2]];
        let labels = Labels { rows: Arc::new(rows), n_labels: 3 };
        let of = |items: &[u32]| labels.mixture(items.iter().copied().map(ItemId));
        assert_eq!(of(&[0, 2, 3, 99]), [0.75, 0.25, 0.0]);
        assert_eq!(of(&[3]), [0.0; 3]);
    }
}
