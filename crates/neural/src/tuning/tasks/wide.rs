//! Softmax over many rows: `-ln(e^(h·w_t + c_t) / Σ e^(h·w + c))`, with `w` the rows of a table and `c` their biases.
//!
//! Positions are cut into a fixed number of parts and the table into fixed stretches, so that threads change no bit.

use rayon::prelude::*;
use tastemaker_kernels::{View, product, softmax};

/// Logits that are held at a time.
const LOGITS: usize = 8 << 20;
/// Tasks that share the positions.
const PARTS: usize = 4;
/// Rows of the table whose gradients are one task.
const STRETCH: usize = 2048;

/// Rows that positions are to find theirs among.
#[derive(Clone, Copy)]
pub(super) struct Wide<'a> {
    /// `[rows, dim]`
    pub(super) table: &'a [f32],
    /// A bias for each row, or none.
    pub(super) bias: &'a [f32],
    pub(super) dim: usize,
    /// The right row of each position.
    pub(super) targets: &'a [u32],
    /// Rows that are out of the question, for each position, or none at all.
    pub(super) excluded: &'a [Vec<u32>],
}

/// The logit of what is out of the question.
const OUT: f32 = -1e30;

/// Which gradients of the table are wanted; all are added to.
pub(super) enum OfTable<'a> {
    None,
    /// Of every row.
    All(&'a mut [f32]),
    /// Of these rows, in their order.
    Rows(&'a [u32], &'a mut [f32]),
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Sum of the positions' losses.
    pub(super) loss: f64,
    /// Positions whose row had the highest logit.
    pub(super) hits: usize,
}

impl Wide<'_> {
    /// Returns the sum of losses; overwrites `d_hidden: [positions, dim]` and adds to the other gradients, all of them multiplied by
    /// `weight`.
    pub(super) fn step(
        &self,
        (hidden, weight): (&[f32], f32),
        d_hidden: &mut [f32],
        d_bias: &mut [f32],
        mut d_table: OfTable<'_>,
    ) -> Found {
        let (n, dim) = (self.table.len() / self.dim, self.dim);
        let most = (LOGITS / n.max(1)).clamp(PARTS, 1024);
        let mut slopes = Vec::new();
        let mut all = Found::default();
        let mut excluded = self.excluded;
        let chunks = hidden.chunks(most * dim).zip(d_hidden.chunks_mut(most * dim));
        for ((h, d), targets) in chunks.zip(self.targets.chunks(most)) {
            slopes.resize(targets.len() * n, 0.0);
            let (out, rest) = excluded.split_at(targets.len().min(excluded.len()));
            excluded = rest;
            let own = Self { targets, excluded: out, ..*self };
            let found = own.positions(h, (d, &mut slopes), weight);
            all.loss += found.loss;
            all.hits += found.hits;
            for row in slopes.chunks_exact(n) {
                d_bias.iter_mut().zip(row).for_each(|(d, slope)| *d += slope);
            }
            match &mut d_table {
                OfTable::None => {}
                OfTable::All(to) => {
                    to.par_chunks_mut(STRETCH * dim).enumerate().for_each(|(at, to)| {
                        let across = View::rows(&slopes[at * STRETCH..], n).transposed();
                        let shape = (to.len() / dim, dim, targets.len());
                        product(shape, (1.0, across, View::rows(h, dim)), 1.0, (to, dim));
                    });
                }
                OfTable::Rows(rows, to) => {
                    let column = |row: &[f32]| -> Vec<f32> {
                        rows.iter().map(|&at| row[at as usize]).collect()
                    };
                    let some: Vec<f32> = slopes.chunks_exact(n).flat_map(column).collect();
                    let across = View::rows(&some, rows.len()).transposed();
                    let shape = (rows.len(), dim, targets.len());
                    product(shape, (1.0, across, View::rows(h, dim)), 1.0, (to, dim));
                }
            }
        }
        all
    }

    /// Writes the gradients of positions and their slopes, `[positions, rows]`.
    fn positions(&self, h: &[f32], (d, slopes): (&mut [f32], &mut [f32]), weight: f32) -> Found {
        let (n, dim) = (self.table.len() / self.dim, self.dim);
        let each = self.targets.len().div_ceil(PARTS).max(1);
        let parts = h.par_chunks(each * dim).zip(d.par_chunks_mut(each * dim));
        let parts = parts.zip(slopes.par_chunks_mut(each * n)).zip(self.targets.par_chunks(each));
        let found: Vec<Found> = parts
            .enumerate()
            .with_max_len(1)
            .map(|(part, (((h, d), slopes), targets))| {
                let table = View::rows(self.table, dim);
                for row in slopes.chunks_exact_mut(n) {
                    if self.bias.is_empty() {
                        row.fill(0.0);
                    } else {
                        row.copy_from_slice(self.bias);
                    }
                }
                let factors = (1.0, View::rows(h, dim), table.transposed());
                product((targets.len(), n, dim), factors, 1.0, (slopes, n));
                let mut found = Found::default();
                let rows = slopes.chunks_exact_mut(n).zip(targets);
                for (at, (row, &target)) in (part * each..).zip(rows) {
                    let out = self.excluded.get(at).into_iter().flatten();
                    out.filter(|&&out| out != target).for_each(|&out| row[out as usize] = OUT);
                    let one = settle(row, target as usize, weight);
                    found.loss += one.loss;
                    found.hits += one.hits;
                }
                let factors = (1.0, View::rows(slopes, n), table);
                product((targets.len(), dim, n), factors, 0.0, (d, dim));
                found
            })
            .collect();
        found.iter().fold(Found::default(), |sum, part| Found {
            loss: sum.loss + part.loss,
            hits: sum.hits + part.hits,
        })
    }
}

/// Turns the logits of a position into slopes.
fn settle(row: &mut [f32], target: usize, weight: f32) -> Found {
    let own = row[target];
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let n = row.len();
    softmax(row, n, n, 1.0);
    // The highest share is at least one in as many as there are rows, so its logarithm is safe, whatever the target's is.
    let highest = row.iter().copied().fold(0.0, f32::max);
    let loss = f64::from(most) - f64::from(own) - f64::from(highest).ln();
    row[target] -= 1.0;
    row.iter_mut().for_each(|x| *x *= weight);
    Found { loss, hits: usize::from(own >= most) }
}

/// Dense layer `y = x Wᵀ + b` over rows, on one thread: heads are thin.
pub(super) fn dense(x: &[f32], (weight, bias): (&[f32], &[f32])) -> Vec<f32> {
    let (outputs, inputs) = (bias.len(), weight.len() / bias.len().max(1));
    let rows = x.len() / inputs.max(1);
    let mut y = Vec::with_capacity(rows * outputs);
    (0..rows).for_each(|_| y.extend_from_slice(bias));
    let across = View::rows(weight, inputs).transposed();
    let shape = (rows, outputs, inputs);
    product(shape, (1.0, View::rows(x, inputs), across), 1.0, (&mut y, outputs));
    y
}

/// Adds the gradients of a dense layer's weight and bias, and returns that of its input.
pub(super) fn dense_back(
    x: &[f32],
    dy: &[f32],
    weight: &[f32],
    (d_weight, d_bias): (&mut [f32], &mut [f32]),
) -> Vec<f32> {
    let (outputs, inputs) = (d_bias.len(), weight.len() / d_bias.len().max(1));
    let rows = dy.len() / outputs.max(1);
    for row in dy.chunks_exact(outputs) {
        d_bias.iter_mut().zip(row).for_each(|(d, dy)| *d += dy);
    }
    let dy = View::rows(dy, outputs);
    let factors = (1.0, dy.transposed(), View::rows(x, inputs));
    product((outputs, inputs, rows), factors, 1.0, (d_weight, inputs));
    let mut dx = vec![0.0; rows * inputs];
    let factors = (1.0, dy, View::rows(weight, inputs));
    product((rows, inputs, outputs), factors, 0.0, (&mut dx, inputs));
    dx
}

/// Returns how often a score of the first kind is above one of the second, ties counting half; `None` without both.
pub(super) fn auc(scores: &[f32], is_positive: &[bool]) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (mut below, mut won, mut positives) = (0usize, 0.0, 0usize);
    let same = |a: &usize, b: &usize| scores[*a].total_cmp(&scores[*b]).is_eq();
    for tied in order.chunk_by(same) {
        let own = tied.iter().filter(|&&at| is_positive[at]).count();
        let others = tied.len() - own;
        won += own as f64 * (below as f64 + others as f64 / 2.0);
        positives += own;
        below += others;
    }
    (positives > 0 && below > 0).then(|| won / (positives as f64 * below as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rows_by_hand() {
        // Logits ln 3 and 0: shares 3/4 and 1/4; the second is right, so the loss is ln 4 and the slopes (3/4, -3/4).
        let table = [1.0, 0.0, 0.0, 1.0];
        let wide = Wide { table: &table, bias: &[0.0, 0.0], dim: 2, targets: &[1], excluded: &[] };
        let (mut d, mut d_bias, mut d_table) = ([0.0; 2], [0.0; 2], [0.0; 4]);
        let hidden = [3f32.ln(), 0.0];
        let found = wide.step((&hidden, 1.0), &mut d, &mut d_bias, OfTable::All(&mut d_table));
        assert!((found.loss - 4f64.ln()).abs() < 1e-6 && found.hits == 0, "{found:?}");
        for (got, want) in d.iter().chain(&d_bias).zip([0.75, -0.75, 0.75, -0.75]) {
            assert!((got - want).abs() < 1e-6);
        }
        let want = [0.75 * 3f32.ln(), 0.0, -0.75 * 3f32.ln(), 0.0];
        assert!(d_table.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{d_table:?}");
        let mut of_second = [0.0; 2];
        wide.step((&hidden, 1.0), &mut d, &mut [], OfTable::Rows(&[1], &mut of_second));
        assert!((of_second[0] - want[2]).abs() < 1e-6);
    }

    #[test]
    fn pairs_in_the_right_order_are_counted() {
        // Positives 3 and 1, others 2 and 1: 3 beats both, 1 loses to 2 and ties with 1, so 2.5 of 4.
        let found = auc(&[3.0, 1.0, 2.0, 1.0], &[true, true, false, false]).unwrap();
        assert!((found - 0.625).abs() < 1e-12);
        assert!(auc(&[1.0], &[true]).is_none());
    }
}
