//! Takes out of text vectors what all of them share, so that what is left tells items apart.
//!
//! Learnt from the items that have text and were touched in training: their mean `[dim]`, and for full whitening a matrix
//! `[dim, dim]` that gives every direction the same variance (Su et al. 2021).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tastemaker_core::{FitError, PersistError, Saved, Vectors};
use tastemaker_kernels::{Layout, gemm, inverse_root};

use crate::persist::{misfit, take_vector};

/// A direction keeps at least this share of the mean variance, so that noise is not blown up.
const FLOOR: f64 = 0.1;

/// What is taken out of text vectors before they are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Whiten {
    /// Nothing.
    #[default]
    None,
    /// Their mean.
    Center,
    /// Their mean and the differences in variance between directions.
    Full,
}

/// A learnt transformation of vectors; empty parts do nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Whitening {
    mean: Vec<f32>,
    /// `[dim, dim]`, symmetric.
    matrix: Vec<f32>,
}

impl Whitening {
    /// Learns from the rows that are not zero and were touched; from all with text where fewer than two were touched.
    pub(super) fn learn(
        whiten: Whiten,
        vectors: &Vectors,
        counts: &[u32],
    ) -> Result<Self, FitError> {
        if whiten == Whiten::None {
            return Ok(Self::default());
        }
        let with_text = |row: &usize| vectors.row(*row).iter().any(|x| x.abs() > 0.0);
        let all: Vec<usize> = (0..vectors.rows()).filter(with_text).collect();
        let mut rows: Vec<usize> = all.iter().copied().filter(|&row| counts[row] > 0).collect();
        if rows.len() < 2 {
            rows = all;
        }
        if rows.len() < 2 {
            return Ok(Self { mean: vec![0.0; vectors.dim()], matrix: Vec::new() }.padded(whiten));
        }
        let mean = mean_of(vectors, &rows);
        let matrix = if whiten == Whiten::Full { root(vectors, &rows, &mean)? } else { Vec::new() };
        Ok(Self { mean, matrix })
    }

    /// Gives full whitening a matrix that does nothing.
    fn padded(mut self, whiten: Whiten) -> Self {
        let dim = self.mean.len();
        if whiten == Whiten::Full {
            self.matrix = vec![0.0; dim * dim];
            self.matrix.iter_mut().step_by(dim + 1).for_each(|x| *x = 1.0);
        }
        self
    }

    /// Transforms rows and scales them to length 1; zero rows stay zero.
    pub(super) fn apply(&self, vectors: &Vectors) -> Vectors {
        let mut out = vectors.clone();
        if self.mean.is_empty() {
            out.normalise();
            return out;
        }
        let dim = vectors.dim();
        for row in 0..out.rows() {
            if vectors.row(row).iter().any(|x| x.abs() > 0.0) {
                out.row_mut(row).iter_mut().zip(&self.mean).for_each(|(x, m)| *x -= m);
            }
        }
        if !self.matrix.is_empty() {
            let centred = out.clone();
            let shape = (out.rows(), dim, dim);
            let matrix = (&self.matrix[..], Layout::Plain);
            gemm(shape, 1.0, (centred.flat(), Layout::Plain), matrix, 0.0, out.flat_mut());
        }
        out.normalise();
        out
    }

    pub(super) fn put(&self, saved: &mut Saved) {
        if !self.mean.is_empty() {
            saved.put_f32("whitening.mean", &[self.mean.len()], self.mean.clone());
        }
        if !self.matrix.is_empty() {
            let dim = self.mean.len();
            saved.put_f32("whitening.matrix", &[dim, dim], self.matrix.clone());
        }
    }

    pub(super) fn take(
        whiten: Whiten,
        dim: usize,
        saved: &mut Saved,
    ) -> Result<Self, PersistError> {
        let mut whitening = Self::default();
        if whiten != Whiten::None {
            whitening.mean = take_vector(saved, "whitening.mean")?;
            if whitening.mean.len() != dim {
                return Err(misfit("whitening.mean"));
            }
        }
        if whiten == Whiten::Full {
            let (width, matrix) = saved.take_matrix("whitening.matrix")?;
            if width != dim || matrix.len() != dim * dim {
                return Err(misfit("whitening.matrix"));
            }
            whitening.matrix = matrix;
        }
        Ok(whitening)
    }
}

fn mean_of(vectors: &Vectors, rows: &[usize]) -> Vec<f32> {
    let mut sums = vec![0.0f64; vectors.dim()];
    for &row in rows {
        sums.iter_mut().zip(vectors.row(row)).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    sums.into_iter().map(|sum| (sum / rows.len() as f64) as f32).collect()
}

/// Returns the inverse square root of the covariance, `V diag(1/√λ) Vᵀ`, small λ lifted to the floor.
fn root(vectors: &Vectors, rows: &[usize], mean: &[f32]) -> Result<Vec<f32>, FitError> {
    let dim = vectors.dim();
    let mut centred = Vec::with_capacity(rows.len() * dim);
    for &row in rows {
        centred.extend(vectors.row(row).iter().zip(mean).map(|(x, m)| x - m));
    }
    let mut covariance = vec![0.0f32; dim * dim];
    let scale = 1.0 / rows.len() as f32;
    let shape = (dim, dim, rows.len());
    let (left, right) = ((&centred[..], Layout::Transposed), (&centred[..], Layout::Plain));
    gemm(shape, scale, left, right, 0.0, &mut covariance);
    let covariance: Vec<f64> = covariance.into_iter().map(f64::from).collect();
    let diverged = || {
        FitError::Diverged {
        model: "text-knn",
        why: "the covariance of the item vectors has no eigenvectors: check them for infinite values, or set `whiten` to \"center\"".into(),
    }
    };
    let matrix = inverse_root(dim, &covariance, FLOOR).ok_or_else(diverged)?;
    Ok(matrix.into_iter().map(|x| x as f32).collect())
}

#[cfg(test)]
mod tests {
    use tastemaker_testkit::{assert_all_close, assert_close};

    use super::*;

    fn vectors() -> Vectors {
        // Far from the middle along the first axis, a little along the second; the last has no text.
        Vectors::from_flat(2, vec![3.0, 0.1, 1.0, 0.1, 2.0, 1.1, 2.0, -0.9, 0.0, 0.0]).unwrap()
    }

    #[test]
    fn centring_takes_the_mean_out_and_leaves_textless_rows_alone() {
        let learnt = Whitening::learn(Whiten::Center, &vectors(), &[1; 5]).unwrap();
        assert_all_close(&learnt.mean, &[2.0, 0.1], 1e-6);
        let out = learnt.apply(&vectors());
        assert_all_close(out.row(0), &[1.0, 0.0], 1e-6);
        assert_all_close(out.row(4), &[0.0, 0.0], 1e-6);
    }

    #[test]
    fn full_whitening_gives_every_direction_the_same_variance() {
        let stretched =
            Vectors::from_flat(2, vec![4.0, 0.0, -4.0, 0.0, 0.0, 2.0, 0.0, -2.0]).unwrap();
        let learnt = Whitening::learn(Whiten::Full, &stretched, &[1; 4]).unwrap();
        // Variances 8 and 2: the matrix is diag(1/√8, 1/√2).
        assert_close(learnt.matrix[0], 1.0 / 8f64.sqrt(), 1e-5);
        assert_close(learnt.matrix[3], 1.0 / 2f64.sqrt(), 1e-5);
        assert_close(learnt.matrix[1], 0.0, 1e-5);
    }

    #[test]
    fn items_nobody_touched_teach_nothing() {
        let touched = Whitening::learn(Whiten::Center, &vectors(), &[1, 1, 0, 0, 0]).unwrap();
        assert_all_close(&touched.mean, &[2.0, 0.1], 1e-6);
        let one = Whitening::learn(Whiten::Center, &vectors(), &[1, 0, 0, 0, 0]).unwrap();
        assert_all_close(&one.mean, &[2.0, 0.1], 1e-6);
    }
}
