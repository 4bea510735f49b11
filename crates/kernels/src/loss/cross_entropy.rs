//! Softmax cross-entropy over a whole catalogue, fused with the product that makes the logits.
//!
//! `loss = Σ_p weight · (ln Σ_j e^{h_p · v_j} - h_p · v_{t_p})` over positions `p` with hidden vectors `h: [positions, dim]`,
//! targets `t` and item vectors `v: [items, dim]`. The logits of a few positions at a time live in tiles that stay in the
//! cache, with a running maximum as in FlashAttention (Dao et al. 2022); those of
//! more positions than that are never stored.
//! Single-threaded: callers spread positions over tasks, each with its own gradient of the table.

use multiversion::{multiversion, target::target_cfg_f};

use super::half::{self, HalfScratch, HalfTable};
use crate::exp::exp_lane;
use crate::matrix::tiles::Tiles;
use crate::{Packed, Rows, axpy};
use crate::{View, product};

/// Items of a tile: with [`POSITIONS`] rows 1 MB, so that a tile stays in the second cache while it is worked on.
const TILE: usize = 2048;
/// Positions worked on together.
const POSITIONS: usize = half::POSITIONS;
const LANES: usize = 16;

/// With which numbers products are made; sums are in `f32` either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// bfloat16 where the machine multiplies it several times faster (AMX) and the width is a multiple of 32.
    #[default]
    Fast,
    /// `f32`.
    Single,
}

/// Item vectors laid out for [`CrossEntropy`]: once for a step, shared by all tasks.
#[derive(Clone, Debug, Default)]
pub struct ItemTable {
    precision: Precision,
    n_items: usize,
    /// `[dim, items]`: gives the logits.
    across: Packed,
    /// `[items, dim]`: gives the gradient of the hidden vectors.
    along: Packed,
    /// Takes the place of both where products are made in half precision.
    half: Option<HalfTable>,
}

impl ItemTable {
    /// Makes an empty table.
    pub fn new(precision: Precision) -> Self {
        Self { precision, ..Self::default() }
    }

    /// Lays out `vectors: [items, dim]`, keeping memory.
    ///
    /// # Panics
    /// When the slice is no multiple of `dim`.
    pub fn refill(&mut self, vectors: &[f32], dim: usize) {
        assert!(dim > 0 && vectors.len().is_multiple_of(dim), "rows are `dim` wide");
        self.n_items = vectors.len() / dim;
        if self.precision == Precision::Fast && HalfTable::fits(dim) {
            self.half.get_or_insert_default().refill(vectors, dim);
            return;
        }
        self.half = None;
        let rows = Rows { data: vectors, stride: dim, count: self.n_items };
        self.across.refill_transposed(rows, dim);
        self.along.refill(rows, dim);
    }

    /// Counts the items.
    pub const fn n_items(&self) -> usize {
        self.n_items
    }
}

/// Memory reused from call to call.
#[derive(Clone, Debug, Default)]
pub struct LossScratch {
    tiles: Vec<f32>,
    rows: Vec<Running>,
    /// Maximum that the tile was taken against, `[tiles, positions]`.
    maxima: Vec<f32>,
    scaled: Vec<f32>,
    half: HalfScratch,
}

impl LossScratch {
    /// Positions whose logits are held at a time.
    pub const POSITIONS: usize = POSITIONS;
}

/// Maximum and sum of one position's logits so far.
#[derive(Clone, Copy, Debug)]
struct Running {
    max: f32,
    sum: f32,
    target: f32,
}

/// Positions that are to give high logits to their targets.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy<'a> {
    /// The item vectors as laid out.
    pub table: &'a ItemTable,
    /// The item vectors as they are, `[items, dim]`.
    pub vectors: &'a [f32],
    /// The target of every position.
    pub targets: &'a [u32],
    /// What loss and gradients of a position are multiplied with.
    pub weight: f32,
}

impl CrossEntropy<'_> {
    /// Returns the loss, overwrites `d_hidden: [positions, dim]` and adds to `d_vectors: [items, dim]`.
    ///
    /// # Panics
    /// When the slices do not fill their shapes or a target is no item.
    pub fn step(
        &self,
        hidden: &[f32],
        d_hidden: &mut [f32],
        d_vectors: &mut [f32],
        scratch: &mut LossScratch,
    ) -> f64 {
        let n_items = self.table.n_items();
        let dim = self.vectors.len() / n_items.max(1);
        assert!(dim > 0 && self.vectors.len() == n_items * dim, "the table is of these vectors");
        assert!(d_vectors.len() == self.vectors.len(), "every item vector has a gradient");
        let positions = self.targets.len();
        assert!(hidden.len() == positions * dim && d_hidden.len() == hidden.len(), "shapes fit");
        assert!(self.targets.iter().all(|&t| (t as usize) < n_items), "targets are items");
        let tiles = self.table.half.as_ref().and_then(|_| Tiles::open());
        let mut loss = 0.0;
        for from in (0..positions).step_by(POSITIONS) {
            let to = positions.min(from + POSITIONS);
            let range = from * dim..to * dim;
            let part = Self { targets: &self.targets[from..to], ..*self };
            let h = &hidden[range.clone()];
            let d = &mut d_hidden[range];
            loss += match (&self.table.half, &tiles) {
                (Some(table), Some(tiles)) => {
                    let Self { targets, weight, .. } = part;
                    let block = half::Block { table, targets, hidden: h, weight };
                    block.step(tiles, d, d_vectors, &mut scratch.half)
                }
                _ => part.block(dim, h, d, d_vectors, scratch),
            };
            part.targets(dim, h, d, d_vectors);
        }
        loss * f64::from(self.weight)
    }

    /// Adds the part of the targets to both gradients.
    fn targets(&self, dim: usize, hidden: &[f32], d_hidden: &mut [f32], d_vectors: &mut [f32]) {
        let rows = hidden.chunks_exact(dim).zip(d_hidden.chunks_exact_mut(dim));
        for (&target, (h, d)) in self.targets.iter().zip(rows) {
            let at = target as usize * dim..(target as usize + 1) * dim;
            axpy(-self.weight, &self.vectors[at.clone()], d);
            axpy(-self.weight, h, &mut d_vectors[at]);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the innermost step of one formula")]
    fn block(
        &self,
        dim: usize,
        hidden: &[f32],
        d_hidden: &mut [f32],
        d_vectors: &mut [f32],
        scratch: &mut LossScratch,
    ) -> f64 {
        let (n, n_items) = (self.targets.len(), self.table.n_items());
        let n_tiles = n_items.div_ceil(TILE);
        let LossScratch { tiles, rows, maxima, scaled, .. } = scratch;
        tiles.resize(n_tiles * n * TILE, 0.0);
        maxima.resize(n_tiles * n, 0.0);
        rows.clear();
        rows.resize(n, Running { max: f32::NEG_INFINITY, sum: 0.0, target: 0.0 });
        d_hidden.fill(0.0);
        let left = Rows { data: hidden, stride: dim, count: n };
        let items = |tile: usize| tile * TILE..n_items.min((tile + 1) * TILE);
        for (index, tile) in tiles.chunks_exact_mut(n * TILE).enumerate() {
            let items = items(index);
            let width = items.len();
            let tile = &mut tile[..n * width];
            self.table.across.write_part(left, (0..dim, items.clone()), tile, width);
            for ((row, logits), &target) in
                rows.iter_mut().zip(tile.chunks_exact(width)).zip(self.targets)
            {
                if items.contains(&(target as usize)) {
                    row.target = logits[target as usize - items.start];
                }
            }
            let maxima = &mut maxima[index * n..(index + 1) * n];
            exponentials(tile, width, (rows, maxima), d_hidden);
            let weights = Rows { data: tile, stride: width, count: n };
            self.table.along.add_part(weights, (items, 0..dim), d_hidden, dim);
        }
        for (row, d) in rows.iter().zip(d_hidden.chunks_exact_mut(dim)) {
            let scale = self.weight / row.sum;
            d.iter_mut().for_each(|d| *d *= scale);
        }
        for (index, tile) in tiles.chunks_exact(n * TILE).enumerate() {
            let items = items(index);
            let width = items.len();
            scaled.clear();
            for (p, (row, h)) in rows.iter().zip(hidden.chunks_exact(dim)).enumerate() {
                let scale = self.weight * (maxima[index * n + p] - row.max).exp() / row.sum;
                scaled.extend(h.iter().map(|h| scale * h));
            }
            let tile = View::rows(&tile[..n * width], width).transposed();
            let d = &mut d_vectors[items.start * dim..items.end * dim];
            product((width, dim, n), (1.0, tile, View::rows(scaled, dim)), 1.0, (d, dim));
        }
        let losses = rows.iter().map(|row| f64::from(row.sum.ln() + (row.max - row.target)));
        losses.sum()
    }
}

/// Turns the logits of a tile into `e^{x - max}` with the maximum so far, adds up, and rescales what was summed under a
/// smaller maximum.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn exponentials(
    tile: &mut [f32],
    width: usize,
    (rows, maxima): (&mut [Running], &mut [f32]),
    sums: &mut [f32],
) {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let dim = sums.len() / rows.len();
    let logits = tile.chunks_exact_mut(width);
    for (((row, max), logits), sums) in
        rows.iter_mut().zip(maxima).zip(logits).zip(sums.chunks_exact_mut(dim))
    {
        let (chunks, tail) = logits.as_chunks_mut::<LANES>();
        let mut lanes = [row.max; LANES];
        for chunk in &*chunks {
            for (m, x) in lanes.iter_mut().zip(chunk) {
                *m = if *x > *m { *x } else { *m };
            }
        }
        let new = lanes.iter().chain(&*tail).fold(row.max, |m, &x| if x > m { x } else { m });
        if new > row.max {
            let shrink = (row.max - new).exp();
            row.sum *= shrink;
            sums.iter_mut().for_each(|x| *x *= shrink);
            row.max = new;
        }
        *max = row.max;
        let mut lanes = [0.0f32; LANES];
        for chunk in chunks {
            for (s, x) in lanes.iter_mut().zip(chunk) {
                *x = exp_lane(fused, *x - new);
                *s += *x;
            }
        }
        for (s, x) in lanes.iter_mut().zip(tail) {
            *x = exp_lane(fused, *x - new);
            *s += *x;
        }
        row.sum += lanes.iter().sum::<f32>();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Loss and gradients in `f64`, by the definition.
    fn naive(
        dim: usize,
        h: &[f32],
        v: &[f32],
        targets: &[u32],
        weight: f64,
    ) -> (f64, Vec<f64>, Vec<f64>) {
        let (mut loss, mut dh, mut dv) = (0.0, vec![0.0; h.len()], vec![0.0; v.len()]);
        for (p, &target) in targets.iter().enumerate() {
            let h = &h[p * dim..(p + 1) * dim];
            let logits: Vec<f64> = v
                .chunks_exact(dim)
                .map(|v| v.iter().zip(h).map(|(v, h)| f64::from(*v) * f64::from(*h)).sum())
                .collect();
            let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|x| (x - max).exp()).sum();
            loss += weight * (sum.ln() + max - logits[target as usize]);
            for (j, x) in logits.iter().enumerate() {
                let wanted = f64::from(u8::from(j == target as usize));
                let g = weight * ((x - max).exp() / sum - wanted);
                for c in 0..dim {
                    dh[p * dim + c] += g * f64::from(v[j * dim + c]);
                    dv[j * dim + c] += g * f64::from(h[c]);
                }
            }
        }
        (loss, dh, dv)
    }

    fn fused(
        precision: Precision,
        dim: usize,
        (h, v): (&[f32], &[f32]),
        targets: &[u32],
        weight: f32,
    ) -> (f64, Vec<f32>, Vec<f32>) {
        let mut table = ItemTable::new(precision);
        table.refill(v, dim);
        let (mut dh, mut dv) = (vec![7.0; h.len()], vec![0.0; v.len()]);
        let loss = CrossEntropy { table: &table, vectors: v, targets, weight }.step(
            h,
            &mut dh,
            &mut dv,
            &mut LossScratch::default(),
        );
        (loss, dh, dv)
    }

    fn assert_equal(dim: usize, h: &[f32], v: &[f32], targets: &[u32]) {
        let (want, want_dh, want_dv) = naive(dim, h, v, targets, 0.25);
        let (loss, dh, dv) = fused(Precision::Single, dim, (h, v), targets, 0.25);
        assert!((loss - want).abs() < 1e-4 * (1.0 + want.abs()), "{loss} {want}");
        let scale = |x: &[f64]| 1e-5 + 1e-4 * x.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        for (got, want) in [(dh, want_dh), (dv, want_dv)] {
            let allowed = scale(&want);
            for (got, want) in got.iter().zip(&want) {
                assert!((f64::from(*got) - want).abs() < allowed, "{got} {want}");
            }
        }
    }

    #[test]
    fn two_items_by_hand() {
        // h = 1, v = [ln 3, 0]: probabilities 3/4 and 1/4; target 1: loss ln 4, dh = 3/4 ln 3, dv = [3/4, -3/4].
        let l = 3f32.ln();
        let (loss, dh, dv) = fused(Precision::Single, 1, (&[1.0], &[l, 0.0]), &[1], 1.0);
        assert!((loss - 4f64.ln()).abs() < 1e-6);
        assert!((dh[0] - 0.75 * l).abs() < 1e-6);
        assert!((dv[0] - 0.75).abs() < 1e-6 && (dv[1] + 0.75).abs() < 1e-6);
    }

    #[test]
    fn several_tiles_and_blocks_equal_the_definition() {
        let (dim, n_items, positions) = (8, 2 * TILE + 37, POSITIONS + 3);
        let h: Vec<f32> = (0..positions * dim).map(|i| (i as f32 * 0.37).sin() * 2.0).collect();
        let v: Vec<f32> = (0..n_items * dim).map(|i| (i as f32 * 0.73).cos()).collect();
        let targets: Vec<u32> = (0..positions).map(|p| (p * 97 % n_items) as u32).collect();
        assert_equal(dim, &h, &v, &targets);
    }

    #[test]
    fn one_item_costs_nothing_and_huge_logits_stay_finite() {
        let (loss, dh, dv) = fused(Precision::Single, 2, (&[5.0, 1.0], &[1.0, 2.0]), &[0], 1.0);
        assert!(loss.abs() < 1e-6 && dh.iter().chain(&dv).all(|x| x.abs() < 1e-6));
        let (loss, dh, dv) = fused(Precision::Single, 1, (&[1e4], &[1.0, -1.0, 0.5]), &[1], 1.0);
        assert!((loss - 2e4).abs() < 1.0 && dh.iter().chain(&dv).all(|x| x.is_finite()));
    }

    /// Half precision rounds each factor by up to 1 in 256; errors of sums of many partly cancel.
    #[test]
    fn half_precision_is_near_single_for_any_number_of_items_and_positions() {
        let dim = 64;
        for (n_items, positions) in [(1, 1), (2, 5), (31, 33), (64, 128), (515, 130), (1100, 40)] {
            let h: Vec<f32> = (0..positions * dim).map(|i| (i as f32 * 0.37).sin()).collect();
            let v: Vec<f32> = (0..n_items * dim).map(|i| (i as f32 * 0.73).cos() * 0.5).collect();
            let targets: Vec<u32> = (0..positions).map(|p| (p * 97 % n_items) as u32).collect();
            let of = |precision| fused(precision, dim, (&h, &v), &targets, 0.1);
            let (fast, single) = (of(Precision::Fast), of(Precision::Single));
            assert!((fast.0 - single.0).abs() < 2e-3 * (1.0 + single.0), "{} {}", fast.0, single.0);
            for (fast, single) in [(fast.1, single.1), (fast.2, single.2)] {
                let size = single.iter().map(|x| x * x).sum::<f32>().sqrt();
                let error =
                    fast.iter().zip(&single).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
                assert!(error <= 1e-2 * size + 1e-3, "{n_items} {positions}: {error} of {size}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_shape_equals_the_definition(
            dim in 1usize..40, n_items in 1usize..70, positions in 0usize..20, seed in 0u32..1000,
        ) {
            let at = |i: usize| ((i as f32 + 1.0) * (seed as f32 * 0.01 + 0.7)).sin() * 2.0;
            let h: Vec<f32> = (0..positions * dim).map(at).collect();
            let v: Vec<f32> = (0..n_items * dim).map(|i| at(i * 3 + 1)).collect();
            let targets: Vec<u32> = (0..positions).map(|p| (p * 7 % n_items) as u32).collect();
            assert_equal(dim, &h, &v, &targets);
        }
    }
}
