//! Data to fit on, owned: histories, the size of the catalogue, and a vector for each item.

use tastemaker_core::{Histories, Request, Tokens, TrainData, UserId, Vectors};

/// Everything a fit may ask for.
#[derive(Clone, Debug)]
pub struct World {
    /// Events by user.
    pub histories: Histories,
    /// Size of the catalogue.
    pub n_items: usize,
    /// A vector for each item, L2-normalised; zero where an item has no text.
    pub vectors: Vectors,
    /// The text of each item as tokens; empty where it has none.
    pub tokens: Tokens,
}

impl World {
    /// Lends the world to a fit, with seed 7 and no progress shown.
    pub fn data(&self) -> TrainData<'_> {
        TrainData {
            vectors: Some(&self.vectors),
            tokens: Some(&self.tokens),
            seed: 7,
            ..TrainData::new(&self.histories, self.n_items)
        }
    }

    /// Asks for a user with all they did.
    pub fn request(&self, row: usize) -> Request<'_> {
        Request::new(Some(UserId::from_index(row)), self.histories.row(row))
    }
}

/// Says of each item with a text which group it is of, in a few tokens, with a vector for each of them.
pub(crate) fn group_tokens(vectors: &Vectors, n_groups: usize) -> Tokens {
    let has_text = |item: usize| vectors.row(item).iter().any(|x| x.abs() > 0.0);
    let text = |item: usize| {
        let group = (item % n_groups) as u32;
        // One token of the group between two that all share, and for every third item a longer text.
        let end = if item.is_multiple_of(3) { &[1, 0, 1][..] } else { &[1] };
        [&[0, 2 + group][..], end].concat()
    };
    let rows = (0..vectors.rows()).map(|item| if has_text(item) { text(item) } else { vec![] });
    let n_tokens = n_groups + 2;
    let mut of_tokens = Vectors::zeros(n_tokens, n_tokens);
    (0..n_tokens).for_each(|token| of_tokens.row_mut(token)[token] = 1.0);
    Tokens::new(rows.collect(), n_tokens, Some(of_tokens)).expect("every token has a vector")
}
