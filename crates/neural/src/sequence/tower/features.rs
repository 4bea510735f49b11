//! Features of texts: whitened principal components of their vectors, frozen (UniSRec's whitening: Hou et al. 2022).

use tastemaker_core::{FitError, Vectors};
use tastemaker_kernels::{View, product, symmetric_eigen};

/// Components of a text that are kept.
pub(in crate::sequence) const FEATURES: usize = 256;
/// A direction keeps at least this share of the mean variance, so that noise is not blown up.
const FLOOR: f64 = 0.1;

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
    if rows.is_empty() {
        return Err(FitError::NoVectors);
    }
    let n = rows.len() as f64;
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
