//! Items drawn as not wanted: all alike, or in proportion to the square root of how often they were taken.

use rand::{Rng, RngExt};

/// Draws items; the same for all steps of a fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Draws {
    items: Vec<u32>,
    /// Running sums of the items' weights.
    ends: Vec<f64>,
}

impl Draws {
    /// Prepares to draw among items that were taken at least once.
    pub(crate) fn new(counts: &[u32], alike: bool) -> Self {
        let items: Vec<u32> = (0..).zip(counts).filter(|(_, n)| **n > 0).map(|(i, _)| i).collect();
        let mut sum = 0.0;
        let ends = items.iter().map(|&item| {
            sum += if alike { 1.0 } else { f64::from(counts[item as usize]).sqrt() };
            sum
        });
        let ends = ends.collect();
        Self { items, ends }
    }

    /// Draws `n` items, with repetition.
    pub(crate) fn draw(&self, n: usize, rng: &mut impl Rng) -> Vec<u32> {
        let total = self.ends.last().copied().unwrap_or(0.0);
        let one = |_| {
            let at = rng.random::<f64>() * total;
            self.items[self.ends.partition_point(|&end| end <= at).min(self.items.len() - 1)]
        };
        (0..n).map(one).collect()
    }

    /// Returns `-ln(n q)` of an item: what its logit lacks when it stands for all items, drawn `n` times with probability `q`.
    pub(crate) fn shift(&self, item: u32, n: usize) -> f32 {
        let at = self.items.partition_point(|&other| other < item);
        let before = if at == 0 { 0.0 } else { self.ends[at - 1] };
        let total = self.ends.last().copied().unwrap_or(1.0);
        -((n as f64 * (self.ends[at] - before) / total).ln()) as f32
    }
}

/// Returns a number in `0..1` that follows from a key and an item.
pub(crate) fn chance(key: u64, item: u32) -> f32 {
    let mut x = key ^ (u64::from(item) << 32 | u64::from(item));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 40) as f32 / (1u64 << 24) as f32
}

#[cfg(test)]
mod tests {
    use tastemaker_core::seed;

    use super::*;

    #[test]
    fn items_are_drawn_as_often_as_the_square_root_of_their_counts() {
        // Square roots 2, 0, 1, 3 of 6.
        let draws = Draws::new(&[4, 0, 1, 9], false);
        let drawn = draws.draw(60_000, &mut seed::stream(1, "test"));
        let share = |item| drawn.iter().filter(|&&i| i == item).count() as f64 / 60_000.0;
        for (item, want) in [(0, 2.0 / 6.0), (1, 0.0), (2, 1.0 / 6.0), (3, 0.5)] {
            assert!((share(item) - want).abs() < 0.01, "{item}");
        }
        let alike = Draws::new(&[4, 0, 1, 9], true).draw(60_000, &mut seed::stream(1, "test"));
        assert!(alike.iter().filter(|&&i| i == 2).count().abs_diff(20_000) < 600);
        assert!((draws.shift(3, 4) + (4.0f32 * 0.5).ln()).abs() < 1e-6);
    }
}
