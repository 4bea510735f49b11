//! Users and items in turn, each row on its own: on all cores, and the same for any number of them.
//!
//! Before each half the fixed side is turned so that its Gram matrix is diagonal. The objective does not notice, the
//! part of a row's system that all rows share becomes a diagonal, and that is a good preconditioner.

use rand::Rng;
use rayon::prelude::*;
use tastemaker_core::{Checked, FitError, TrainData, seed};
use tastemaker_kernels::{
    ConjugateScratch, DiagonalPlusRows, Layout, RightSide, Stop, WeightedRows, cholesky_solve,
    gemm, symmetric_eigen,
};

use super::{Ials, IalsSettings, Solver};
use crate::interactions::interactions;
use crate::sparse::Csr;

/// Rows that one task solves, sums or turns.
const SOLVED_PER_TASK: usize = 64;
const SUMMED_PER_TASK: usize = 1024;
const TURNED_PER_TASK: usize = 256;
/// A row this near to its solution waits for the next iteration: exact solutions gave no better lists.
const TOLERANCE: f32 = 1e-2;

pub(super) fn fit(
    settings: &Checked<IalsSettings>,
    data: &TrainData<'_>,
) -> Result<Ials, FitError> {
    data.require_events()?;
    let (dim, n_items) = (settings.factors, data.n_items);
    // What events add to the confidence of the pairs.
    let users = interactions(data.histories, n_items, |value| settings.added(value));
    let items = users.transpose();
    let mut x = vec![0.0; users.n_rows() * dim];
    let mut y = random(data.seed, n_items * dim, 0.1 / (dim as f32).sqrt());
    for done in 0..settings.iterations {
        half(settings, &users, &mut x, &mut y)?;
        half(settings, &items, &mut y, &mut x)?;
        data.progress.report("ials", done + 1, settings.iterations);
    }
    let gram = turn(dim, &mut y, &mut x)?;
    if x.iter().chain(&y).any(|x| !x.is_finite()) {
        return Err(diverged());
    }
    Ok(Ials::new(IalsSettings::clone(settings), gram, x, y))
}

fn diverged() -> FitError {
    FitError::Diverged {
        model: "ials",
        why: "the vectors ran away: raise `regularisation` or lower `alpha`".to_owned(),
    }
}

fn random(seed: u64, n: usize, scale: f32) -> Vec<f32> {
    let mut rng = seed::stream(seed, "ials");
    // The top 24 bits, centred: uniform in [-scale, scale).
    let unit = |bits: u32| (bits >> 8) as f32 / (1 << 23) as f32 - 1.0;
    (0..n).map(|_| scale * unit(rng.next_u32())).collect()
}

/// Solves all rows of `target` with `fixed` held.
fn half(
    settings: &IalsSettings,
    pairs: &Csr,
    target: &mut [f32],
    fixed: &mut [f32],
) -> Result<(), FitError> {
    let dim = settings.factors;
    let gram = turn(dim, fixed, target)?;
    let fixed = &*fixed;
    target.par_chunks_mut(SOLVED_PER_TASK * dim).enumerate().try_for_each(|(task, rows)| {
        let mut solve = RowSolver::new(settings, &gram, fixed);
        for (x, row) in rows.chunks_exact_mut(dim).zip(task * SOLVED_PER_TASK..) {
            let (ids, added) = pairs.row(row);
            solve.row(ids, added, pairs.n_columns(), x).ok_or_else(diverged)?;
        }
        Ok(())
    })
}

/// Turns both sides by the same rotation, so that the Gram matrix of `fixed` becomes the diagonal returned.
fn turn(dim: usize, fixed: &mut [f32], other: &mut [f32]) -> Result<Vec<f32>, FitError> {
    let (values, vectors) = symmetric_eigen(dim, &gram(dim, fixed)).ok_or_else(diverged)?;
    let vectors: Vec<f32> = vectors.into_iter().map(|x| x as f32).collect();
    for side in [fixed, other] {
        side.par_chunks_mut(TURNED_PER_TASK * dim).for_each(|rows| {
            let old = rows.to_vec();
            gemm(
                (rows.len() / dim, dim, dim),
                1.0,
                (&old, Layout::Plain),
                (&vectors, Layout::Transposed),
                0.0,
                rows,
            );
        });
    }
    Ok(values.into_iter().map(|value| value.max(0.0) as f32).collect())
}

/// Returns `sideᵀ · side`, summed in one order.
pub(super) fn gram(dim: usize, side: &[f32]) -> Vec<f64> {
    let parts: Vec<Vec<f32>> = side
        .par_chunks(SUMMED_PER_TASK * dim)
        .map(|rows| {
            let mut part = vec![0.0; dim * dim];
            gemm(
                (dim, dim, rows.len() / dim),
                1.0,
                (rows, Layout::Transposed),
                (rows, Layout::Plain),
                0.0,
                &mut part,
            );
            part
        })
        .collect();
    let mut sum = vec![0.0; dim * dim];
    for part in parts {
        for (sum, x) in sum.iter_mut().zip(part) {
            *sum += f64::from(x);
        }
    }
    sum
}

/// Solves row after row against one fixed side.
struct RowSolver<'a> {
    settings: &'a IalsSettings,
    gram: &'a [f32],
    fixed: &'a [f32],
    diagonal: Vec<f32>,
    confidences: Vec<f32>,
    scratch: ConjugateScratch,
}

impl<'a> RowSolver<'a> {
    fn new(settings: &'a IalsSettings, gram: &'a [f32], fixed: &'a [f32]) -> Self {
        let dim = gram.len();
        Self {
            settings,
            gram,
            fixed,
            diagonal: vec![0.0; dim],
            confidences: Vec::new(),
            scratch: ConjugateScratch::new(dim),
        }
    }

    /// Solves `(FᵀF + λI + Σ added f fᵀ) x = Σ (1 + added) f`; `None` when the numbers ran away.
    fn row(&mut self, ids: &[u32], added: &[f32], n_pairs: usize, x: &mut [f32]) -> Option<()> {
        if ids.is_empty() {
            x.fill(0.0);
            return Some(());
        }
        let dim = self.gram.len();
        let penalty = self.settings.penalty(n_pairs, added.iter().sum());
        for (diagonal, gram) in self.diagonal.iter_mut().zip(self.gram) {
            *diagonal = gram + penalty;
        }
        self.confidences.clear();
        self.confidences.extend(added.iter().map(|added| 1.0 + added));
        let rows = WeightedRows { matrix: self.fixed, dim, ids, weights: added };
        match self.settings.solver {
            Solver::ConjugateGradient { steps } => {
                let stop = Stop { steps, tolerance: TOLERANCE };
                let system = DiagonalPlusRows { diagonal: &self.diagonal, rows };
                system.solve(RightSide::Rows(&self.confidences), x, stop, &mut self.scratch);
            }
            Solver::Cholesky => {
                let mut dense = dense(&self.diagonal, rows);
                x.fill(0.0);
                WeightedRows { weights: &self.confidences, ..rows }.add_to(x);
                cholesky_solve(&mut dense, x).ok()?;
            }
        }
        Some(())
    }
}

/// Returns `diag(diagonal) + Σ weight · row rowᵀ` as a square.
pub(super) fn dense(diagonal: &[f32], rows: WeightedRows<'_>) -> Vec<f32> {
    let dim = rows.dim;
    let mut scaled = Vec::with_capacity(rows.ids.len() * dim);
    for (&id, weight) in rows.ids.iter().zip(rows.weights) {
        let root = weight.sqrt();
        scaled.extend(rows.matrix[id as usize * dim..][..dim].iter().map(|x| x * root));
    }
    let mut square = vec![0.0; dim * dim];
    gemm(
        (dim, dim, rows.ids.len()),
        1.0,
        (&scaled, Layout::Transposed),
        (&scaled, Layout::Plain),
        0.0,
        &mut square,
    );
    for (at, d) in diagonal.iter().enumerate() {
        square[at * (dim + 1)] += d;
    }
    square
}
