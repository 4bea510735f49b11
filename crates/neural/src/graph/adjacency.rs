//! The graph of who took what, and propagation along it: the product with its symmetrically normalised adjacency matrix.
//!
//! `Â_ui = Â_iu = 1 / √(|N_u| |N_i|)` for every pair of a user and an item they took. Rows gather from their neighbours, in both
//! directions, so that no two tasks write the same row and sums keep their order. `Â` is symmetric: the backward pass of
//! `Σ_k α_k Â^k` is the same sum.

use std::ops::Range;

use rayon::prelude::*;
use tastemaker_core::Histories;
use tastemaker_kernels::WeightedRows;

/// Rows made by one task; a matter of balance alone, as each row is summed by itself.
const ROWS: usize = 32;

/// What the rows of one side gather from those of the other.
#[derive(Clone, Debug, Default)]
struct Side {
    offsets: Vec<usize>,
    neighbours: Vec<u32>,
    weights: Vec<f32>,
}

impl Side {
    fn range(&self, row: usize) -> Range<usize> {
        self.offsets[row]..self.offsets[row + 1]
    }

    fn neighbours(&self, row: usize) -> &[u32] {
        &self.neighbours[self.range(row)]
    }

    fn degree(&self, row: usize) -> usize {
        self.range(row).len()
    }

    fn n_rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns the same pairs seen from the other side.
    fn transposed(&self, n_rows: usize) -> Self {
        let mut offsets = vec![0; n_rows + 1];
        self.neighbours.iter().for_each(|&to| offsets[to as usize + 1] += 1);
        (0..n_rows).for_each(|at| offsets[at + 1] += offsets[at]);
        let mut next = offsets.clone();
        let mut neighbours = vec![0; self.neighbours.len()];
        for from in 0..self.n_rows() {
            for &to in self.neighbours(from) {
                neighbours[next[to as usize]] = from as u32;
                next[to as usize] += 1;
            }
        }
        Self { offsets, neighbours, weights: Vec::new() }
    }

    fn weigh(&mut self, other: &[f32]) {
        let own = inverse_roots(&self.offsets);
        let pairs = self.offsets.windows(2).zip(own).flat_map(|(range, own)| {
            self.neighbours[range[0]..range[1]].iter().map(move |&to| own * other[to as usize])
        });
        self.weights = pairs.collect();
    }

    /// Computes `to = share * base + Â from`.
    fn gather(&self, (share, base): (f32, &[f32]), from: &[f32], dim: usize, to: &mut [f32]) {
        to.par_chunks_mut(ROWS * dim).zip(base.par_chunks(ROWS * dim)).enumerate().for_each(
            |(task, (to, base))| {
                to.iter_mut().zip(base).for_each(|(to, base)| *to = share * base);
                for (at, to) in to.chunks_exact_mut(dim).enumerate() {
                    let row = task * ROWS + at;
                    let (ids, weights) = (self.neighbours(row), &self.weights[self.range(row)]);
                    WeightedRows { matrix: from, dim, ids, weights }.add_to(to);
                }
            },
        );
    }
}

/// Returns `1 / √n` of every row with `n` neighbours.
fn inverse_roots(offsets: &[usize]) -> Vec<f32> {
    let degrees = offsets.windows(2).map(|range| range[1] - range[0]);
    degrees.map(|n| 1.0 / (n.max(1) as f32).sqrt()).collect()
}

/// The users with an event and the items that were taken; each pair counts once.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    users: Side,
    items: Side,
    /// Numbers of the items that were taken, rising: item `at` of the graph is this one of the catalogue.
    pub(super) known: Vec<u32>,
}

impl Graph {
    pub(super) fn new(histories: &Histories, n_items: usize) -> Self {
        let counts = histories.item_counts(n_items);
        let known: Vec<u32> = (0..n_items as u32).filter(|&i| counts[i as usize] > 0).collect();
        let mut place = vec![0; n_items];
        (0..).zip(&known).for_each(|(at, &item)| place[item as usize] = at);
        let mut users = Side { offsets: vec![0], ..Side::default() };
        let mut row: Vec<u32> = Vec::new();
        for history in histories.iter().filter(|history| !history.is_empty()) {
            row.clear();
            row.extend(history.items.iter().map(|item| place[item.index()]));
            row.sort_unstable();
            row.dedup();
            users.neighbours.extend(&row);
            users.offsets.push(users.neighbours.len());
        }
        let mut items = users.transposed(known.len());
        let (of_users, of_items) = (inverse_roots(&users.offsets), inverse_roots(&items.offsets));
        users.weigh(&of_items);
        items.weigh(&of_users);
        Self { users, items, known }
    }

    pub(super) fn n_users(&self) -> usize {
        self.users.n_rows()
    }

    pub(super) fn n_items(&self) -> usize {
        self.items.n_rows()
    }

    /// Counts the pairs.
    pub(super) fn n_pairs(&self) -> usize {
        self.users.neighbours.len()
    }

    /// Returns the items of a user, rising.
    pub(super) fn items_of(&self, user: usize) -> &[u32] {
        self.users.neighbours(user)
    }

    /// Returns how many neighbours each row has, users before items.
    pub(super) fn degrees(&self) -> impl Iterator<Item = usize> {
        let users = (0..self.n_users()).map(|user| self.users.degree(user));
        users.chain((0..self.n_items()).map(|item| self.items.degree(item)))
    }

    /// Returns how many users took an item.
    pub(super) fn takers(&self, item: usize) -> usize {
        self.items.degree(item)
    }

    /// Computes `out = Σ_k shares[k] Â^k x`, by Horner's rule; `x` and `out` are `[users + items, dim]`.
    pub(super) fn propagate(
        &self,
        shares: &[f32],
        (x, dim): (&[f32], usize),
        (out, spare): (&mut Vec<f32>, &mut Vec<f32>),
    ) {
        let Some((&last, rest)) = shares.split_last() else { return };
        out.clear();
        out.extend(x.iter().map(|x| last * x));
        spare.resize(x.len(), 0.0);
        let split = self.n_users() * dim;
        let (x_users, x_items) = x.split_at(split);
        for &share in rest.iter().rev() {
            let (users, items) = out.split_at(split);
            let (next_users, next_items) = spare.split_at_mut(split);
            self.users.gather((share, x_users), items, dim, next_users);
            self.items.gather((share, x_items), users, dim, next_items);
            std::mem::swap(out, spare);
        }
    }
}

#[cfg(test)]
mod tests {
    use tastemaker_core::{HistoriesBuilder, ItemId};
    use tastemaker_testkit::assert_all_close;

    use super::*;

    #[test]
    fn one_layer_by_hand() {
        // User 0 took items 1 (twice) and 3, user 1 nothing, user 2 item 3. Degrees: users 2 and 1, items 1 and 2.
        let mut builder = HistoriesBuilder::default();
        for items in [&[1, 3, 1][..], &[], &[3]] {
            items.iter().for_each(|&item| builder.push(ItemId(item), 1.0, 0));
            builder.end_user();
        }
        let graph = Graph::new(&builder.build(), 5);
        assert_eq!((graph.n_users(), graph.n_pairs()), (2, 3));
        assert_eq!(graph.known, [1, 3]);
        assert_eq!(graph.degrees().collect::<Vec<_>>(), [2, 1, 1, 2]);
        let (mut out, mut spare) = (Vec::new(), Vec::new());
        graph.propagate(&[0.5, 1.0], (&[1.0, 2.0, 4.0, 8.0], 1), (&mut out, &mut spare));
        let root = 1.0 / 2f32.sqrt();
        let users = [0.5 + 4.0 * root + 8.0 * 0.5, 1.0 + 8.0 * root];
        let items = [2.0 + root, 4.0 + 0.5 + 2.0 * root];
        assert_all_close(&out, &[users[0], users[1], items[0], items[1]], 1e-6);
        // Two layers are one layer passed on once more.
        let (mut one, mut two) = (Vec::new(), Vec::new());
        graph.propagate(&[0.0, 1.0], (&[1.0, 2.0, 4.0, 8.0], 1), (&mut one, &mut spare));
        graph.propagate(&[0.0, 1.0], (&one, 1), (&mut two, &mut spare));
        graph.propagate(&[0.0, 0.0, 1.0], (&[1.0, 2.0, 4.0, 8.0], 1), (&mut out, &mut spare));
        assert_all_close(&out, &two, 1e-6);
    }
}
