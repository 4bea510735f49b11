//! Small data shaped like the real thing: few items carry most events, tastes come in groups, and all the odd cases are there.

use rand::RngExt;
use tastemaker_core::{HistoriesBuilder, ItemId, Vectors, seed};

use crate::World;
use crate::world::group_tokens;

const GROUPS: usize = 4;
const DIM: usize = 12;

/// Makes 60 users and 40 items with ratings 1 to 5, clock times and vectors.
///
/// Among them are a user without events, a user with one, items that repeat in a history, two items nobody touched (the
/// last ones), and one of these has no text.
pub fn tiny(seed: u64) -> World {
    let (n_users, n_items) = (60, 40);
    let mut rng = seed::stream(seed, "tiny");
    let mut builder = HistoriesBuilder::default();
    for user in 0..n_users {
        let n_events = match user {
            0 => 0,
            1 => 1,
            _ => rng.random_range(3..15),
        };
        let mut time = 1_600_000_000 + rng.random_range(0..10_000_000);
        for _ in 0..n_events {
            let own = rng.random_bool(0.8);
            let item = loop {
                let item = (n_items as f64 * rng.random::<f64>().powi(2)) as usize;
                if item < n_items - 2 && (!own || item % GROUPS == user % GROUPS) {
                    break item;
                }
            };
            let liked = item % GROUPS == user % GROUPS;
            let rating = if liked { rng.random_range(3..=5) } else { rng.random_range(1..=3) };
            builder.push(ItemId::from_index(item), rating as f32, time);
            time += rng.random_range(1..1_000_000);
        }
        builder.end_user();
    }
    let mut vectors = Vectors::zeros(n_items, DIM);
    for item in 0..n_items - 1 {
        for (axis, value) in vectors.row_mut(item).iter_mut().enumerate() {
            *value = rng.random_range(-0.3..0.3) + if axis == item % GROUPS { 1.0 } else { 0.0 };
        }
    }
    vectors.normalise();
    let tokens = group_tokens(&vectors, GROUPS);
    World { histories: builder.build(), n_items, vectors, tokens }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_odd_cases_are_there() {
        let world = tiny(1);
        assert!(world.histories.row(0).is_empty());
        assert_eq!(world.histories.row(1).len(), 1);
        let counts = world.histories.item_counts(world.n_items);
        assert_eq!(counts[38..], [0, 0]);
        assert!(world.vectors.row(39).iter().all(|&x| x.abs() < f32::EPSILON));
        let repeats = world.histories.iter().any(|h| {
            let mut items = h.items.to_vec();
            items.sort_unstable();
            items.windows(2).any(|pair| pair[0] == pair[1])
        });
        assert!(repeats);
    }
}
