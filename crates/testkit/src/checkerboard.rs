//! A world with known right answers: items and users have a colour, and a user likes the items of their own.
//!
//! The items of a colour stand in a ring. User `u` walks once around the ring of item `u`, starts right behind it and stops
//! right before it. So item `u` is withheld, and it is the right first answer whichever way one reads the world: the only
//! unseen item of the colour (for neighbours, factors and texts), and the next one on the ring (for sequences).

use tastemaker_core::{HistoriesBuilder, ItemId, Vectors};

use crate::World;
use crate::world::group_tokens;

/// The world and the item withheld from each user.
#[derive(Clone, Debug)]
pub struct Checkerboard {
    /// What a model may see.
    pub world: World,
    /// The right first answer, by user.
    pub withheld: Vec<ItemId>,
}

impl Checkerboard {
    /// Makes `colours` rings of `size` items each, and as many users as items.
    pub fn new(colours: usize, size: usize) -> Self {
        let n_items = colours * size;
        let mut builder = HistoriesBuilder::default();
        for user in 0..n_items {
            let (colour, place) = (user % colours, user / colours);
            for step in 1..size {
                let item = (place + step) % size * colours + colour;
                builder.push(ItemId::from_index(item), 1.0, step as i64 - 1);
            }
            builder.end_user();
        }
        let withheld = (0..n_items).map(ItemId::from_index).collect();
        let vectors = colour_vectors(colours, size);
        let tokens = group_tokens(&vectors, colours);
        let world = World { histories: builder.build(), n_items, vectors, tokens };
        Self { world, withheld }
    }
}

impl Default for Checkerboard {
    /// Two colours of ten items.
    fn default() -> Self {
        Self::new(2, 10)
    }
}

/// One axis for each colour, and a small one for each item so that no two are equal.
fn colour_vectors(colours: usize, size: usize) -> Vectors {
    let n_items = colours * size;
    let mut vectors = Vectors::zeros(n_items, colours + n_items);
    for item in 0..n_items {
        let row = vectors.row_mut(item);
        row[item % colours] = 1.0;
        row[colours + item] = 0.3;
    }
    vectors.normalise();
    vectors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_withheld_item_is_the_only_unseen_one_of_the_colour_and_the_next_on_the_ring() {
        let board = Checkerboard::new(2, 4);
        assert_eq!(board.world.histories.n_users(), 8);
        for (user, withheld) in board.withheld.iter().enumerate() {
            let seen = board.world.histories.row(user).items;
            assert_eq!(seen.len(), 3);
            assert!(seen.iter().all(|item| item.0 % 2 == withheld.0 % 2 && item != withheld));
            assert_eq!((seen[2].0 + 2) % 8, withheld.0);
        }
    }
}
