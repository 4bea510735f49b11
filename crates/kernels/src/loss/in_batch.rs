//! In-batch softmax, or `InfoNCE` (van den Oord et al. 2018): row `i` of `a` should find row `i` of `b` among all rows
//! of `b`. `-ln(e^s_ii / Σ_j e^s_ij)` with `s_ij = a_i · b_j / temperature + shift_j`, a shift `-ln q_j` being the log-Q
//! correction (Yi et al. 2019); in both directions it is the mean with the same loss over columns (CLIP, 2021).

use multiversion::{multiversion, target::target_cfg_f};

use super::lanes::{MASKED, Outcome, contrast};
use crate::{Layout, gemm};

/// Who searches whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Rows of `a` search among rows of `b`.
    Forward,
    /// Each side searches the other; the loss is the mean. Column shifts cancel in the search of `b`.
    Both,
}

/// The pairs of a batch: `n` of them, costing `n²` floats of scratch, twice that in both directions.
#[derive(Clone, Copy, Debug)]
pub struct InBatch<'a> {
    /// Who searches whom.
    pub direction: Direction,
    /// Id of each row of `b`; an equal id elsewhere in the batch is masked. Empty when all differ.
    pub ids: &'a [u32],
    /// Group of each pair; pairs of one group do not compete with one another. Empty when all compete.
    pub groups: &'a [u32],
    /// Added to all logits of a row of `b`, its own pair's included; empty for nothing.
    pub shift: &'a [f32],
    /// Divides products, not shifts.
    pub temperature: f32,
    /// Every pair's loss and gradient is multiplied by this.
    pub weight: f32,
}

/// Where gradients go; both are overwritten.
#[derive(Debug)]
pub struct InBatchGradients<'a> {
    /// Of the rows of `a`, `[n, dim]`.
    pub a: &'a mut [f32],
    /// Of the rows of `b`, `[n, dim]`.
    pub b: &'a mut [f32],
}

/// Memory that a step needs; keep it from batch to batch.
#[derive(Clone, Debug, Default)]
pub struct InBatchScratch {
    // [n, n], first logits, then slopes
    forward: Vec<f32>,
    // [n, n], the transpose; empty when only `a` searches
    backward: Vec<f32>,
}

impl InBatch<'_> {
    /// Returns the sum of weighted losses of `n` pairs `(a, b)`, both `[n, dim]`, and computes both gradients.
    ///
    /// # Panics
    /// When a slice does not fill its shape.
    pub fn step(
        &self,
        n: usize,
        (a, b): (&[f32], &[f32]),
        grads: InBatchGradients<'_>,
        scratch: &mut InBatchScratch,
    ) -> f64 {
        if n == 0 {
            return 0.0;
        }
        let dim = a.len() / n;
        assert!(a.len() == n * dim && b.len() == n * dim, "pairs have vectors of one width");
        assert!(
            grads.a.len() == n * dim && grads.b.len() == n * dim,
            "gradients have the shapes of their vectors"
        );
        assert!(
            [self.ids.len(), self.groups.len(), self.shift.len()]
                .iter()
                .all(|len| *len == 0 || *len == n),
            "there is an id, a group and a shift for every pair or for none"
        );
        let (plain, turned) = (Layout::Plain, Layout::Transposed);
        let InBatchScratch { forward, backward } = scratch;
        forward.clear();
        forward.resize(n * n, 0.0);
        let scale = 1.0 / self.temperature;
        gemm((n, n, dim), scale, (a, plain), (b, turned), 0.0, forward);
        for (at, row) in forward.chunks_exact_mut(n).enumerate() {
            shift_and_mask(row, at, self);
        }
        let loss = match self.direction {
            Direction::Forward => search(forward, n, self.weight),
            Direction::Both => {
                backward.clear();
                backward.resize(n * n, 0.0);
                transpose(forward, backward, n);
                let loss =
                    search(forward, n, 0.5 * self.weight) + search(backward, n, 0.5 * self.weight);
                add_transpose(backward, forward, n);
                loss
            }
        };
        gemm((n, dim, n), scale, (forward, plain), (b, plain), 0.0, grads.a);
        gemm((n, dim, n), scale, (forward, turned), (a, plain), 0.0, grads.b);
        loss
    }
}

/// Finishes the logits of the row of pair `at`.
fn shift_and_mask(row: &mut [f32], at: usize, task: &InBatch<'_>) {
    for (x, shift) in row.iter_mut().zip(task.shift) {
        *x += shift;
    }
    let own = row[at];
    for labels in [task.ids, task.groups] {
        let Some(&own_label) = labels.get(at) else { continue };
        for (x, &label) in row.iter_mut().zip(labels) {
            *x = if label == own_label { MASKED } else { *x };
        }
    }
    row[at] = own;
}

/// Returns the loss of finding the diagonal in every row; logits become slopes.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn search(logits: &mut [f32], n: usize, weight: f32) -> f64 {
    let fused = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let mut sum = 0.0;
    for (at, row) in logits.chunks_exact_mut(n).enumerate() {
        let own = std::mem::replace(&mut row[at], MASKED);
        let Outcome { loss, slope } = contrast(fused, own, row, weight);
        row[at] = slope;
        sum += loss;
    }
    sum
}

/// Side of the squares in which a matrix is transposed: two of them fit the first cache.
const SQUARE: usize = 32;

/// Calls `f(place, transposed place)` for every entry of a matrix `[n, n]`, square by square.
#[inline(always)]
fn for_each_turned(n: usize, mut f: impl FnMut(usize, usize)) {
    for top in (0..n).step_by(SQUARE) {
        for left in (0..n).step_by(SQUARE) {
            for i in top..n.min(top + SQUARE) {
                for j in left..n.min(left + SQUARE) {
                    f(i * n + j, j * n + i);
                }
            }
        }
    }
}

fn transpose(from: &[f32], to: &mut [f32], n: usize) {
    for_each_turned(n, |place, turned| to[place] = from[turned]);
}

fn add_transpose(from: &[f32], to: &mut [f32], n: usize) {
    for_each_turned(n, |place, turned| to[place] += from[turned]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::check;
    use super::*;

    fn run(task: &InBatch<'_>, n: usize, a: &[f32], b: &[f32]) -> (f64, Vec<f32>, Vec<f32>) {
        let (mut of_a, mut of_b) = (vec![f32::NAN; a.len()], vec![f32::NAN; b.len()]);
        let grads = InBatchGradients { a: &mut of_a, b: &mut of_b };
        let loss = task.step(n, (a, b), grads, &mut InBatchScratch::default());
        (loss, of_a, of_b)
    }

    fn naive(task: &InBatch<'_>, n: usize, a: &[f64], b: &[f64]) -> f64 {
        let dim = a.len() / n;
        let logit = |i: usize, j: usize| {
            check::dot(&a[i * dim..][..dim], &b[j * dim..][..dim]) / f64::from(task.temperature)
                + task.shift.get(j).map_or(0.0, |x| f64::from(*x))
        };
        let differ =
            |labels: &[u32], i: usize, j: usize| labels.is_empty() || labels[i] != labels[j];
        let open =
            |i: usize, j: usize| i == j || (differ(task.ids, i, j) && differ(task.groups, i, j));
        let one = |i: usize| {
            let row: Vec<f64> = (0..n).filter(|j| open(i, *j)).map(|j| logit(i, j)).collect();
            let column: Vec<f64> = (0..n).filter(|j| open(i, *j)).map(|j| logit(j, i)).collect();
            let there = check::log_sum_exp(&row) - logit(i, i);
            let back = check::log_sum_exp(&column) - logit(i, i);
            match task.direction {
                Direction::Forward => there,
                Direction::Both => f64::midpoint(there, back),
            }
        };
        f64::from(task.weight) * (0..n).map(one).sum::<f64>()
    }

    fn assert_equals_the_naive_version(task: &InBatch<'_>, n: usize, a: &[f32], b: &[f32]) {
        let (loss, of_a, of_b) = run(task, n, a, b);
        let (wide_a, wide_b) = (check::widen(a), check::widen(b));
        check::assert_loss(loss, naive(task, n, &wide_a, &wide_b));
        let want = check::numeric_gradient(|a| naive(task, n, a, &wide_b), a);
        check::assert_near(&of_a, &want);
        let want = check::numeric_gradient(|b| naive(task, n, &wide_a, b), b);
        check::assert_near(&of_b, &want);
    }

    const PLAIN: InBatch<'_> = InBatch {
        direction: Direction::Forward,
        ids: &[],
        groups: &[],
        shift: &[],
        temperature: 1.0,
        weight: 1.0,
    };

    #[test]
    fn two_pairs_by_hand() {
        // a = (1, 0) and b = (ln 3, 0): logits [ln 3, 0; 0, 0]. Rows: -ln 3/4 and -ln 1/2; the columns are the same.
        let (a, b) = ([1.0, 0.0], [3f32.ln(), 0.0]);
        let want = (4f64 / 3.0).ln() + 2f64.ln();
        let (loss, of_a, of_b) = run(&PLAIN, 2, &a, &b);
        check::assert_loss(loss, want);
        // Slopes [-1/4, 1/4; 1/2, -1/2], times b for a, and turned times a for b.
        check::assert_near(&of_a, &[-0.25 * 3f64.ln(), 0.5 * 3f64.ln()]);
        check::assert_near(&of_b, &[-0.25, 0.25]);
        let both = InBatch { direction: Direction::Both, ..PLAIN };
        check::assert_loss(run(&both, 2, &a, &b).0, want);
    }

    #[test]
    fn alone_or_among_copies_there_is_nothing_to_learn() {
        let copies = InBatch { ids: &[7, 7], direction: Direction::Both, ..PLAIN };
        for (task, n) in [(PLAIN, 1), (copies, 2)] {
            let (a, b) = (check::scattered(3 * n, 1), check::scattered(3 * n, 2));
            let (loss, of_a, of_b) = run(&task, n, &a, &b);
            assert!(loss.abs() < 1e-12 && of_a.iter().chain(&of_b).all(|x| x.abs() < 1e-12));
        }
        assert!(run(&PLAIN, 0, &[], &[]).0.abs() < 1e-12);
    }

    #[test]
    fn huge_logits_give_finite_numbers() {
        let (a, b) = ([100.0, -100.0, 100.0], [100.0, 100.0, -100.0]);
        for direction in [Direction::Forward, Direction::Both] {
            let task = InBatch { direction, ..PLAIN };
            let (loss, of_a, of_b) = run(&task, 3, &a, &b);
            check::assert_loss(loss, naive(&task, 3, &check::widen(&a), &check::widen(&b)));
            assert!(of_a.iter().chain(&of_b).all(|x| x.is_finite()));
        }
    }

    #[test]
    fn a_batch_wider_than_a_square_equals_the_naive_version() {
        let n = SQUARE + 5;
        let (a, b) = (check::scattered(2 * n, 3), check::scattered(2 * n, 4));
        let task = InBatch { direction: Direction::Both, temperature: 0.5, ..PLAIN };
        assert_equals_the_naive_version(&task, n, &a, &b);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_batch_equals_the_naive_version(
            (n, dim) in (1usize..14, 1usize..6), seed in 0u32..1000, temperature in 0.1f32..2.0,
        ) {
            let (a, b) = (check::scattered(n * dim, seed), check::scattered(n * dim, seed + 1));
            let ids: Vec<u32> =
                check::scattered(n, seed + 2).iter().map(|x| (x.abs() * 8.0) as u32).collect();
            let shift = check::scattered(n, seed + 3);
            let groups: Vec<u32> = (0..n as u32).map(|at| at / 2).collect();
            let task = InBatch {
                direction: if seed % 2 == 0 { Direction::Forward } else { Direction::Both },
                ids: if seed % 3 == 0 { &[] } else { &ids },
                groups: if seed % 7 > 2 { &[] } else { &groups },
                shift: if seed % 5 == 0 { &[] } else { &shift },
                temperature,
                weight: 0.3,
            };
            assert_equals_the_naive_version(&task, n, &a, &b);
        }
    }
}
