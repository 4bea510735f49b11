//! Altered views of a sequence, and the loss that draws two views of one sequence together: CL4SRec (Xie et al. 2022).
//!
//! Views are cropped, masked or reordered. The hidden vectors `a_u, b_u` at the newest event of two views should find one another among
//! those of the batch: `-ln softmax_v(a_u · b_v / sqrt(dim))[u]`, and so from `b` to `a`. Unlike the paper, first views are not set
//! against first views, and the products are divided by the root of the width. Shapes: `a, b: [windows, dim]`.

use std::ops::Range;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use tastemaker_core::seed;
use tastemaker_kernels::{Direction, InBatch, InBatchGradients, InBatchScratch};

use super::pass::MASK;

/// Share of a sequence that a crop keeps.
const CROP: f32 = 0.6;
/// Share of the events that are masked.
const MASKED: f32 = 0.3;
/// Share of a sequence within which events are reordered.
const REORDER: f32 = 0.6;

/// How much of altered views takes part in training; of nothing, unless told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Views {
    /// Share of windows that are masked or reordered before they are read.
    pub augment: f32,
    /// Weight of the contrast between two views.
    pub contrast: f32,
}

impl Views {
    /// Tells whether masks are read.
    pub(crate) fn has_masks(self) -> bool {
        self.augment > 0.0 || self.contrast > 0.0
    }
}

/// How a sequence is altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Crop,
    Mask,
    Reorder,
}

/// Returns where a stretch of a share of `len` events begins and how long it is, at least one event.
fn stretch(len: usize, share: f32, rng: &mut impl Rng) -> (usize, usize) {
    let n = ((len as f32 * share) as usize).clamp(1, len);
    (rng.random_range(0..=len - n), n)
}

/// Alters what is read after the first `from`, and returns which of its places are left.
fn alter(kind: Kind, read: &mut Vec<u32>, from: usize, rng: &mut impl Rng) -> Range<usize> {
    let len = read.len() - from;
    match kind {
        Kind::Crop => {
            let (start, n) = stretch(len, CROP, rng);
            read.copy_within(from + start..from + start + n, from);
            read.truncate(from + n);
            return start..start + n;
        }
        Kind::Mask => {
            read[from..]
                .iter_mut()
                .filter(|_| rng.random::<f32>() < MASKED)
                .for_each(|x| *x = MASK);
        }
        Kind::Reorder => {
            let (start, n) = stretch(len, REORDER, rng);
            read[from + start..from + start + n].shuffle(rng);
        }
    }
    0..len
}

/// Adds a view of a sequence that is not empty, one of two, to what is read, and returns which of its places are left; items that are
/// reordered take each other's times.
pub(super) fn view(
    sequence: impl Iterator<Item = u32>,
    key: u64,
    side: &str,
    read: &mut Vec<u32>,
) -> Range<usize> {
    let mut rng = seed::stream(key, side);
    let from = read.len();
    read.extend(sequence);
    let kind = [Kind::Crop, Kind::Mask, Kind::Reorder][rng.random_range(0..3)];
    alter(kind, read, from, &mut rng)
}

/// Adds what is read of a sequence and what is to be predicted, altered for a share of the sequences; each next item of a reordered
/// sequence is the next one in the new order.
pub(super) fn augmented(
    sequence: impl Iterator<Item = u32>,
    (key, share): (u64, f32),
    (read, wanted): (&mut Vec<u32>, &mut Vec<u32>),
) {
    let mut rng = seed::stream(key, "augment");
    let from = read.len();
    read.extend(sequence);
    let kind = match rng.random::<f32>() {
        x if x < 0.5 * share => Some(Kind::Mask),
        x if x < share => Some(Kind::Reorder),
        _ => None,
    };
    if kind == Some(Kind::Reorder) {
        alter(Kind::Reorder, read, from, &mut rng);
    }
    wanted.extend_from_slice(&read[from + 1..]);
    read.pop();
    if kind == Some(Kind::Mask) {
        alter(Kind::Mask, read, from, &mut rng);
    }
}

/// The contrast of a batch, with its memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contrast {
    /// Hidden vectors of both views of every window, `[windows, dim]` each, and their gradients.
    pub(crate) views: [Vec<f32>; 2],
    pub(crate) d_views: [Vec<f32>; 2],
    scratch: InBatchScratch,
}

impl Contrast {
    /// Returns the mean loss times its weight, and writes the gradients.
    pub(crate) fn step(&mut self, dim: usize, weight: f32) -> f64 {
        let [a, b] = &self.views;
        let n = a.len() / dim;
        let [d_a, d_b] = &mut self.d_views;
        d_a.resize(n * dim, 0.0);
        d_b.resize(n * dim, 0.0);
        let task = InBatch {
            direction: Direction::Both,
            ids: &[],
            groups: &[],
            shift: &[],
            temperature: (dim as f32).sqrt(),
            weight: weight / n.max(1) as f32,
        };
        task.step(n, (a, b), InBatchGradients { a: d_a, b: d_b }, &mut self.scratch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_keep_what_they_should() {
        let sequence: Vec<u32> = (0..20).collect();
        for (kind, len) in [(Kind::Crop, 12), (Kind::Mask, 20), (Kind::Reorder, 20)] {
            let mut moved = 0;
            for key in 0..50 {
                let mut read = vec![7, 7];
                read.extend(&sequence);
                alter(kind, &mut read, 2, &mut seed::stream(key, "test"));
                assert_eq!(read[..2], [7, 7], "what was read before stays");
                let view = &read[2..];
                assert_eq!(view.len(), len);
                match kind {
                    Kind::Crop => assert!(view.windows(2).all(|w| w[0] + 1 == w[1])),
                    Kind::Mask => {
                        moved += view.iter().filter(|x| **x == MASK).count();
                        assert!(view.iter().zip(&sequence).all(|(a, b)| a == b || *a == MASK));
                    }
                    Kind::Reorder => {
                        moved += view.iter().zip(&sequence).filter(|(a, b)| a != b).count();
                        let mut sorted = view.to_vec();
                        sorted.sort_unstable();
                        assert_eq!(sorted, sequence);
                    }
                }
            }
            assert!(kind == Kind::Crop || (200..600).contains(&moved), "{kind:?}: {moved}");
        }
        let mut one = vec![3];
        alter(Kind::Crop, &mut one, 0, &mut seed::stream(1, "test"));
        assert_eq!(one, [3], "one event is left of one");
    }

    #[test]
    fn what_is_predicted_of_an_augmented_sequence_is_never_masked_and_always_the_next_item() {
        let (mut altered, n) = (0, 400);
        for key in 0..n {
            let (mut read, mut wanted) = (vec![9], vec![9]);
            augmented(0..8, (key, 0.5), (&mut read, &mut wanted));
            assert!(read.len() == 8 && wanted.len() == 8 && !wanted.contains(&MASK));
            for at in 1..7 {
                assert!(read[at + 1] == wanted[at] || read[at + 1] == MASK);
            }
            altered += usize::from(read[1..] != [0, 1, 2, 3, 4, 5, 6]);
        }
        assert!(
            (150..220).contains(&altered),
            "about half, less those that came out as before: {altered}"
        );
        let (mut read, mut wanted) = (Vec::new(), Vec::new());
        augmented(0..4, (1, 0.0), (&mut read, &mut wanted));
        assert_eq!((read, wanted), (vec![0, 1, 2], vec![1, 2, 3]));
    }
}
