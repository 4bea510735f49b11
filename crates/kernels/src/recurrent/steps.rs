//! Ragged sequences by time: first the first positions of all sequences, longest sequence first, then all second
//! positions, and so on. What still runs at a step is then one block of rows, and the rows it goes on from are the head
//! of the block before it; nothing is padded.

use std::cmp::Reverse;
use std::ops::Range;

/// Where each position of a chunk of sequences goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    /// Sequences, longest first.
    order: Vec<usize>,
    /// Row at which each step begins, and the number of rows. Empty before the first use.
    starts: Vec<usize>,
    /// Position behind each row.
    positions: Vec<usize>,
}

impl Steps {
    /// Lays out the sequences `offsets[i]..offsets[i + 1]`, which may be empty.
    ///
    /// # Panics
    /// When offsets do not begin with zero or decrease.
    pub(super) fn refill(&mut self, offsets: &[usize]) {
        assert!(
            offsets.first() == Some(&0) && offsets.is_sorted(),
            "offsets rise from zero to the number of positions"
        );
        let len = |sequence: usize| offsets[sequence + 1] - offsets[sequence];
        self.order.clear();
        self.order.extend(0..offsets.len() - 1);
        self.order.sort_unstable_by_key(|&sequence| (Reverse(len(sequence)), sequence));
        self.positions.clear();
        self.starts.clear();
        self.starts.push(0);
        let mut running = self.order.len();
        let longest = self.order.first().map_or(0, |&sequence| len(sequence));
        for t in 0..longest {
            while len(self.order[running - 1]) <= t {
                running -= 1;
            }
            self.positions.extend(self.order[..running].iter().map(|&s| offsets[s] + t));
            self.starts.push(self.positions.len());
        }
    }

    /// Returns the number of steps: the length of the longest sequence.
    pub(super) const fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Returns the number of rows, one for each position.
    pub(super) const fn n_rows(&self) -> usize {
        self.positions.len()
    }

    /// Returns the number of sequences that are not empty.
    pub(super) fn n_running(&self) -> usize {
        self.starts.get(1).copied().unwrap_or(0)
    }

    /// Returns the rows of a step.
    pub(super) fn rows(&self, t: usize) -> Range<usize> {
        self.starts[t]..self.starts[t + 1]
    }

    /// Returns where a step begins in a table of states, which has a block of initial states in front.
    pub(super) fn state(&self, t: usize) -> usize {
        self.n_running() + self.starts[t]
    }

    /// Returns where the states before a step begin in such a table.
    pub(super) fn state_before(&self, t: usize) -> usize {
        t.checked_sub(1).map_or(0, |before| self.state(before))
    }

    /// Copies rows of `dim` values from their order by position to that by time.
    pub(super) fn gather(&self, from: &[f32], dim: usize, to: &mut Vec<f32>) {
        to.clear();
        for &position in &self.positions {
            to.extend_from_slice(&from[position * dim..][..dim]);
        }
    }

    /// Copies rows of `dim` values from their order by time to that by position.
    pub(super) fn scatter(&self, from: &[f32], dim: usize, to: &mut [f32]) {
        for (row, &position) in from.chunks_exact(dim).zip(&self.positions) {
            to[position * dim..][..dim].copy_from_slice(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_sequences_by_hand() {
        // Sequences 0..1, empty, 1..4, 4..6: longest first 2, 3, 0, so the steps are 1 4 0 | 2 5 | 3.
        let mut steps = Steps::default();
        steps.refill(&[0, 1, 1, 4, 6]);
        assert_eq!(steps.positions, [1, 4, 0, 2, 5, 3]);
        assert_eq!((steps.len(), steps.n_running(), steps.rows(1)), (3, 3, 3..5));
        assert_eq!((steps.state_before(0), steps.state(0), steps.state_before(1)), (0, 3, 3));
        let (mut by_time, mut back) = (Vec::new(), [9.0; 6]);
        steps.gather(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 1, &mut by_time);
        steps.scatter(&by_time, 1, &mut back);
        assert!(by_time == vec![1.0, 4.0, 0.0, 2.0, 5.0, 3.0]);
        assert!(back.to_vec() == vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn nothing_at_all_has_no_steps() {
        let mut steps = Steps::default();
        assert_eq!((steps.len(), steps.n_rows(), steps.n_running()), (0, 0, 0));
        for offsets in [&[0][..], &[0, 0, 0]] {
            steps.refill(offsets);
            assert_eq!((steps.len(), steps.n_rows(), steps.n_running()), (0, 0, 0));
        }
    }
}
