//! What an item's vector is made of: a vector of its own, a learnt projection of its text, or both.
//!
//! `v_i = e_i + W f_i + b` with `e: [items, dim]` learnt row by row, `f: [items, features]` the whitened principal components of
//! the text vectors, frozen (UniSRec's whitening: Hou et al. 2022). In a step, a share of the items goes without `e_i`, so
//! that the projection learns to stand alone, as it must for items nobody has taken (DropoutNet: Volkovs et al. 2017).

use rayon::prelude::*;
use tastemaker_core::{FitError, Vectors};
use tastemaker_kernels::{View, product, symmetric_eigen};

use super::network::EMBEDDING;
use super::settings::TextUse;
use crate::layers::Linear;
use crate::params::{Init, Layout, normal};

/// Components of a text that are kept.
pub(super) const FEATURES: usize = 256;
/// Name of the projection among the parameters; it comes last.
pub(super) const ADAPTER: &str = "adapter";
/// A direction keeps at least this share of the mean variance, so that noise is not blown up.
const FLOOR: f64 = 0.1;
/// Rows made by one task; fixed, so that nothing depends on the number of threads.
const ROWS: usize = 256;

/// How item vectors come about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tower {
    dim: usize,
    has_own: bool,
    adapter: Option<Linear>,
    /// `[items, features]`; empty without an adapter.
    features: Vectors,
}

impl Tower {
    pub(super) fn new(layout: &mut Layout, dim: usize, text: TextUse, features: Vectors) -> Self {
        let reads = matches!(text, TextUse::Sum | TextUse::Only);
        let adapter = reads.then(|| {
            Linear::with_init(layout, ADAPTER, (features.dim(), dim), Init::Normal(EMBEDDING))
        });
        let features = if reads { features } else { Vectors::default() };
        Self { dim, has_own: text != TextUse::Only, adapter, features }
    }

    /// Returns the width of the features that are projected; 0 for none.
    pub(super) const fn n_features(&self) -> usize {
        self.features.dim()
    }

    /// Writes the vectors of the items `ids` to `out: [ids, dim]`. `alone` says which of them go without their own part.
    pub(super) fn vectors(
        &self,
        (parameters, own): (&[f32], &[f32]),
        ids: &[u32],
        alone: impl Fn(u32) -> bool + Sync,
        out: &mut Vec<f32>,
    ) {
        let dim = self.dim;
        out.resize(ids.len() * dim, 0.0);
        out.par_chunks_mut(ROWS * dim).zip(ids.par_chunks(ROWS)).for_each(|(out, ids)| {
            match self.adapter {
                Some(adapter) => adapter.forward(parameters, &self.rows_of(ids), out),
                None => out.fill(0.0),
            }
            if self.has_own {
                for (out, &id) in out.chunks_exact_mut(dim).zip(ids).filter(|(_, id)| !alone(**id))
                {
                    let own = &own[id as usize * dim..][..dim];
                    out.iter_mut().zip(own).for_each(|(x, own)| *x += own);
                }
            }
        });
    }

    /// Adds the gradients of the adapter, and turns those of the vectors into those of the items' own parts.
    pub(super) fn backward(
        &self,
        ids: &[u32],
        alone: impl Fn(u32) -> bool,
        d_vectors: &mut [f32],
        gradients: &mut [f32],
    ) {
        if let Some(adapter) = self.adapter {
            // On one core: the sums must not depend on the number of threads, and a step spends little here.
            for (ids, d) in ids.chunks(ROWS).zip(d_vectors.chunks(ROWS * self.dim)) {
                adapter.backward_parameters(gradients, &self.rows_of(ids), d);
            }
        }
        for (d, _) in d_vectors.chunks_exact_mut(self.dim).zip(ids).filter(|(_, id)| alone(**id)) {
            d.fill(0.0);
        }
    }

    fn rows_of(&self, ids: &[u32]) -> Vec<f32> {
        ids.iter().flat_map(|&id| self.features.row(id as usize)).copied().collect()
    }
}

/// Draws the items' own parts; with `text`, they begin as the leading components of their texts.
pub(super) fn first_own(n_items: usize, dim: usize, text: Option<&Vectors>, seed: u64) -> Vec<f32> {
    let mut own = vec![0.0; n_items * dim];
    normal(&mut own, EMBEDDING, seed, "items");
    for (row, own) in own.chunks_exact_mut(dim).enumerate() {
        let Some(text) = text.map(|text| text.row(row)) else { continue };
        let size = EMBEDDING * (text.len() as f32).sqrt();
        own.iter_mut().zip(text).for_each(|(own, x)| *own = size * x);
    }
    own
}

/// Turns text vectors into whitened principal components of length 1, the strongest first; learnt from the rows that have text and
/// were taken.
pub(crate) fn features(vectors: &Vectors, counts: &[u32]) -> Result<Vectors, FitError> {
    let dim = vectors.dim();
    let has_text = |row: usize| vectors.row(row).iter().any(|x| x.abs() > 0.0);
    let mut rows: Vec<usize> =
        (0..vectors.rows()).filter(|&row| counts[row] > 0 && has_text(row)).collect();
    if rows.len() < 2 {
        rows = (0..vectors.rows()).filter(|&row| has_text(row)).collect();
    }
    let n = rows.len().max(1) as f64;
    let mut mean = vec![0.0f64; dim];
    for &row in &rows {
        mean.iter_mut().zip(vectors.row(row)).for_each(|(m, x)| *m += f64::from(*x) / n);
    }
    let mean: Vec<f32> = mean.into_iter().map(|x| x as f32).collect();
    let centred = |row: usize| vectors.row(row).iter().zip(&mean).map(|(x, m)| x - m);
    let flat: Vec<f32> = rows.iter().flat_map(|&row| centred(row)).collect();
    let mut covariance = vec![0.0f32; dim * dim];
    let all = View::rows(&flat, dim);
    product(
        (dim, dim, rows.len()),
        (1.0 / n as f32, all.transposed(), all),
        0.0,
        (&mut covariance, dim),
    );
    let covariance: Vec<f64> = covariance.into_iter().map(f64::from).collect();
    let failed = || FitError::Diverged {
        model: "text features",
        why: "the text vectors hold numbers that are not finite: encode the catalogue again".into(),
    };
    let (values, axes) = symmetric_eigen(dim, &covariance).ok_or_else(failed)?;
    let floor = FLOOR * values.iter().sum::<f64>() / dim as f64;
    let kept = FEATURES.min(dim);
    let mut axes_scaled = Vec::with_capacity(kept * dim);
    for component in (0..dim).rev().take(kept) {
        let scale = 1.0 / values[component].max(floor).max(1e-12).sqrt();
        let axis = &axes[component * dim..][..dim];
        // The sign of an axis is free: the largest entry is made positive, so that machines agree.
        let largest =
            axis.iter().copied().fold(0.0f64, |m, x| if x.abs() > m.abs() { x } else { m });
        axes_scaled.extend(axis.iter().map(|x| (x * scale * largest.signum()) as f32));
    }
    let mut out = Vectors::zeros(vectors.rows(), kept);
    for row in (0..vectors.rows()).filter(|&row| has_text(row)) {
        let x: Vec<f32> = centred(row).collect();
        for (out, axis) in out.row_mut(row).iter_mut().zip(axes_scaled.chunks_exact(dim)) {
            *out = tastemaker_kernels::dot(&x, axis);
        }
    }
    // Of length 1, so that a projection begins as small as the vectors it is added to.
    out.normalise();
    Ok(out)
}
