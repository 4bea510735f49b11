//! Softmax cross-entropy over a whole catalogue with products of bfloat16 numbers summed in `f32`, for machines with tile
//! registers. The same formula as [`CrossEntropy`](super::CrossEntropy), turned around: a tile is `[items, positions]`, so that
//! maxima and sums run down columns, side by side, and both gradients are products of what is there without a transpose.

use multiversion::{multiversion, target::target_cfg_f};

use crate::exp::exp_lane;
use crate::matrix::aligned::Aligned;
use crate::matrix::tiles::{BLOCK, Left, Right, Tiles, pair, round};

/// Positions worked on together.
pub(super) const POSITIONS: usize = 128;
/// Items of a tile: 256 KB of logits, which stay in the second cache.
const TILE: usize = 512;

/// Item vectors rounded and laid out for both products.
#[derive(Clone, Debug, Default)]
pub(super) struct HalfTable {
    n_items: usize,
    dim: usize,
    /// `[items, dim]`, rows of zeros up to a whole tile.
    rows: Aligned<u16>,
    /// `[tiles, dim, TILE]`: the transpose, tile by tile.
    columns: Aligned<u16>,
}

impl HalfTable {
    /// Tells whether vectors of this width can be laid out, and this machine has what it takes.
    pub(super) fn fits(dim: usize) -> bool {
        dim.is_multiple_of(BLOCK) && Tiles::are_there()
    }

    pub(super) fn refill(&mut self, vectors: &[f32], dim: usize) {
        use rayon::prelude::*;
        (self.n_items, self.dim) = (vectors.len() / dim, dim);
        let padded = self.n_items.next_multiple_of(TILE) * dim;
        self.rows.resize(padded);
        self.columns.resize(padded);
        let size = TILE * dim;
        let blocks = self.rows.par_chunks_mut(size).zip(self.columns.par_chunks_mut(size));
        blocks.enumerate().for_each(|(index, (rows, columns))| {
            let from = vectors.len().min(index * size);
            let block = &vectors[from..vectors.len().min(from + size)];
            rows.iter_mut().zip(block).for_each(|(to, x)| *to = round(*x));
            rows[block.len()..].fill(0);
            for (d, column) in columns.chunks_exact_mut(TILE).enumerate() {
                column
                    .iter_mut()
                    .zip(rows.iter().skip(d).step_by(dim))
                    .for_each(|(to, x)| *to = *x);
            }
        });
    }
}

/// Memory reused from call to call.
#[derive(Clone, Debug, Default)]
pub(super) struct HalfScratch {
    /// `[dim / 2, positions]`: hidden vectors as a right side.
    hidden: Aligned<u32>,
    /// `[tile, positions]`.
    logits: Aligned<f32>,
    /// Exponentials of all tiles, `[items, positions]`, as a left side.
    weights: Aligned<u16>,
    /// Those of one tile as a right side, `[tile / 2, positions]`.
    paired: Aligned<u32>,
    /// `[dim, positions]`.
    d_hidden: Aligned<f32>,
    /// Maximum that each tile was taken against, `[tiles, positions]`.
    maxima: Vec<f32>,
    max: Vec<f32>,
    sum: Vec<f32>,
    target: Vec<f32>,
    /// `[positions / 2, dim]`: hidden vectors times what their weights lack.
    scaled: Aligned<u32>,
    rest: Aligned<f32>,
}

/// A block of at most [`POSITIONS`] positions.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) table: &'a HalfTable,
    pub(super) targets: &'a [u32],
    pub(super) hidden: &'a [f32],
    pub(super) weight: f32,
}

impl Block<'_> {
    /// Writes what the softmax gives to `d_hidden: [positions, dim]` and adds it to `d_vectors: [items, dim]`, without the
    /// part of the targets; returns the loss divided by the weight.
    pub(super) fn step(
        &self,
        tiles: &Tiles,
        d_hidden: &mut [f32],
        d_vectors: &mut [f32],
        s: &mut HalfScratch,
    ) -> f64 {
        let HalfTable { n_items, dim, .. } = *self.table;
        let n = self.targets.len().next_multiple_of(BLOCK);
        let n_tiles = n_items.div_ceil(TILE);
        self.prepare(n, n_tiles, s);
        for index in 0..n_tiles {
            let items = index * TILE..n_items.min((index + 1) * TILE);
            let height = items.len().next_multiple_of(BLOCK);
            let left = Left { data: &self.table.rows[items.start * dim..], stride: dim };
            let right = Right { data: &s.hidden, stride: n };
            tiles.product((height, n, dim), (left, right), (&mut s.logits, n), false);
            for (p, &target) in self.targets.iter().enumerate() {
                if items.contains(&(target as usize)) {
                    s.target[p] = s.logits[(target as usize - items.start) * n + p];
                }
            }
            let real = items.len() * n;
            raise(&s.logits[..real], (&mut s.max, &mut s.sum), &mut s.d_hidden);
            s.maxima[index * n..(index + 1) * n].copy_from_slice(&s.max);
            let weights = &mut s.weights[items.start * n..][..height * n];
            exponentials((&s.logits[..real], &s.max), &mut s.sum, (weights, &mut s.paired));
            let left = Left { data: &self.table.columns[items.start * dim..], stride: TILE };
            let right = Right { data: &s.paired, stride: n };
            tiles.product((dim, n, height), (left, right), (&mut s.d_hidden, n), true);
        }
        for (p, d) in d_hidden.chunks_exact_mut(dim).enumerate() {
            let scale = self.weight / s.sum[p];
            let column = s.d_hidden.iter().skip(p).step_by(n);
            d.iter_mut().zip(column).for_each(|(d, x)| *d = scale * x);
        }
        for index in 0..n_tiles {
            self.add_to_vectors(tiles, index, d_vectors, s);
        }
        let losses = s.sum.iter().zip(&s.max).zip(&s.target).take(self.targets.len());
        losses.map(|((sum, max), target)| f64::from(sum.ln() + (max - target))).sum()
    }

    fn prepare(&self, n: usize, n_tiles: usize, s: &mut HalfScratch) {
        let dim = self.table.dim;
        s.hidden.fill_with(dim / 2 * n, 0);
        for (p, h) in self.hidden.chunks_exact(dim).enumerate() {
            let pairs = h.as_chunks::<2>().0;
            let to = s.hidden.iter_mut().skip(p).step_by(n);
            to.zip(pairs).for_each(|(to, [a, b])| *to = pair(*a, *b));
        }
        s.logits.resize(TILE * n);
        s.weights.resize(n_tiles * TILE * n);
        s.paired.resize(TILE / 2 * n);
        s.d_hidden.fill_with(dim * n, 0.0);
        s.maxima.resize(n_tiles * n, 0.0);
        for (buffer, start) in
            [(&mut s.max, f32::NEG_INFINITY), (&mut s.sum, 0.0), (&mut s.target, 0.0)]
        {
            buffer.clear();
            buffer.resize(n, start);
        }
    }

    /// Adds `weightsᵀ · hidden`, scaled, for the items of one tile.
    fn add_to_vectors(
        &self,
        tiles: &Tiles,
        index: usize,
        d_vectors: &mut [f32],
        s: &mut HalfScratch,
    ) {
        let HalfTable { n_items, dim, .. } = *self.table;
        let n = self.targets.len().next_multiple_of(BLOCK);
        let maxima = &s.maxima[index * n..(index + 1) * n];
        s.scaled.resize(n / 2 * dim);
        let row = |p: usize| {
            let h = self.hidden.get(p * dim..(p + 1) * dim)?;
            Some((h, self.weight * (maxima[p] - s.max[p]).exp() / s.sum[p]))
        };
        for (p, to) in (0..n).step_by(2).zip(s.scaled.chunks_exact_mut(dim)) {
            match (row(p), row(p + 1)) {
                (Some((a, x)), Some((b, y))) => {
                    let both = to.iter_mut().zip(a.iter().zip(b));
                    both.for_each(|(to, (a, b))| *to = pair(x * a, y * b));
                }
                (Some((a, x)), None) => {
                    to.iter_mut().zip(a).for_each(|(to, a)| *to = pair(x * a, 0.0));
                }
                (None, _) => to.fill(0),
            }
        }
        let items = index * TILE..n_items.min((index + 1) * TILE);
        let (left, right) = (
            Left { data: &s.weights[items.start * n..], stride: n },
            Right { data: &s.scaled, stride: dim },
        );
        let whole = items.len() / BLOCK * BLOCK;
        let d = &mut d_vectors[items.start * dim..items.end * dim];
        if whole > 0 {
            tiles.product((whole, dim, n), (left, right), (d, dim), true);
        }
        if whole < items.len() {
            s.rest.resize(BLOCK * dim);
            let left = Left { data: &left.data[whole * n..], ..left };
            tiles.product((BLOCK, dim, n), (left, right), (&mut s.rest, dim), false);
            d[whole * dim..].iter_mut().zip(s.rest.iter()).for_each(|(d, x)| *d += x);
        }
    }
}

/// Raises the maxima to those of the logits, and shrinks what was summed under smaller ones.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn raise(logits: &[f32], (max, sum): (&mut [f32], &mut [f32]), d_hidden: &mut [f32]) {
    let n = max.len();
    let mut old = [0.0f32; POSITIONS];
    let old = &mut old[..n];
    old.copy_from_slice(max);
    for row in logits.chunks_exact(n) {
        for (m, x) in max.iter_mut().zip(row) {
            *m = if *x > *m { *x } else { *m };
        }
    }
    // From here on, `old` is what old sums are multiplied with.
    for ((old, max), sum) in old.iter_mut().zip(max.iter()).zip(sum) {
        *old = (*old - *max).exp();
        *sum *= *old;
    }
    for row in d_hidden.chunks_exact_mut(n) {
        row.iter_mut().zip(old.iter()).for_each(|(d, shrink)| *d *= shrink);
    }
}

/// Positions worked on side by side.
const LANES: usize = 16;

/// Writes `e^{x - max}` of every logit as a left and as a right side, and adds it to the sums; rows beyond the logits are 0.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn exponentials(
    (logits, max): (&[f32], &[f32]),
    sum: &mut [f32],
    (weights, paired): (&mut [u16], &mut [u32]),
) {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let n = max.len();
    let (max, sum) = (max.as_chunks::<LANES>().0, sum.as_chunks_mut::<LANES>().0);
    let mut logits = logits.chunks_exact(n);
    for (weights, paired) in weights.chunks_exact_mut(2 * n).zip(paired.chunks_exact_mut(n)) {
        let (first, second) = weights.split_at_mut(n);
        let (a, b) = (logits.next(), logits.next());
        let (Some(a), paired) = (a, paired.as_chunks_mut::<LANES>().0) else {
            first.fill(0);
            second.fill(0);
            paired.fill(0);
            continue;
        };
        let (first, second) = (first.as_chunks_mut::<LANES>().0, second.as_chunks_mut::<LANES>().0);
        // A row without a partner is paired with itself, and the partner's part is taken out again.
        let (is_pair, b) = (b.is_some(), b.unwrap_or(a));
        let (a, b) = (a.as_chunks::<LANES>().0, b.as_chunks::<LANES>().0);
        let keep = if is_pair { 1.0 } else { 0.0 };
        let columns = a.iter().zip(b).zip(max).zip(&mut *sum);
        let out = first.iter_mut().zip(second).zip(paired);
        for ((((a, b), max), sum), ((first, second), paired)) in columns.zip(out) {
            for p in 0..LANES {
                let x = exp_lane(fused, a[p] - max[p]);
                let y = keep * exp_lane(fused, b[p] - max[p]);
                sum[p] += x + y;
                let (x, y) = (round(x), round(y));
                first[p] = x;
                second[p] = y;
                paired[p] = u32::from(x) | u32::from(y) << 16;
            }
        }
    }
}
