//! Data to fit on, owned: histories, the size of the catalogue, and a vector for each item.

use tastemaker_core::{Histories, Request, TrainData, UserId, Vectors};

/// Everything a fit may ask for.
#[derive(Clone, Debug)]
pub struct World {
    /// Events by user.
    pub histories: Histories,
    /// Size of the catalogue.
    pub n_items: usize,
    /// A vector for each item, L2-normalised; zero where an item has no text.
    pub vectors: Vectors,
}

impl World {
    /// Lends the world to a fit, with seed 7 and no progress shown.
    pub fn data(&self) -> TrainData<'_> {
        TrainData {
            vectors: Some(&self.vectors),
            seed: 7,
            ..TrainData::new(&self.histories, self.n_items)
        }
    }

    /// Asks for a user with all they did.
    pub fn request(&self, row: usize) -> Request<'_> {
        Request::new(Some(UserId::from_index(row)), self.histories.row(row))
    }
}
